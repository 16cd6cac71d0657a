"""Moments of layers against the features of the judge, and voxels that are brought to have them."""

import numpy as np
import pytest
import torch

from caloforge.evaluation import features
from caloforge.geometry import get_geometry
from caloforge.preprocessing import LayerMoments
from caloforge.showers import Showers
from support.toys import cartesian, geometry_of, polar, toy_showers

GEOMETRIES = {
    "cartesian": geometry_of(cartesian(3, 8), cartesian(6, 6), cartesian(1, 4)),
    "polar": geometry_of(polar(8, 5), polar(12, 3)),
    "rings": geometry_of(polar(1, 6), polar(8, 4), polar(1, 1)),
    "calogan": get_geometry("calogan"),
}


def blobs(geometry, n, seed=0):
    """Showers with a centre and a width of their own in each layer."""
    rng = np.random.default_rng(seed)
    layers = []
    for layer in geometry.layers:
        x, y = layer.grid.centres()
        scale = max(np.ptp(x), np.ptp(y), 1.0)
        centre = rng.normal(0, 0.05 * scale, (2, n, 1))
        width = rng.uniform(0.1, 0.2, (n, 1)) * scale
        shape = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * width**2))
        layers.append(shape * rng.gamma(2.0, 0.5, shape.shape))
    voxels = np.concatenate(layers, axis=1).astype(np.float32)
    return Showers(e_inc=np.full(n, 1e5), voxels=voxels, geometry=geometry)


@pytest.mark.parametrize("name", ["cartesian", "polar", "calogan"])
def test_moments_are_the_features_of_the_judge(name):
    geometry = GEOMETRIES[name]
    showers = blobs(geometry, 20)
    moments = LayerMoments(geometry).encode(torch.from_numpy(showers.voxels)).numpy()
    centres, widths = features.centroids(showers), features.widths(showers)
    column = 0
    for k, layer in enumerate(geometry.layers):
        for axis, positions in enumerate(layer.grid.centres()):
            if np.ptp(positions) == 0:
                continue
            mean = 5.0 * np.sinh(moments[:, column])
            np.testing.assert_allclose(mean, centres[:, k, axis], rtol=1e-4, atol=1e-2)
            found = np.sqrt(np.expm1(moments[:, column + 1]))
            np.testing.assert_allclose(found, widths[:, k, axis], rtol=1e-3)
            column += 2
    assert column == moments.shape[1]


def test_rings_have_a_radius():
    geometry = GEOMETRIES["rings"]
    step = LayerMoments(geometry)
    assert step.n_moments == 2 + 4
    assert step.layer_of_moment == [0, 0, 1, 1, 1, 1]
    showers = blobs(geometry, 5)
    moments = step.encode(torch.from_numpy(showers.voxels)).numpy()
    radius = 5.0 * np.sinh(moments[:, 0])
    np.testing.assert_allclose(radius, features.radial_centroids(showers)[:, 0], rtol=1e-4)


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES.keys())
def test_voxels_get_the_moments_asked_for(geometry):
    step = LayerMoments(geometry)
    found = step.encode(torch.from_numpy(blobs(geometry, 200, seed=1).voxels))
    voxels = torch.from_numpy(blobs(geometry, 200, seed=2).voxels)
    before = step.encode(voxels)
    # Half of the way to the moments of other showers.
    wanted = 0.5 * (found + before)
    closed = step.close(voxels.T, wanted.T).T
    after = step.encode(closed)
    assert torch.equal(closed > 0, voxels > 0)
    left = (after - wanted).abs().mean(0) / (before - wanted).abs().mean(0)
    assert float(left.median()) < 0.2
    assert float(left.max()) < 0.85  # the coarsest layers, of three or four voxels


def test_moments_that_are_right_are_left_alone():
    geometry = GEOMETRIES["cartesian"]
    step = LayerMoments(geometry)
    voxels = torch.from_numpy(blobs(geometry, 20).voxels)
    closed = step.close(voxels.T, step.encode(voxels).T).T
    torch.testing.assert_close(closed, voxels, rtol=1e-3, atol=1e-6)


def test_nothing_to_move():
    """Empty layers, single hits, no showers."""
    geometry = GEOMETRIES["cartesian"]
    step = LayerMoments(geometry)
    voxels = torch.zeros(3, geometry.n_voxels)
    voxels[1, 5] = 2.0
    voxels[2, :24] = 1e-20
    wanted = torch.full((3, step.n_moments), 7.0)
    closed = step.close(voxels.T, wanted.T).T
    assert bool(closed.isfinite().all())
    assert torch.equal(closed[:2], voxels[:2])
    assert step.close(voxels[:0].T, wanted[:0].T).shape == (geometry.n_voxels, 0)
    assert step.encode(voxels[:0]).shape == (0, step.n_moments)
    assert bool((step.encode(voxels)[0] == 0).all())


def test_layers_without_energy_have_no_moments():
    step = LayerMoments(GEOMETRIES["cartesian"])
    valid = step.valid(torch.tensor([[1.0, 0.0, 0.5], [0.0, 2.0, 0.49]]), 0.5)
    assert valid[0].tolist() == [True] * 4 + [False] * 4 + [True] * 2
    assert valid[1].tolist() == [False] * 4 + [True] * 4 + [False] * 2


def test_a_shower_does_not_depend_on_its_neighbours():
    geometry = GEOMETRIES["polar"]
    step = LayerMoments(geometry)
    voxels = torch.from_numpy(toy_showers(geometry, 6).voxels)
    wanted = step.encode(voxels.flip(0))
    whole = step.close(voxels.T, wanted.T)
    part = step.close(voxels[2:4].T, wanted[2:4].T)
    torch.testing.assert_close(whole[:, 2:4], part, rtol=1e-4, atol=1e-4)
