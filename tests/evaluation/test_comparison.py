import math

import numpy as np
import pytest

from caloforge import Showers
from caloforge.errors import GeometryMismatchError, ValueRangeError
from caloforge.evaluation import Moments, average_ratio, average_shower, compare, high_level_features


def test_moments_on_paper():
    found = Moments.of(np.array([1.0, 2.0, 3.0, 6.0]))
    # deviations -2, -1, 0, 3: squares 4, 1, 0, 9, fourth powers 16, 1, 0, 81
    variance = 14 / 3
    assert found.mean == 3
    assert found.std == pytest.approx(math.sqrt(variance))
    assert found.mean_error == pytest.approx(math.sqrt(variance / 4))
    assert found.std_error == pytest.approx(math.sqrt((98 / 4 - 3.5**2) / 4) / (2 * math.sqrt(variance)))


def test_moments_at_the_edges():
    constant = Moments.of(np.full(5, 2.0))
    assert (constant.mean, constant.std, constant.mean_error, constant.std_error) == (2, 0, 0, 0)
    one = Moments.of(np.array([2.0]))
    assert one.mean == 2
    assert math.isnan(one.std)
    with pytest.raises(ValueRangeError, match="empty"):
        Moments.of(np.empty(0))


@pytest.mark.parametrize("draw", ["normal", "exponential"])
def test_errors_of_moments(draw):
    rng = np.random.default_rng(3)
    found = [Moments.of(getattr(rng, draw)(size=2000)) for _ in range(300)]
    for value, error in (("mean", "mean_error"), ("std", "std_error")):
        spread = np.std([getattr(m, value) for m in found])
        assert np.mean([getattr(m, error) for m in found]) == pytest.approx(
            spread, rel=5 / math.sqrt(2 * 300)
        )


def test_same_and_different_showers(squares, make_showers):
    reference = make_showers(squares, 200)
    rows = compare(reference, reference)
    assert [row.name for row in rows] == [feature.name for feature in high_level_features(reference)]
    assert all(row.separation == 0 and row.generated == row.reference for row in rows)
    assert all(0 <= row.floor <= row.floor_95 for row in rows)
    other = {row.name: row for row in compare(make_showers(squares, 300, slope=30.0, seed=1), reference)}
    energy = other["e_layer_0"]
    assert energy.separation > 0.5 > energy.floor_95
    assert energy.histograms.generated.sum() == 300
    assert energy.histograms.reference.sum() == 200


def test_equal_distributions_stay_near_the_floor(squares, make_showers):
    rows = compare(make_showers(squares, 500, seed=1), make_showers(squares, 400, seed=2))
    above = sum(row.separation > row.floor_95 for row in rows)
    assert above <= len(rows) // 3  # 5 % each, but the features are correlated
    for row in rows:
        assert abs(row.generated.mean - row.reference.mean) <= 5 * math.hypot(
            row.generated.mean_error, row.reference.mean_error
        )


def test_single_showers(rings, make_showers):
    assert all(
        math.isnan(row.generated.std) for row in compare(make_showers(rings, 1), make_showers(rings, 1))
    )


def test_refusals(squares, rings, make_showers):
    some = make_showers(squares)
    with pytest.raises(GeometryMismatchError, match="generated"):
        compare(make_showers(rings), some)
    with pytest.raises(ValueRangeError, match="generated sample has no showers"):
        compare(some[:0], some)
    with pytest.raises(ValueRangeError, match="reference sample has no showers"):
        compare(some, some[:0])
    with pytest.raises(ValueRangeError, match="without showers"):
        average_shower(some[:0])
    with pytest.raises(GeometryMismatchError):
        average_ratio(average_shower(make_showers(rings)), average_shower(some))


def test_average_shower(squares):
    voxels = np.zeros((2, 8))
    voxels[:, 0], voxels[:, 1], voxels[0, 7] = 4.0, [1.0, 3.0], 1.0
    average = average_shower(Showers(e_inc=np.ones(2), voxels=voxels, geometry=squares))
    assert average.mean.tolist() == [4, 2, 0, 0, 0, 0, 0, 0.5]
    assert average.error.tolist() == [0, 1, 0, 0, 0, 0, 0, 0.5]
    double = average_shower(Showers(e_inc=np.ones(2), voxels=2 * voxels, geometry=squares))
    ratio = average_ratio(double, average, max_error=0.5)
    np.testing.assert_array_equal(ratio, [2, 2, *[np.nan] * 6])  # the last voxel's error is 100 %
    one = average_shower(Showers(e_inc=np.ones(1), voxels=voxels[:1], geometry=squares))
    assert np.isnan(one.error).all()
    assert np.isnan(average_ratio(one, one)).all()
