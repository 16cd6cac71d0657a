"""One point for a shower, its mirror images, its turns and its scaled copies; other showers stay apart."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from caloforge import Showers
from caloforge.evaluation.shapes import has_shape, shower_shapes
from caloforge.geometry import CartesianGrid, PolarGrid
from support.toys import cartesian, geometry_of, polar, toy_showers

SQUARE = CartesianGrid(x_edges=(-2, -1, 0, 1, 2), y_edges=(-2, -1, 0, 1, 2))
LOPSIDED = CartesianGrid(x_edges=(0, 1, 2, 4), y_edges=(0, 1, 2, 4, 7))
GEOMETRIES = {
    "even and odd": geometry_of(cartesian(4, 5), cartesian(3, 2), cartesian(1, 1)),
    "square": geometry_of(SQUARE, SQUARE),
    "polar": geometry_of(polar(6, 3), polar(5, 2), polar(1, 3)),
}


def full(geometry, n, *, seed=0):
    showers = toy_showers(geometry, 2 * n, seed=seed)
    return showers[has_shape(showers)][:n]


def changed(showers, change):
    """Showers whose layers, ``(n, a, b)``, were changed."""
    layers = [
        change(showers.voxels[:, where].reshape(len(showers), *layer.grid.shape), layer.grid)
        for layer, where in zip(showers.geometry.layers, showers.geometry.layer_slices, strict=True)
    ]
    return replace(showers, voxels=np.concatenate([x.reshape(len(showers), -1) for x in layers], axis=1))


def mirrored(*axes):
    return lambda layer, grid: np.flip(layer, axes)


def turned(layer, grid):
    """By a third of a circle, or of the slices that there are; Cartesian layers by a quarter."""
    if isinstance(grid, PolarGrid):
        return np.roll(layer, grid.n_alpha // 3, axis=1)
    return np.rot90(layer, axes=(1, 2))


IMAGES = {
    "even and odd": [mirrored(1), mirrored(2), mirrored(1, 2)],
    "square": [mirrored(1), mirrored(2), mirrored(1, 2), turned],
    "polar": [mirrored(1), turned],
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_images_and_scale_do_not_matter(name):
    showers = full(GEOMETRIES[name], 20)
    shapes = shower_shapes(showers)
    assert shapes.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(shapes, axis=1), 1, rtol=1e-6)
    for change in IMAGES[name]:
        images = changed(showers, change)
        assert (images.voxels != showers.voxels).any(axis=1).all(), (
            "a change that changes nothing tests nothing"
        )
        np.testing.assert_allclose(shower_shapes(images), shapes, atol=1e-6)
    scaled = Showers(e_inc=showers.e_inc, voxels=1.7 * showers.voxels, geometry=showers.geometry)
    np.testing.assert_allclose(shower_shapes(scaled), shapes, atol=1e-6)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_other_showers_are_no_farther_than_their_likest_images_and_not_near(name):
    one, other = full(GEOMETRIES[name], 30, seed=1), full(GEOMETRIES[name], 30, seed=2)

    def roots(showers):
        return np.sqrt(showers.voxels / showers.voxels.sum(axis=1, keepdims=True))

    found = cdist(shower_shapes(one), shower_shapes(other))
    images = [other, *(changed(other, change) for change in IMAGES[name])]
    hellinger = np.min([cdist(roots(one), roots(image)) for image in images], axis=0)
    assert (found <= hellinger + 1e-6).all()
    assert found.min() > 0.1


def test_a_relative_change_of_every_voxel_is_half_as_far():
    showers = full(geometry_of(LOPSIDED), 50)
    noise = np.where(np.random.default_rng(0).random(showers.voxels.shape) < 0.5, 0.99, 1.01)
    away = shower_shapes(showers) - shower_shapes(replace(showers, voxels=noise * showers.voxels))
    assert np.linalg.norm(away, axis=1).max() < 0.00501


def test_what_is_not_symmetric_has_no_mirror_images():
    showers = full(geometry_of(LOPSIDED), 20)
    shapes = shower_shapes(showers)
    for change in (mirrored(1), mirrored(2)):
        assert np.linalg.norm(shower_shapes(changed(showers, change)) - shapes, axis=1).min() > 0.05


def test_showers_of_a_few_hits_have_no_shape():
    geometry = geometry_of(cartesian(2, 3))
    voxels = np.tril(np.ones((6, 6)))
    voxels[0] = 0
    showers = Showers(e_inc=np.ones(6), voxels=voxels, geometry=geometry)
    assert has_shape(showers).tolist() == [False, False, False, True, True, True]
    assert not shower_shapes(showers)[0].any()
