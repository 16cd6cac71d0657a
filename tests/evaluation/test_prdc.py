import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from caloforge import Showers
from caloforge.errors import GeometryMismatchError, ShapeError, ValueRangeError
from caloforge.evaluation.prdc import prdc, shower_prdc


def again(generated, reference, k):
    """From the definitions, with all distances in memory."""

    def radii(points):
        return np.sort(cdist(points, points), axis=1)[:, k]  # the first is the point itself

    between = cdist(reference, generated)
    in_reference = between < radii(reference)[:, None]
    in_generated = between < radii(generated)[None, :]
    return (
        in_reference.any(axis=0).mean(),
        in_generated.any(axis=1).mean(),
        in_reference.sum() / (k * len(generated)),
        in_reference.any(axis=1).mean(),
    )


def four(result):
    return result.precision, result.recall, result.density, result.coverage


def test_on_paper():
    # k = 1; radii of the reference 1, 1, 4, of the generated 0.5, 0.5, 20
    reference, generated = np.array([[0.0], [1.0], [5.0]]), np.array([[0.25], [0.75], [20.75]])
    result = prdc(generated, reference, k=1)
    assert four(result) == (2 / 3, 1, 4 / 3, 2 / 3)
    assert result.warning is None
    assert result.coverage_expected == pytest.approx(1 - 2 / 5)  # of 5 others, the nearest is a reference's
    assert (result.n_generated, result.n_reference, result.k) == (3, 3, 1)


@pytest.mark.parametrize("k", [1, 5])
def test_derived_again(k, monkeypatch):
    rng = np.random.default_rng(1)
    generated, reference = rng.normal(0.2, 1, size=(400, 6)), rng.normal(size=(300, 6))
    expected = again(generated, reference, k)
    assert four(prdc(generated, reference, k=k)) == pytest.approx(expected)
    monkeypatch.setattr("caloforge.evaluation.nearest._BLOCK_BYTES", 1.0)  # blocks of 16
    assert four(prdc(generated, reference, k=k)) == pytest.approx(expected)


def test_equal_samples_and_errors():
    rng = np.random.default_rng(2)
    results = [prdc(*rng.normal(size=(2, 200, 3))) for _ in range(200)]
    values = np.array([four(r) for r in results])
    stderr = values.std(axis=0) / math.sqrt(200)
    assert abs(values[:, 2].mean() - 1) < 5 * stderr[2]
    assert abs(values[:, 3].mean() - results[0].coverage_expected) < 5 * stderr[3]
    errors = [
        np.mean([getattr(r, f"{name}_error") for r in results])
        for name in ("precision", "recall", "density", "coverage")
    ]
    # They leave out what the balls of the other sample vary by: up to a third.
    assert (errors < 1.1 * values.std(axis=0)).all()
    assert (errors > 0.6 * values.std(axis=0)).all()


def test_without_variety():
    rng = np.random.default_rng(3)
    reference = rng.normal(size=(1500, 30))
    generated = 1e-3 * rng.normal(size=(1500, 30))
    result = prdc(generated, reference)
    assert result.precision == 1
    assert result.density > 100
    assert result.recall < 0.01
    assert "lack the variety" in result.warning
    assert prdc(np.concatenate([generated[:750], reference[:750]]), reference).warning is None
    assert prdc(reference[::-1], reference).warning is None


def test_far_apart():
    rng = np.random.default_rng(4)
    result = prdc(rng.normal(size=(50, 3)) + 100, rng.normal(size=(60, 3)))
    assert four(result) == (0, 0, 0, 0)
    assert result.warning is None  # nothing looks good that is not


def test_showers_are_logarithms_with_zeros_as_a_tenth(squares, make_showers):
    generated, reference = make_showers(squares, 80, seed=1), make_showers(squares, 90, slope=2.0)
    points = [np.log10(np.where(s.voxels == 0, 0.1, s.voxels)) for s in (generated, reference)]
    assert four(shower_prdc(generated, reference)) == pytest.approx(again(*points, 5))
    some = shower_prdc(generated, reference, max_showers=40, seed=1)
    assert (some.n_generated, some.n_reference) == (40, 40)
    assert some == shower_prdc(generated, reference, max_showers=40, seed=1)
    assert some != shower_prdc(generated, reference, max_showers=40, seed=2)


def test_showers_without_energy(squares):
    empty = Showers(e_inc=np.ones(10), voxels=np.zeros((10, 8)), geometry=squares)
    assert four(shower_prdc(empty, empty)) == (0, 0, 0, 0)  # balls without a size hold nothing


def test_refusals(squares, rings, make_showers):
    with pytest.raises(
        ValueRangeError, match="The reference sample has 5 showers; 5 neighbours need at least 6"
    ):
        prdc(np.zeros((9, 2)), np.zeros((5, 2)))
    with pytest.raises(ValueRangeError, match="k must be"):
        prdc(np.zeros((9, 2)), np.zeros((9, 2)), k=0)
    with pytest.raises(ShapeError):
        prdc(np.zeros((9, 2)), np.zeros((9, 3)))
    with pytest.raises(ValueRangeError, match="finite"):
        prdc(np.full((9, 2), np.nan), np.zeros((9, 2)))
    with pytest.raises(GeometryMismatchError):
        shower_prdc(make_showers(rings), make_showers(squares))
    with pytest.raises(ValueRangeError, match="max_showers"):
        shower_prdc(make_showers(squares), make_showers(squares), max_showers=0)
