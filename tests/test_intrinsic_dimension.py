"""The dimension of known manifolds, laid into as many dimensions as a shower has voxels."""

import numpy as np
import pytest

from caloforge.errors import ShapeError, ValueRangeError
from caloforge.intrinsic_dimension import (
    intrinsic_dimension,
    inverse_dimensions,
    nearest_distances,
    without_twins,
)

N, VOXELS = 2000, 504


def embedded(points, *, width=VOXELS, seed=3):
    """Turned into a random direction of a wide space, lengths kept."""
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(width, points.shape[1])))[0]
    return (points @ rotation.T).astype(np.float32)


def sphere(d):
    x = np.random.default_rng(d).normal(size=(N, d + 1))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def swiss_roll():
    rng = np.random.default_rng(4)
    angle, height = 1.5 * np.pi * (1 + 2 * rng.random(N)), 21 * rng.random(N)
    return np.stack([angle * np.cos(angle), height, angle * np.sin(angle)], axis=1)


@pytest.mark.parametrize(
    ("points", "truth", "bias"),
    [
        (sphere(1), 1, 0.0),
        (sphere(3), 3, 0.05),
        (swiss_roll(), 2, 0.1),
        # Near edges there is less room than within: known to pull large dimensions down.
        (np.random.default_rng(5).normal(size=(N, 8)), 8, 1.0),
    ],
    ids=["circle", "sphere", "swiss roll", "noise"],
)
@pytest.mark.parametrize("k", [5, 10])
def test_known_manifolds(points, truth, bias, k):
    found = intrinsic_dimension(embedded(points), (k,))[0]
    # Local estimates overlap, which the resampling does not know: twice its error.
    assert abs(found.dimension - truth) < bias + 5 * 2 * found.error
    assert 0.2 * truth / np.sqrt(N * k) < found.error < 10 * truth / np.sqrt(N * k)


def test_poisson_points_have_no_bias():
    """Distances drawn as the theory says: the inverse dimension is that of the theory, for every k."""
    rng, d = np.random.default_rng(6), 7.0
    for k in (2, 3, 10, 30):
        volumes = np.sort(rng.random((40_000, k)), axis=1)
        inverse = inverse_dimensions(volumes ** (1 / d), k)
        # Given the k-th neighbour, those before it are uniform in the volume; here the k-th is one of k uniform
        # numbers, and the ratios to it are as good.
        assert abs(inverse.mean() - 1 / d) < 5 * inverse.std() / np.sqrt(len(inverse))


def test_noise_adds_dimensions_where_neighbours_are_near():
    plane = np.random.default_rng(1).normal(size=(N, 2)) @ np.eye(2, 20)
    noisy = plane + 0.02 * np.random.default_rng(2).normal(size=plane.shape)
    near, far = intrinsic_dimension(noisy, (5, 200))
    assert intrinsic_dimension(plane)[0].dimension == pytest.approx(2, abs=0.2)
    assert near.dimension > far.dimension > 2


def test_more_neighbours_and_fewer_queries():
    points = embedded(sphere(3))
    few, all_ = (intrinsic_dimension(points, (10,), max_queries=q)[0] for q in (300, N))
    assert (few.n_queries, all_.n_queries, few.n_points) == (300, N, N)
    assert abs(few.dimension - all_.dimension) < 5 * few.error
    assert few.error > 1.5 * all_.error
    assert intrinsic_dimension(points, (10,), max_queries=300)[0] == few
    assert intrinsic_dimension(points, (10,), max_queries=300, seed=1)[0] != few


def test_units_and_places_do_not_matter():
    points = embedded(sphere(2)).astype(np.float64)
    first = intrinsic_dimension(points)[0].dimension
    assert intrinsic_dimension(1e-6 * points)[0].dimension == pytest.approx(first, rel=1e-9)
    # A search by products would lose all digits of neighbours this far from the origin.
    assert intrinsic_dimension(points + 1e3)[0].dimension == pytest.approx(first, rel=1e-2)


def test_distances_are_those_of_every_pair():
    points = np.random.default_rng(1).normal(size=(60, 9)).astype(np.float32)
    found = nearest_distances(points, 4, queries=np.array([3, 17]))
    pairs = np.linalg.norm(points[[3, 17], None].astype(float) - points[None].astype(float), axis=2)
    np.testing.assert_allclose(found, np.sort(pairs, axis=1)[:, 1:5], rtol=1e-6)


def test_twins_count_once():
    points = embedded(sphere(2))
    doubled = np.concatenate([points, points[:700], -0.0 * points[:3], np.zeros((2, VOXELS), np.float32)])
    assert len(without_twins(doubled)) == N + 1
    one, two = intrinsic_dimension(points)[0], intrinsic_dimension(doubled)[0]
    assert (two.n_twins, two.n_points) == (704, N + 1)
    assert two.dimension == pytest.approx(one.dimension, abs=5 * one.error)


@pytest.mark.parametrize(
    ("points", "ks", "error", "match"),
    [
        (
            np.zeros((20, 3)),
            (10,),
            ValueRangeError,
            r"1 different points \(19 more equal another one\) are too few",
        ),
        (
            np.eye(10),
            (10,),
            ValueRangeError,
            "10 different points are too few for k = 10 neighbours; at least 11",
        ),
        (np.eye(10), (1,), ValueRangeError, "k of 2 or more"),
        (np.eye(10), (), ValueRangeError, "k of 2 or more"),
        (np.full((20, 3), np.nan), (2,), ValueRangeError, "not finite"),
        (np.zeros(3), (2,), ShapeError, "points has shape"),
    ],
)
def test_what_has_no_dimension(points, ks, error, match):
    with pytest.raises(error, match=match):
        intrinsic_dimension(points, ks)


def test_as_few_points_as_can_be():
    found = intrinsic_dimension(np.random.default_rng(1).normal(size=(11, 2)))[0]
    assert np.isfinite(found.dimension)
    assert np.isnan(found.half)
