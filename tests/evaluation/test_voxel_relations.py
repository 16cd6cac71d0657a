"""Neighbours and overlaps, counted on paper."""

import numpy as np
import pytest

from caloforge.evaluation.voxel_relations import layer_zones, voxel_relations
from caloforge.geometry import CartesianGrid, PolarGrid, get_geometry
from support.toys import geometry_of, polar


def pairs(geometry, axis):
    return sorted(zip(*(ends.tolist() for ends in voxel_relations(geometry).pairs(axis)), strict=True))


def test_cartesian_neighbours(squares):
    # flat order: (x0, y0) (x0, y1) (x0, y2) (x1, y0) (x1, y1) (x1, y2), then the two of layer b
    assert pairs(squares, "x") == [(0, 3), (1, 4), (2, 5)]
    assert pairs(squares, "y") == [(0, 1), (1, 2), (3, 4), (4, 5), (6, 7)]
    assert voxel_relations(squares).degree.tolist() == [2, 3, 2, 2, 3, 2, 1, 1]


def test_rings_close():
    three = geometry_of(polar(3, 2))
    # alpha 0: voxels 0 1, alpha 1: 2 3, alpha 2: 4 5
    assert pairs(three, "alpha") == [(0, 2), (1, 3), (2, 4), (3, 5), (4, 0), (5, 1)]
    assert pairs(three, "r") == [(0, 1), (2, 3), (4, 5)]
    assert voxel_relations(three).degree.tolist() == [3] * 6


def test_two_halves_are_one_pair(rings):
    assert pairs(rings, "alpha") == [(0, 2), (1, 3)]
    assert pairs(rings, "r") == [(0, 1), (2, 3), (4, 5)]


def test_overlap_of_other_grids(squares, rings):
    overlap = voxel_relations(squares).overlap.toarray()
    # layer b reaches over -10..10 in y, so only the middle row of layer a has something behind it, half of each
    expected = np.zeros((8, 8))
    expected[[1, 1, 4, 4], [6, 7, 6, 7]] = 0.5
    np.testing.assert_allclose(overlap, expected)
    rows = voxel_relations(rings).overlap.toarray()
    assert rows[:4, 4:].tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]


@pytest.mark.parametrize("name", ["calogan", "ild_ecal", "calochallenge_1_pions", "calochallenge_2"])
def test_nothing_of_a_voxel_is_covered_twice(name):
    geometry = get_geometry(name)
    relations = voxel_relations(geometry)
    covered = relations.overlap.sum(axis=1)
    last = geometry.layer_slices[-1]
    assert covered.max() <= 1 + 1e-9
    assert not covered[last].any()
    if name != "calochallenge_1_pions":  # whose layers have different radii
        np.testing.assert_allclose(np.delete(covered, np.r_[last]), 1.0)


def test_overlap_of_two_kinds_of_grid():
    square = CartesianGrid(x_edges=(-10, 10), y_edges=(-10, 10))
    # a square of 20 x 20 mm in front of a disc of radius 10 mm: pi / 4 of it is covered
    geometry = geometry_of(square, PolarGrid(r_edges=(0, 10), n_alpha=1))
    assert voxel_relations(geometry).overlap.toarray()[0, 1] == pytest.approx(np.pi / 4, abs=0.02)


def test_many_layers_are_taken_together():
    zones = layer_zones(get_geometry("ild_ecal"))
    assert len(zones) == 10
    assert (zones.names[0], zones.suffixes[0]) == ("layers 0-2", "0-2")
    assert zones.columns[0] == slice(0, 3 * 900)
    assert layer_zones(get_geometry("calogan")).names == ("layer 0", "layer 1", "layer 2")
