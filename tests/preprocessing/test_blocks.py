"""Blocks of every grid: each voxel once, from the outside in, nothing that touches in one step."""

import numpy as np
import pytest

from caloforge.geometry import CartesianGrid, catalogue, get_geometry
from caloforge.preprocessing.blocks import grid_blocks, layer_overlaps
from support.toys import cartesian, geometry_of, polar

GRIDS = {
    **{
        f"{name} {k}": g.layers[k].grid for name in catalogue() for g in [get_geometry(name)] for k in (0, -1)
    },
    "odd": cartesian(5, 7),
    "one": cartesian(1, 1),
    "odd slices": polar(5, 3),
    "two slices": polar(2, 2),
}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_each_voxel_is_in_one_block(grid):
    members = grid_blocks(grid).members
    assert sorted(members[members >= 0]) == list(range(grid.n_voxels))


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_blocks_of_a_step_do_not_touch(grid):
    blocks = grid_blocks(grid)
    step = np.array([b.step for b in blocks.blocks])
    assert (np.diff(step) >= 0).all()
    owner = np.empty(grid.n_voxels, dtype=int)
    for k, members in enumerate(blocks.members):
        owner[members[members >= 0]] = k
    cells = owner.reshape(grid.shape)
    pairs = [(cells[:-1].ravel(), cells[1:].ravel()), (cells[:, :-1].ravel(), cells[:, 1:].ravel())]
    if blocks.cyclic:
        pairs.append((cells[-1], cells[0]))
    for a, b in pairs:
        assert ((a == b) | (step[a] != step[b])).all()


@pytest.mark.parametrize("grid", [cartesian(5, 7), cartesian(12, 12), cartesian(3, 96), polar(16, 9)])
def test_from_the_outside_in(grid):
    blocks = grid_blocks(grid)
    positions = np.stack(grid.centres(), axis=1)
    away = [np.hypot(*positions[m[m >= 0]].mean(0)) for m in blocks.members]
    step = np.array([b.step for b in blocks.blocks])
    first, last = step == 0, step == step.max()
    assert np.min(np.array(away)[first]) > np.max(np.array(away)[last])


def test_a_frame_looks_outward():
    """Mirrored blocks see mirrored voxels at the same place of their windows."""
    grid = cartesian(4, 6)
    blocks = grid_blocks(grid)
    window = blocks.window((2, 2))
    seen = blocks.cells(window)
    x, y = grid.centres()
    frames = blocks.frames(2)
    for own, around, frame in zip(blocks.members, seen, frames, strict=True):
        away = np.stack([x[around] - x[own[0]], y[around] - y[own[0]]], axis=1) @ frame.T
        pitch = np.array([15.0, 40 / 6])
        expected = (np.array(window) - np.array(blocks.offsets[0])) * pitch
        inside = around >= 0
        # A segment with fewer cells than others leaves out the places it does not have.
        whole = (own >= 0).all()
        if whole:
            np.testing.assert_allclose(away[inside], expected[inside], atol=1e-9)


def test_once_around_a_ring():
    blocks = grid_blocks(polar(8, 2))
    seen = blocks.cells([(-1, 0), (2, 0)])
    assert (seen >= 0).all()
    members = blocks.cells([(0, 0), (1, 0)])
    assert ((members[:, 0] // 2 - seen[:, 0] // 2) % 8 == 1).all()
    assert ((seen[:, 1] // 2 - members[:, 1] // 2) % 8 == 1).all()


def test_the_core_is_whole_rings_of_blocks():
    blocks = grid_blocks(cartesian(12, 12))
    core = blocks.is_core(16)
    assert (blocks.members[core] >= 0).sum() == 16
    assert core[-4:].all()
    assert not blocks.is_core(0).any()
    assert blocks.is_core(10_000).all()


def test_footprints_share_out_the_layer_before():
    geometry = geometry_of(cartesian(3, 8), cartesian(6, 4))
    blocks = grid_blocks(geometry.layers[1].grid)
    overlaps = layer_overlaps(geometry, 1, blocks)
    np.testing.assert_allclose(overlaps.sum(0), 1, rtol=1e-5)
    energy = np.zeros(24)
    energy[0] = 1.0  # lower corner: -30 .. -10 in x, -20 .. -15 in y
    got = overlaps @ energy
    corner = [k for k, m in enumerate(blocks.members) if 0 in m]
    assert got[corner] == pytest.approx(1.0)


def test_footprints_of_a_wider_layer_before():
    wide = CartesianGrid(x_edges=(-100.0, 100.0), y_edges=(-100.0, 0.0, 100.0))
    geometry = geometry_of(wide, cartesian(2, 2))
    overlaps = layer_overlaps(geometry, 1, grid_blocks(geometry.layers[1].grid))
    assert (overlaps.sum(0) < 0.5).all()
