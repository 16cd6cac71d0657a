import math

import numpy as np
import pytest
from scipy import stats

from caloforge.errors import ShapeError, ValueRangeError
from caloforge.evaluation.distances import feature_distances, kolmogorov_smirnov, wasserstein


def test_on_paper():
    # F - G on [0, 1): 1/2, on [1, 2): 1 - 1/3, on [2, 5): 1/3
    first, second = np.array([1.0, 0.0]), np.array([5.0, 1.0, 2.0])
    assert wasserstein(first, second) == pytest.approx(1 / 2 + 2 / 3 + 3 * 1 / 3)
    assert kolmogorov_smirnov(first, second) == pytest.approx(2 / 3)


@pytest.mark.parametrize("draw", ["normal", "poisson"])  # without and with equal values
def test_as_scipy(draw):
    rng = np.random.default_rng(2)
    first, second = getattr(rng, draw)(3.0, size=50), getattr(rng, draw)(4.0, size=80)
    assert wasserstein(first, second) == pytest.approx(stats.wasserstein_distance(first, second), rel=1e-12)
    assert kolmogorov_smirnov(first, second) == pytest.approx(
        stats.ks_2samp(first, second).statistic, rel=1e-12
    )
    (row,) = feature_distances(first[:, None], second[:, None], names=["a"], draws=2)
    assert (row.name, row.wasserstein, row.ks) == (
        "a",
        wasserstein(first, second),
        kolmogorov_smirnov(first, second),
    )
    assert row.wasserstein_scaled == row.wasserstein / second.std()


def test_p_value():
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=(500, 1)), rng.normal(0.08, 1, size=(700, 1))
    (row,) = feature_distances(first, second, draws=2)
    expected = stats.ks_2samp(first[:, 0], second[:, 0], method="exact").pvalue
    assert row.ks_p_value == pytest.approx(expected, rel=0.1)


def test_identical_samples_and_a_shift():
    values = np.random.default_rng(1).normal(size=(200, 3))
    for row in feature_distances(values, values[::-1]):
        assert row.wasserstein == row.ks == 0
        assert row.wasserstein_floor > 0 < row.ks_floor
    moved = feature_distances(values + np.array([0.0, 0.7, 0.0]), values, names=["x", "y", "z"])
    assert [row.wasserstein > row.wasserstein_floor_95 for row in moved] == [False, True, False]
    assert [row.ks > row.ks_floor_95 for row in moved] == [False, True, False]
    assert moved[1].wasserstein == pytest.approx(0.7)


def test_floor_is_what_equal_samples_have():
    rng = np.random.default_rng(1)
    repeats, found, floors, below = 200, [], [], []
    for _ in range(repeats):
        (row,) = feature_distances(rng.exponential(size=(60, 1)), rng.exponential(size=(150, 1)), draws=60)
        found.append((row.wasserstein, row.ks))
        floors.append((row.wasserstein_floor, row.ks_floor))
        below.append((row.wasserstein <= row.wasserstein_floor_95, row.ks <= row.ks_floor_95))
    away = np.mean(found, axis=0) - np.mean(floors, axis=0)
    assert (
        np.abs(away) < 5 * np.hypot(np.std(found, axis=0), np.std(floors, axis=0)) / math.sqrt(repeats)
    ).all()
    assert (np.abs(np.mean(below, axis=0) - 0.95) < 5 * math.sqrt(0.95 * 0.05 / repeats)).all()


def test_errors_are_the_spread():
    rng = np.random.default_rng(5)
    rows = [
        feature_distances(rng.normal(1.0, 1, size=(150, 1)), rng.normal(size=(250, 1)), draws=60)[0]
        for _ in range(200)
    ]
    for value, error in (("wasserstein", "wasserstein_error"), ("ks", "ks_error")):
        spread = np.std([getattr(row, value) for row in rows])
        mean_error = np.mean([getattr(row, error) for row in rows])
        assert mean_error == pytest.approx(spread, rel=5 / math.sqrt(2 * 200))


def test_constant_features_and_one_shower():
    rows = feature_distances(np.zeros((1, 2)), np.array([[0.0, 2.0]]))
    assert [row.wasserstein for row in rows] == [0, 2]
    assert [row.ks for row in rows] == [0, 1]
    assert all(math.isnan(row.wasserstein_scaled) for row in rows)


def test_the_same_seed_gives_the_same():
    values = np.random.default_rng(0).normal(size=(2, 50, 2))
    assert feature_distances(*values, seed=3) == feature_distances(*values, seed=3)
    assert feature_distances(*values, seed=3) != feature_distances(*values, seed=4)


def test_refusals():
    good = np.zeros((5, 2))
    with pytest.raises(ShapeError, match=r"generated has shape \(5, 3\)"):
        feature_distances(np.zeros((5, 3)), good)
    with pytest.raises(ShapeError, match="one row per shower"):
        feature_distances(good, np.zeros(5))
    with pytest.raises(ShapeError, match="names"):
        feature_distances(good, good, names=["a"])
    with pytest.raises(ValueRangeError, match="reference sample has 0 showers"):
        feature_distances(good, good[:0])
    with pytest.raises(ValueRangeError, match=r"2 values of the generated .* first in showers \[1\]"):
        feature_distances(np.where(np.arange(5)[:, None] == 1, np.nan, good), good)
    with pytest.raises(ValueRangeError, match="draws"):
        feature_distances(good, good, draws=1)
    with pytest.raises(ShapeError):
        wasserstein(good, good)
