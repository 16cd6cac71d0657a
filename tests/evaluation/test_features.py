"""Features of hand-made showers, worked out on paper."""

import math

import numpy as np
import pytest

from caloforge import Showers
from caloforge.errors import ValueRangeError
from caloforge.evaluation import features, high_level_features, usual_features
from caloforge.geometry import get_geometry

FEATURES = {
    name: getattr(features, name)
    for name in (
        "e_ratio",
        "layer_energies",
        "layer_fractions",
        "depth_weighted_energy",
        "shower_depth",
        "shower_depth_width",
        "deepest_layer",
        "centroids",
        "widths",
        "radial_centroids",
        "radial_widths",
        "sparsity",
        "brightest_voxel",
        "brightest_share",
        "brightest_ratio",
        "n_hits",
        "occupancy",
    )
}


@pytest.fixture
def cartesian(squares):
    """A shower with both layers, one in layer a alone, one without energy; flat order is y fastest."""
    voxels = [
        # (x, y) = (-5, 20): 1; (5, -20): 3; (5, 0): 4          y = -5: 2, y = 5: 0
        [0, 0, 1, 3, 4, 0, 2, 0],
        [0, 6, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]
    return Showers(e_inc=np.array([20.0, 12.0, 5.0]), voxels=np.array(voxels, dtype=float), geometry=squares)


@pytest.fixture
def polar(rings):
    # layer a: alpha = -pi/2: r = 5: 1, r = 15: 0; alpha = pi/2: r = 5: 0, r = 15: 3; layer b: r = 5: 1, r = 15: 1
    return Showers(e_inc=np.array([10.0]), voxels=np.array([[1.0, 0, 0, 3, 1, 1]]), geometry=rings)


def test_energies_and_depth(cartesian):
    assert features.e_ratio(cartesian).tolist() == [0.5, 0.5, 0.0]
    assert features.layer_energies(cartesian).tolist() == [[8, 2], [6, 0], [0, 0]]
    assert features.layer_fractions(cartesian).tolist() == [[0.8, 0.2], [1, 0], [0, 0]]
    assert features.depth_weighted_energy(cartesian).tolist() == [2, 0, 0]
    assert features.shower_depth(cartesian).tolist() == [0.2, 0, 0]
    # <k^2> - <k>^2 = 0.2 - 0.04
    np.testing.assert_allclose(features.shower_depth_width(cartesian), [0.4, 0, 0], rtol=1e-12)
    assert features.deepest_layer(cartesian).tolist() == [1, 0, 0]
    assert features.deepest_layer(cartesian, threshold=2.0).tolist() == [0, 0, 0]


def test_cartesian_centroids_and_widths(cartesian):
    centroids, widths = features.centroids(cartesian), features.widths(cartesian)
    assert centroids.shape == widths.shape == (3, 2, 2)
    # x: (-5 + 15 + 20) / 8; y: (20 - 60 + 0) / 8
    assert centroids[0].tolist() == [[3.75, -5.0], [0.0, -5.0]]
    # x: 25 - 3.75^2; y: (400 + 1200) / 8 - 25
    np.testing.assert_allclose(widths[0, 0], [math.sqrt(25 - 3.75**2), math.sqrt(175)], rtol=1e-12)
    assert widths[0, 1].tolist() == [0, 0]
    assert centroids[1].tolist() == [[-5.0, 0.0], [0.0, 0.0]]  # one voxel: its place, no width
    assert not widths[1].any()
    assert not centroids[2].any()
    assert not widths[2].any()


def test_radius_on_a_cartesian_grid(cartesian):
    far, near = math.hypot(5, 20), 5.0
    mean = (4 * far + 4 * near) / 8
    np.testing.assert_allclose(features.radial_centroids(cartesian)[:, 0], [mean, 5, 0])
    np.testing.assert_allclose(features.radial_widths(cartesian)[:, 0], [(far - near) / 2, 0, 0], atol=1e-12)


def test_polar(polar):
    # layer a: y = (-5 + 3 * 15) / 4 = 10, <y^2> = (25 + 675) / 4 = 175; r: (5 + 45) / 4 = 12.5
    np.testing.assert_allclose(features.centroids(polar)[0], [[0, 10], [0, 0]], atol=1e-12)
    np.testing.assert_allclose(features.widths(polar)[0], [[0, math.sqrt(75)], [0, 0]], atol=1e-12)
    np.testing.assert_allclose(features.radial_centroids(polar)[0], [12.5, 10.0])
    np.testing.assert_allclose(features.radial_widths(polar)[0], [math.sqrt(175 - 12.5**2), 5.0])


def test_voxel_counts(cartesian):
    np.testing.assert_allclose(features.sparsity(cartesian), [[0.5, 0.5], [5 / 6, 1], [1, 1]])
    np.testing.assert_allclose(features.sparsity(cartesian, threshold=1.0)[0], [4 / 6, 0.5])
    assert features.n_hits(cartesian).tolist() == [4, 1, 0]
    assert features.n_hits(cartesian, threshold=2.0).tolist() == [2, 1, 0]
    assert features.occupancy(cartesian).tolist() == [4 / 8, 1 / 8, 0]
    assert features.brightest_voxel(cartesian).tolist() == [[4, 2], [6, 0], [0, 0]]
    assert features.brightest_share(cartesian).tolist() == [[0.5, 1], [1, 0], [0, 0]]
    np.testing.assert_allclose(features.brightest_ratio(cartesian), [[1 / 7, 1], [1, 0], [0, 0]])
    with pytest.raises(ValueRangeError, match="threshold"):
        features.n_hits(cartesian, threshold=math.nan)


@pytest.mark.parametrize("name", FEATURES)
def test_a_shower_does_not_know_the_others(name, rings, squares, make_showers):
    for geometry in (rings, squares, get_geometry("calogan")):
        showers = make_showers(geometry, 23)
        whole = FEATURES[name](showers)
        parts = [FEATURES[name](showers[a:b]) for a, b in ((0, 0), (0, 1), (1, 10), (10, 23))]
        np.testing.assert_array_equal(whole, np.concatenate(parts))
        assert np.isfinite(whole).all()


def test_permuted_voxels_change_the_place_and_nothing_else(squares, make_showers):
    showers = make_showers(squares)
    order = np.array([4, 2, 0, 1, 5, 3, 7, 6])  # within each layer
    moved = Showers(e_inc=showers.e_inc, voxels=showers.voxels[:, order], geometry=squares)
    for name, function in FEATURES.items():
        same = np.allclose(function(showers), function(moved), rtol=1e-6)
        assert same == (name not in ("centroids", "widths", "radial_centroids", "radial_widths")), name


def test_turning_a_shower_by_half_a_circle_mirrors_it(rings, make_showers):
    showers = make_showers(rings)
    turned = Showers(e_inc=showers.e_inc, voxels=showers.voxels[:, [2, 3, 0, 1, 4, 5]], geometry=rings)
    np.testing.assert_allclose(features.centroids(turned), -features.centroids(showers), atol=1e-12)
    np.testing.assert_allclose(features.widths(turned), features.widths(showers), atol=1e-12)


def test_catalogue(squares, rings, make_showers):
    names = [feature.name for feature in high_level_features(make_showers(squares))]
    usual = [feature.name for feature in usual_features(make_showers(squares))]
    assert names[: len(usual)] == usual
    assert len(set(names)) == len(names)
    # the voxels of layer b are equally far from the axis
    lateral = ["x_0", "y_0", "r_0", "y_1"]
    assert usual[-8:] == [f"{name}_{place}" for name in ("centroid", "width") for place in lateral]
    showers = make_showers(rings)
    found = {feature.name: feature for feature in high_level_features(showers)}
    assert "width_x_1" not in found  # rings that are not cut in alpha
    np.testing.assert_array_equal(found["width_r_1"].values, features.radial_widths(showers)[:, 1])
    np.testing.assert_array_equal(found["centroid_y_0"].values, features.centroids(showers)[:, 0, 1])
    assert all(feature.values.shape == (50,) for feature in found.values())
    assert (found["e_layer_1"].unit, found["e_layer_1"].label) == ("MeV", "energy in layer b")


def test_one_voxel_layer():
    from caloforge.geometry import CartesianGrid, Geometry, Layer

    grid = CartesianGrid(x_edges=(-1, 1), y_edges=(-1, 1))
    showers = Showers(
        e_inc=np.array([1.0, 1.0]),
        voxels=np.array([[2.0], [0.0]]),
        geometry=Geometry(name="one", layers=(Layer(name="a", grid=grid),)),
    )
    assert features.brightest_ratio(showers).tolist() == [[1.0], [0.0]]
    assert not any("centroid" in feature.name for feature in high_level_features(showers))
