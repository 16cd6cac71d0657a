import numpy as np
import pytest
import torch

from caloforge.errors import ConfigError
from caloforge.geometry import CartesianGrid, get_geometry
from caloforge.preprocessing import voxel_symmetries
from support.toys import cartesian, geometry_of, polar, toy_showers

# geometry, number of symmetries
GEOMETRIES = {
    "cartesian": (geometry_of(cartesian(4, 3), cartesian(2, 6), cartesian(1, 1)), 4),
    "polar": (geometry_of(polar(6, 2), polar(6, 3)), 12),
    "polar, two cuts": (geometry_of(polar(6, 2), polar(4, 3), polar(1, 5)), 4),
    "polar, nothing in common": (geometry_of(polar(3, 2), polar(4, 3)), 2),
    "halves": (geometry_of(polar(2, 2), polar(1, 3)), 2),
    "rings": (geometry_of(polar(1, 2), polar(1, 3)), 1),
    "calogan": (get_geometry("calogan"), 4),
    "calochallenge_1_photons": (get_geometry("calochallenge_1_photons"), 20),
    "calochallenge_1_pions": (get_geometry("calochallenge_1_pions"), 20),
    "calochallenge_2": (get_geometry("calochallenge_2"), 32),
}
geometries = pytest.mark.parametrize(("geometry", "order"), GEOMETRIES.values(), ids=GEOMETRIES.keys())


@geometries
def test_symmetries_are_a_group_of_permutations(geometry, order):
    rows = voxel_symmetries(geometry)
    assert rows.shape == (order, geometry.n_voxels)
    assert torch.equal(rows[0], torch.arange(geometry.n_voxels))
    assert torch.equal(rows.sort(1).values, rows[:1].expand_as(rows))
    members = {tuple(row.tolist()) for row in rows}
    assert len(members) == order, "an element comes twice"
    for one in rows:
        assert {tuple(row.tolist()) for row in one[rows]} == members


@geometries
def test_symmetries_keep_the_energy_of_the_layers(geometry, order):
    showers = toy_showers(geometry, 3)
    for row in voxel_symmetries(geometry).numpy():
        np.testing.assert_allclose(geometry.e_layer(showers.voxels[:, row]), showers.e_layer)


@geometries
def test_symmetries_keep_the_distance_from_the_axis(geometry, order):
    rows = voxel_symmetries(geometry).numpy()
    centres = [layer.grid.centres() for layer in geometry.layers]
    x, y = (np.concatenate([c[k] for c in centres]) for k in (0, 1))
    for row in rows:
        np.testing.assert_allclose(np.hypot(x, y)[row], np.hypot(x, y), atol=1e-5)
    if order == 1:
        return
    for layer, where in zip(geometry.layers, geometry.layer_slices, strict=True):
        # The same motion everywhere: voxel i shows what was in row[i], so centres turn by one orthogonal matrix.
        if layer.grid.kind == "polar" and layer.grid.n_alpha == 1:
            continue
        here = np.stack([x[where], y[where]])
        for row in rows:
            there = np.stack([x[row[where]], y[row[where]]])
            matrix = there @ np.linalg.pinv(here)
            np.testing.assert_allclose(matrix @ here, there, atol=1e-5)


def test_a_cartesian_shower_by_hand():
    # 2 x 3 voxels, y fastest:   y ->  1 2 3 for the first x,  4 5 6 for the second
    rows = voxel_symmetries(geometry_of(cartesian(2, 3)))
    seen = {tuple(torch.tensor([1, 2, 3, 4, 5, 6])[row].tolist()) for row in rows}
    assert seen == {(1, 2, 3, 4, 5, 6), (3, 2, 1, 6, 5, 4), (4, 5, 6, 1, 2, 3), (6, 5, 4, 3, 2, 1)}


def test_a_polar_shower_by_hand():
    # 3 slices of alpha with 2 rings each, r fastest; the second layer is not cut.
    rows = voxel_symmetries(geometry_of(polar(3, 2), polar(1, 2)))
    seen = {tuple(torch.tensor([1, 10, 2, 20, 3, 30, 7, 8])[row].tolist()) for row in rows}
    turns = [(1, 2, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1), (2, 1, 3), (1, 3, 2)]
    assert seen == {(a, 10 * a, b, 10 * b, c, 10 * c, 7, 8) for a, b, c in turns}


def test_layers_turn_together():
    """A half turn of 4 and of 2 slices is one motion; the layers do not turn each on its own."""
    rows = voxel_symmetries(geometry_of(polar(4, 1), polar(2, 1)))
    seen = {tuple(torch.tensor([1, 2, 3, 4, 5, 6])[row].tolist()) for row in rows}
    assert seen == {(1, 2, 3, 4, 5, 6), (3, 4, 1, 2, 6, 5), (4, 3, 2, 1, 6, 5), (2, 1, 4, 3, 5, 6)}


@pytest.mark.parametrize(
    ("grid", "axis"),
    [
        (CartesianGrid(x_edges=(-1, 0, 2), y_edges=(-1, 1)), "x"),
        (CartesianGrid(x_edges=(-1, 1), y_edges=(0, 1, 2)), "y"),
        (CartesianGrid(x_edges=(-1, 0.5, 1), y_edges=(-1, 1)), "x"),
    ],
)
def test_asymmetric_layers_are_refused(grid, axis):
    with pytest.raises(ConfigError, match=f"'l1' of 'toy' is not symmetric in {axis}"):
        voxel_symmetries(geometry_of(cartesian(2, 2), grid))


def test_mixed_layers_are_refused():
    with pytest.raises(ConfigError, match="mixes Cartesian and polar"):
        voxel_symmetries(geometry_of(cartesian(2, 2), polar(4, 2)))
