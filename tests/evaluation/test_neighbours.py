import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from caloforge import Showers
from caloforge.errors import GeometryMismatchError, ShapeError, ValueRangeError
from caloforge.evaluation.neighbours import (
    NEIGHBOUR_E_INC,
    log_voxels,
    nearest_showers,
    neighbour_distances,
    squared_distances,
)
from caloforge.units import GeV


@pytest.mark.parametrize("block_bytes", [1.0, 64e6], ids=["small blocks", "one block"])
def test_squared_distances(block_bytes, monkeypatch):
    monkeypatch.setattr("caloforge.evaluation.neighbours._BLOCK_BYTES", block_bytes)
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


def in_dimensions(squares, voxels):
    return Showers(e_inc=np.ones(len(voxels)), voxels=voxels, geometry=squares)


@pytest.fixture
def draw(squares):
    def make(n, seed):
        return in_dimensions(squares, np.random.default_rng(seed).uniform(1, 2, size=(n, 8)))

    return make


@pytest.mark.parametrize("space", ["energy", "log"])
def test_equal_samples(draw, space):
    found = [neighbour_distances(draw(300, 2 * k), draw(400, 2 * k + 1), space=space) for k in range(60)]
    assert {r.n_showers for r in found} == {300}
    for which in ("to_reference", "among_generated"):
        shares = [getattr(r, which) for r in found]
        assert not any(share.alarm for share in shares)
        for value, error, expected in (
            ([s.nearer for s in shares], [s.nearer_error for s in shares], 0.5),
            ([s.near_share for s in shares], [s.near_share_error for s in shares], 0.01),
            ([s.copies for s in shares], [s.copies_error for s in shares], 0.0),
        ):
            # 0.01 is taken from an interpolated quantile, hence a little more than 1 / n away
            assert abs(np.mean(value) - expected) < 5 * np.std(value) / math.sqrt(60) + 0.5 / 300
            assert np.std(value) < 2 * np.mean(error)
    medians = [r.to_reference.median - r.reference_median for r in found]
    errors = [math.hypot(r.to_reference.median_error, r.reference_median_error) for r in found]
    assert 0.5 < np.std(medians) / np.mean(errors) < 1.5


def test_against_all_distances(draw):
    generated, reference = draw(50, 1), draw(50, 2)
    found = neighbour_distances(generated, reference)
    own = cdist(reference.voxels, reference.voxels) + np.diag(np.full(50, np.inf))
    np.testing.assert_allclose(found.reference_to_reference, own.min(axis=1))
    across = cdist(generated.voxels, reference.voxels).min(axis=1)
    np.testing.assert_allclose(found.generated_to_reference, across)
    assert found.reference_median == pytest.approx(np.median(own.min(axis=1)))
    assert found.to_reference.nearer == pytest.approx(np.mean(across[:, None] < own.min(axis=1)))


def test_remembered_showers(squares, draw):
    reference = draw(400, 1)
    noise = 1 + 1e-3 * np.random.default_rng(3).normal(size=(400, 8))
    for voxels in (reference.voxels, reference.voxels * noise):
        found = neighbour_distances(in_dimensions(squares, voxels), reference)
        assert found.memorising
        assert not found.collapsed
        assert found.to_reference.near_share > 0.9
        assert found.to_reference.nearer > 0.9
    assert neighbour_distances(reference, reference).to_reference.copies == 1
    some = np.concatenate([reference.voxels[:40], draw(360, 2).voxels])  # every tenth
    found = neighbour_distances(in_dimensions(squares, some), reference)
    assert found.memorising
    assert found.to_reference.copies == pytest.approx(0.1)


def test_repeated_showers(squares, draw):
    few = draw(40, 2).voxels
    noise = 1 + 1e-3 * np.random.default_rng(3).normal(size=(400, 8))
    for voxels in (np.repeat(few, 10, axis=0), np.repeat(few, 10, axis=0) * noise):
        found = neighbour_distances(in_dimensions(squares, voxels), draw(400, 1))
        assert found.collapsed
        assert not found.memorising


def test_showers_without_energy_are_no_copies(squares, draw):
    def partly(seed):
        voxels = draw(400, seed).voxels.copy()
        voxels[np.random.default_rng(seed).random(400) < 0.3] = 0
        return in_dimensions(squares, voxels)

    found = neighbour_distances(partly(1), partly(2))
    assert not found.memorising
    assert not found.collapsed
    assert abs(found.to_reference.copies) < 5 * found.to_reference.copies_error


def test_sizes_and_seeds(draw):
    generated, reference = draw(60, 1), draw(80, 2)
    found = neighbour_distances(generated, reference, max_showers=30, seed=5)
    assert found.n_showers == len(found.generated_to_reference) == len(found.reference_to_reference) == 30
    again = neighbour_distances(generated, reference, max_showers=30, seed=5)
    assert (found.generated_to_generated == again.generated_to_generated).all()
    other = neighbour_distances(generated, reference, max_showers=30, seed=6)
    assert (found.generated_to_generated != other.generated_to_generated).any()


def test_refusals(squares, rings, make_showers):
    showers = make_showers(squares)
    with pytest.raises(GeometryMismatchError):
        neighbour_distances(make_showers(rings), showers)
    with pytest.raises(GeometryMismatchError):
        nearest_showers(make_showers(rings), showers)
    with pytest.raises(ValueRangeError, match="at least 10"):
        neighbour_distances(showers, showers[:9])
    with pytest.raises(ValueRangeError, match="at least 10"):
        neighbour_distances(showers[:0], showers)
    with pytest.raises(ValueRangeError, match="generated sample has 0 showers"):
        nearest_showers(showers[:0], showers)
