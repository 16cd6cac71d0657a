"""The whole shower's centre and width, voxel by voxel."""

import numpy as np

from caloforge.evaluation import l2lflows_feature_names, l2lflows_features, sample_statistics
from support.toys import cartesian, geometry_of, polar


def test_all_ten_by_hand(make_showers):
    geometry = geometry_of(cartesian(3, 4), cartesian(2, 3), polar(3, 2))
    showers = make_showers(geometry, 20)
    showers.voxels[0] = 0
    showers.voxels[1, :-1] = 0
    x, y = (np.concatenate([layer.grid.centres()[k] for layer in geometry.layers]) for k in (0, 1))
    z = np.repeat([0, 1, 2], [12, 6, 6])
    names = l2lflows_feature_names(geometry)
    assert len(names) == 10
    for row, energies, e_inc in zip(l2lflows_features(showers), showers.voxels, showers.e_inc, strict=True):
        found = dict(zip(names, row, strict=True))
        total = energies.astype(float).sum()
        np.testing.assert_allclose([found["e_inc"], found["e_dep"]], [e_inc, total])
        np.testing.assert_allclose(found["e_ratio"], total / e_inc)
        assert found["occupancy"] == np.count_nonzero(energies) / 24
        for position, mean, width in (
            (z, "shower_depth", "shower_depth_width"),
            (x, "shower_mean_x", "shower_width_x"),
            (y, "shower_mean_y", "shower_width_y"),
        ):
            expected = np.average(position, weights=energies) if total else 0
            spread = np.sqrt(np.average((position - expected) ** 2, weights=energies)) if total else 0
            np.testing.assert_allclose([found[mean], found[width]], [expected, spread], atol=1e-9)


def test_of_statistics_and_of_rings(make_showers):
    geometry = geometry_of(polar(1, 5), polar(1, 3))
    showers = make_showers(geometry)
    names = l2lflows_feature_names(geometry)
    assert names == ("e_inc", "e_dep", "e_ratio", "occupancy", "shower_depth", "shower_depth_width")
    np.testing.assert_array_equal(l2lflows_features(showers), l2lflows_features(sample_statistics([showers])))
