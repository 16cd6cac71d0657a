"""Features of hits and their neighbours: on paper, under reflections and turns, and as a defect detector."""

import dataclasses
import math

import numpy as np
import pytest

from caloforge import Showers
from caloforge.evaluation import GROUPS, high_level_features
from support.toys import cartesian, geometry_of, polar


def values(showers, threshold=1.0):
    return {f.name: f.values for f in high_level_features(showers, threshold=threshold)}


@pytest.fixture
def on_squares(squares):
    # layer a, rows x = -5, 5: (0, 0, 1), (3, 4, 0) MeV at y = -20, 0, 20; layer b: 2, 0 at y = -5, 5. And an empty one.
    voxels = np.array([[0, 0, 1, 3, 4, 0, 2, 0], [0.0] * 8])
    return values(Showers(e_inc=np.array([20.0, 5.0]), voxels=voxels, geometry=squares))


def test_local_structure(on_squares):
    # 1 MeV is alone, 3 and 4 MeV lie beside each other in y; layer b has one hit
    for name, expected in {
        "isolated": (1, 1),
        "clusters": (2, 1),
        "largest_cluster": (2, 1),
        "neighbour_hit": (
            2 / (2 + 2 + 3),
            0,
        ),  # one pair in both orders, over the neighbours of the three hits
        "roughness_x": (0, 0),
        "roughness_y": (math.log10(4 / 3), 0),
        "neighbour_correlation_y": (-1, 0),  # a single pair, in both orders
    }.items():
        for layer in (0, 1):
            assert on_squares[f"{name}_{layer}"].tolist() == pytest.approx([expected[layer], 0]), name


def test_hit_energies(on_squares):
    logs = np.log10([1, 3, 4])
    for name, expected in {
        "hits_decade_0_0": 2,  # 1 and 3 MeV, from the threshold of 1 MeV to 3.16
        "hits_decade_0.5_0": 1,
        "hits_decade_1_0": 0,
        "log_mean_0": logs.mean(),
        "log_std_0": logs.std(),
        "log_min_0": 0,
        "log_min_1": math.log10(2),
        "hits_above_1MeV_0": 2,
        "just_above_0": 1 / 3,
        "brightest_2_share_0": 3 / 8,
        "brightest_3_share_0": 1 / 8,
        "brightest_4_share_0": 0,
        "brightest_x_0": 5,
        "brightest_y_0": 0,
        "brightest_y_1": -5,
    }.items():
        assert on_squares[name].tolist() == pytest.approx([expected, 0]), name


def test_between_layers(on_squares):
    for name, expected in {
        "hit_behind_0": 0.5 / 3,  # only 4 MeV has something behind it, and half of that is hit
        "behind_correlation_0": 0,
        "shift_x_0": -3.75,
        "shift_y_0": 0,
        "same_side_x_0": 0,
        "same_side_y_0": 5,
        "alignment_0": 25 / (6.25 * 5),  # of (3.75, -5) and (0, -5)
        "next_energy_0": 2 / 10,
        "next_hits_0": 1 / 4,
        "hardening_0": math.log10(2) - math.log10(12) / 3,
    }.items():
        assert on_squares[name].tolist() == pytest.approx([expected, 0]), name
    assert "hit_behind_1" not in on_squares, "nothing lies behind the last layer"


def test_tails(on_squares):
    # 4 MeV at (5, 0) lie just at half of the 10 mm, 1 and 3 MeV beyond
    assert on_squares["beyond_0.5_0"].tolist() == [0.5, 0]
    assert on_squares["beyond_0.5_1"].tolist() == [0, 0]
    assert "beyond_0.25_0" not in on_squares, "every voxel lies beyond"
    fourth = (1 * 25**4 + 3 * 15**4 + 4 * 5**4) / 8
    assert on_squares["fourth_y_0"].tolist() == pytest.approx([fourth**0.25, 0])


def test_rings(rings):
    # layer a: alpha -pi/2: 1, 0; alpha pi/2: 0, 3; layer b: 4, 2
    found = values(Showers(e_inc=np.array([20.0]), voxels=np.array([[1.0, 0, 0, 3, 4, 2]]), geometry=rings))
    for name, expected in {
        "isolated_0": 2,
        "isolated_1": 0,
        "clusters_1": 1,
        "neighbour_hit_1": 1,
        "roughness_r_1": math.log10(2),
        "hit_behind_0": 1,
        "behind_correlation_0": -1,  # 1 and 3 MeV before 2 and 1: half of each ring's energy
    }.items():
        assert found[name].tolist() == pytest.approx([expected]), name


def random_showers(geometry, n=40, occupancy=0.4, seed=3):
    rng = np.random.default_rng(seed)
    shape = (n, geometry.n_voxels)
    voxels = 10 ** rng.uniform(-2.5, 3, shape) * (rng.random(shape) < occupancy)
    return Showers(e_inc=rng.uniform(1e3, 1e5, n), voxels=voxels, geometry=geometry)


def moved(showers, move):
    """The showers with each layer's grid of voxels rearranged."""
    geometry, parts = showers.geometry, []
    for number in range(geometry.n_layers):
        parts.append(move(geometry.layer_voxels(showers.voxels, number)).reshape(len(showers), -1))
    return dataclasses.replace(showers, voxels=np.concatenate(parts, axis=1))


MOVES = {
    "mirrored in x": (geometry_of(cartesian(4, 6), cartesian(2, 3)), lambda v: v[:, ::-1]),
    "mirrored in y": (geometry_of(cartesian(4, 6), cartesian(2, 3)), lambda v: v[:, :, ::-1]),
    "turned": (geometry_of(polar(8, 4), polar(8, 3)), lambda v: np.roll(v, 3, axis=1)),
    "mirrored in alpha": (geometry_of(polar(8, 4), polar(8, 3)), lambda v: v[:, ::-1]),
}
_OF_AXES = ("brightest_x", "brightest_y", "shift", "same_side", "widening", "fourth")


@pytest.mark.parametrize(("geometry", "move"), MOVES.values(), ids=MOVES.keys())
def test_reflections_and_turns_change_nothing(geometry, move):
    showers = random_showers(geometry)
    before, after = (
        {f.name: f.values for f in high_level_features(s, threshold=1e-3) if f.group != "energies"}
        for s in (showers, moved(showers, move))
    )
    skipped = ("centroid", "width", "shower_mean", "shower_width", *_OF_AXES)
    compared = [name for name in before if not name.startswith(skipped)]
    assert sum("_0" in name for name in compared) > 30
    for name in compared:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-9, atol=1e-9, err_msg=name)


def test_a_shower_does_not_depend_on_the_others():
    showers = random_showers(geometry_of(cartesian(4, 6), polar(6, 3), polar(3, 2)))
    whole = values(showers)
    alone = values(showers[17:18])
    for name, found in whole.items():
        assert found[17] == alone[name][0], name


@pytest.mark.parametrize(
    "geometry",
    [
        geometry_of(cartesian(1, 1)),
        geometry_of(cartesian(1, 1), cartesian(3, 1)),
        geometry_of(polar(1, 3), cartesian(2, 2), polar(2, 1)),
        geometry_of(*[polar(4, 2)] * 15),
    ],
    ids=["one voxel", "a row", "mixed", "many layers"],
)
@pytest.mark.parametrize("occupancy", [0.0, 0.5, 1.0])
def test_odd_calorimeters(geometry, occupancy):
    features = high_level_features(random_showers(geometry, occupancy=occupancy))
    assert len({f.name for f in features}) == len(features)
    assert {f.group for f in features} <= set(GROUPS)
    for feature in features:
        assert feature.values.shape == (40,), feature.name
        assert np.isfinite(feature.values).all(), feature.name
    if occupancy == 0:
        zero = [f.name for f in features if f.values.any() and not f.name.startswith("sparsity")]
        assert not zero


def test_no_showers(squares):
    none = Showers(e_inc=np.zeros(0), voxels=np.zeros((0, 8)), geometry=squares)
    assert all(f.values.shape == (0,) for f in high_level_features(none))
