"""Groups of voxels that lie apart."""

import numpy as np
import pytest

from caloforge.geometry import catalogue, get_geometry
from caloforge.preprocessing import voxel_groups
from support.toys import cartesian, geometry_of


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_calorimeter_has_groups_of_voxels_that_do_not_touch(name):
    geometry = get_geometry(name)
    groups = voxel_groups(geometry, 16)
    assert groups.shape == (geometry.n_voxels,)
    assert set(groups) == set(range(16))
    for layer, where in zip(geometry.layers, geometry.layer_slices, strict=True):
        grid = groups[where].reshape(layer.grid.shape)
        for di, dj in ((0, 1), (1, 0), (1, 1), (1, -1)):
            a = grid[di:, max(0, dj) : grid.shape[1] + min(0, dj)]
            b = grid[: grid.shape[0] - di, max(0, -dj) : grid.shape[1] - max(0, dj)]
            assert (a != b).all()
    sizes = np.bincount(groups)
    assert sizes.max() <= 2 * sizes.mean()


def test_fewer_voxels_than_groups():
    groups = voxel_groups(geometry_of(cartesian(2, 2), cartesian(1, 1)), 16)
    assert set(groups) == set(range(max(groups) + 1))
    assert max(groups) < 5


def test_one_group():
    assert not voxel_groups(geometry_of(cartesian(3, 3)), 1).any()
