import numpy as np
import pytest
from scipy.spatial.distance import cdist

from caloforge import Showers
from caloforge.errors import GeometryMismatchError, ShapeError, ValueRangeError
from caloforge.evaluation.nearest import (
    NEIGHBOUR_E_INC,
    log_voxels,
    nearest_showers,
    squared_distances,
)
from caloforge.units import GeV


@pytest.mark.parametrize("block_bytes", [1.0, 64e6], ids=["small blocks", "one block"])
def test_squared_distances(block_bytes, monkeypatch):
    monkeypatch.setattr("caloforge.evaluation.nearest._BLOCK_BYTES", block_bytes)
    rng = np.random.default_rng(1)
    points, others = (1e4 + 10 * rng.normal(size=(n, 7)) for n in (50, 70))
    points[30:] = others[50:]
    found = np.concatenate([block.copy() for _, block in squared_distances(points, others)])
    np.testing.assert_allclose(found, cdist(points, others) ** 2, rtol=1e-9)
    assert np.argwhere(found == 0).tolist() == [[30 + k, 50 + k] for k in range(20)]
    own = np.concatenate([block.copy() for _, block in squared_distances(points)])
    assert np.isinf(np.diag(own)).all()
    np.fill_diagonal(own, 0)
    np.testing.assert_allclose(own, cdist(points, points) ** 2, rtol=1e-9)


def test_memory_of_many_voxels_is_bounded():
    import tracemalloc

    points = np.zeros((3000, 2000), dtype=np.float32)
    tracemalloc.start()
    for _ in squared_distances(points):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 64e6


def test_squared_distances_refuse():
    with pytest.raises(ShapeError):
        next(squared_distances(np.zeros((3, 2)), np.zeros((3, 4))))
    with pytest.raises(ShapeError):
        next(squared_distances(np.zeros(3)))
    with pytest.raises(ShapeError):
        next(squared_distances(np.zeros((0, 2))))


def test_log_voxels():
    found = log_voxels(np.array([[0.0, 100.0, 0.01]], dtype=np.float32))
    np.testing.assert_allclose(found, [[-1, 2, -2]], rtol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize("space", ["energy", "log"])
def test_nearest_showers(squares, make_showers, space):
    def at(showers, e_inc):
        return Showers(e_inc=e_inc, voxels=showers.voxels, geometry=squares)

    rng = np.random.default_rng(2)
    generated = at(make_showers(squares, 40), rng.permutation(np.geomspace(4, 100, 40)) * GeV)
    reference = at(make_showers(squares, 60, seed=1), rng.uniform(1, 100, 60) * GeV)
    found = nearest_showers(generated, reference, space=space, per_energy=2)
    assert found.asked_e_inc.tolist() == list(NEIGHBOUR_E_INC)
    assert len(np.unique(found.generated_index)) == 10
    points = [log_voxels(s.voxels) if space == "log" else s.voxels for s in (generated, reference)]
    distances = cdist(*points)
    for energy, rows, nearest, distance, e_inc in zip(
        found.asked_e_inc,
        found.generated_index,
        found.reference_index,
        found.distance,
        found.generated_e_inc,
        strict=True,
    ):
        assert (rows == np.argsort(np.abs(generated.e_inc - energy))[:2]).all()
        assert (nearest == distances[rows].argmin(axis=1)).all()
        np.testing.assert_allclose(distance, distances[rows].min(axis=1), rtol=1e-6)
        assert (e_inc == generated.e_inc[rows]).all()
    assert (found.reference_e_inc == reference.e_inc[found.reference_index]).all()


def test_a_generated_shower_is_shown_once(squares, make_showers):
    showers = make_showers(squares, 3)
    fixed = Showers(e_inc=np.full(3, 5 * GeV), voxels=showers.voxels, geometry=squares)
    found = nearest_showers(fixed, fixed, e_inc=(5 * GeV, 20 * GeV, 5.01 * GeV))
    assert found.asked_e_inc.tolist() == [5 * GeV, 5.01 * GeV]  # 20 GeV was not generated
    assert found.generated_index.tolist() == [[0], [1]]
    assert found.distance.tolist() == [[0], [0]]
    with pytest.raises(ValueRangeError, match="No shower was generated near"):
        nearest_showers(fixed, fixed, e_inc=(20 * GeV,))
    with pytest.raises(ValueRangeError, match="cannot be taken from 3"):
        nearest_showers(fixed, fixed, per_energy=4)


def test_refusals(squares, rings, make_showers):
    showers = make_showers(squares)
    with pytest.raises(GeometryMismatchError):
        nearest_showers(make_showers(rings), showers)
    with pytest.raises(ValueRangeError, match="generated sample has 0 showers"):
        nearest_showers(showers[:0], showers)
