"""One pass gives what the single functions give, whatever the chunks."""

import dataclasses
import math

import numpy as np
import pytest

from caloforge import Showers
from caloforge.errors import GeometryMismatchError, UnknownNameError, ValueRangeError
from caloforge.evaluation import (
    average_shower,
    compare,
    features,
    high_level_features,
    sample,
    sample_statistics,
    voxel_spectrum,
)
from caloforge.geometry import PolarGrid, get_geometry
from support.toys import cartesian, geometry_of, polar

GEOMETRIES = {
    "calogan": get_geometry("calogan"),
    "data set 1": get_geometry("calochallenge_1_pions"),
    "mixed": geometry_of(cartesian(2, 3), polar(3, 4), polar(1, 2)),
    "one voxel": geometry_of(cartesian(1, 1)),
}


@pytest.fixture(params=GEOMETRIES.values(), ids=GEOMETRIES.keys())
def showers(request, make_showers):
    return make_showers(request.param, 53)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(sample, "_BLOCK", 4000)  # several blocks, none of them a chunk


def flat(result):
    """Every number of a result, in order."""
    if dataclasses.is_dataclass(result) and not hasattr(result, "n_voxels"):
        return [n for f in dataclasses.fields(result) for n in flat(getattr(result, f.name))]
    if isinstance(result, dict):
        return flat(tuple(result.values()))
    if isinstance(result, tuple):
        return [n for item in result for n in flat(item)]
    return [np.asarray(result)] if isinstance(result, np.ndarray | int | float) else []


def chunked(showers, sizes):
    start = 0
    for size in sizes:
        yield showers[start : start + size]
        start += size
    yield showers[start:]


@pytest.mark.parametrize("sizes", [(1,) * 30, (0, 20, 0, 7), (52,)], ids=["ones", "some empty", "nearly all"])
def test_chunks_do_not_matter(showers, sizes):
    options = {"threshold": 0.2, "energy_edges": (3.0, 40.0, 100.0)}
    whole = flat(sample_statistics([showers], **options))
    parts = flat(sample_statistics(chunked(showers, sizes), **options))
    assert len(whole) == len(parts) > 10
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)


def test_same_as_the_single_functions(showers):
    found = sample_statistics([showers], threshold=0.3)
    cut = showers.above(0.3)
    assert (found.n_showers, found.threshold) == (53, 0.3)
    np.testing.assert_array_equal(found.e_inc, showers.e_inc)
    for mine, theirs in zip(found.features, high_level_features(cut, threshold=0.3), strict=True):
        assert (mine.name, mine.label, mine.unit) == (theirs.name, theirs.label, theirs.unit)
        np.testing.assert_array_equal(mine.values, theirs.values)
    average = average_shower(cut)
    np.testing.assert_allclose(found.average.mean, average.mean, rtol=1e-12)
    np.testing.assert_allclose(found.average.error, average.error, rtol=1e-12)
    np.testing.assert_allclose(
        average.error, cut.voxels.astype(float).std(axis=0, ddof=1) / math.sqrt(53), rtol=1e-9
    )
    np.testing.assert_allclose(found.longitudinal.mean, cut.e_layer.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(
        found.longitudinal.error, cut.e_layer.std(axis=0, ddof=1) / math.sqrt(53), rtol=1e-9
    )
    for k, profile in enumerate(found.radial_by_layer):
        assert profile.mean.sum() == pytest.approx(cut.e_layer[:, k].mean())
    assert found.radial.mean.sum() == pytest.approx(cut.e_dep.mean())
    n_voxels = showers.geometry.n_voxels
    assert found.spectrum.counts.sum() + found.spectrum.below + found.spectrum.above == 53 * n_voxels
    assert found.spectrum.counts.sum() == np.count_nonzero(cut.voxels)


def test_catalogue_has_every_single_feature(showers):
    found = {feature.name: feature.values for feature in high_level_features(showers)}
    for name in (
        "e_ratio",
        "depth_weighted_energy",
        "shower_depth",
        "shower_depth_width",
        "n_hits",
        "occupancy",
    ):
        np.testing.assert_allclose(found[name], getattr(features, name)(showers), rtol=1e-12)
    for name, function in {
        "e_layer": features.layer_energies,
        "fraction": features.layer_fractions,
        "sparsity": features.sparsity,
        "brightest": features.brightest_voxel,
        "brightest_share": features.brightest_share,
        "brightest_ratio": features.brightest_ratio,
        "centroid_r": features.radial_centroids,
        "width_r": features.radial_widths,
    }.items():
        values = function(showers)
        for k in range(showers.geometry.n_layers):
            if f"{name}_{k}" in found:
                np.testing.assert_array_equal(found[f"{name}_{k}"], values[:, k], err_msg=f"{name}_{k}")
            else:
                assert name.endswith("_r")
    for name, values in (("centroid", features.centroids(showers)), ("width", features.widths(showers))):
        for k in range(showers.geometry.n_layers):
            for axis in "xy":
                if f"{name}_{axis}_{k}" in found:
                    np.testing.assert_array_equal(found[f"{name}_{axis}_{k}"], values[:, k, "xy".index(axis)])


def test_slices_of_energy(showers):
    edges = (3.0, 40.0, float(showers.e_inc.max()), 200.0)
    found = sample_statistics([showers], energy_edges=edges)
    for part, low, high in zip(found.by_energy, edges, edges[1:], strict=False):
        inside = showers[(showers.e_inc >= low) & (showers.e_inc < high)]
        assert (part.low, part.high, part.n_showers) == (low, high, len(inside))
        np.testing.assert_allclose(part.average.mean, average_shower(inside).mean, rtol=1e-12)
    assert [part.n_showers for part in found.by_energy][-1] == 1  # the largest lies on an inner edge
    to_the_top = sample_statistics([showers], energy_edges=(edges[1], edges[2]))
    assert to_the_top.by_energy[0].n_showers == found.by_energy[1].n_showers + 1
    assert sample_statistics([showers], energy_edges=(1e6, 2e6)).by_energy[0].average is None
    assert sample_statistics([showers]).by_energy == ()


def test_profiles_on_paper(squares, rings):
    # layer a: (x, y) = (-5, 20): 1, (5, -20): 3, (5, 0): 4; layer b: y = -5: 2
    voxels = np.array([[0, 0, 1, 3, 4, 0, 2, 0], [0, 0, 0, 0, 0, 0, 0, 0]], dtype=float)
    found = sample_statistics([Showers(e_inc=np.ones(2), voxels=voxels, geometry=squares)])
    assert found.longitudinal.mean.tolist() == [4, 1]
    np.testing.assert_allclose(found.longitudinal.error, [4, 1])
    assert found.longitudinal.edges.tolist() == [-0.5, 0.5, 1.5]
    # bins of sqrt(10 * 20) = 14.1 mm: r = 5 in the first, r = sqrt(425) = 20.6 in the second
    a, b = found.radial_by_layer
    np.testing.assert_allclose(a.edges, math.sqrt(200) * np.arange(3))
    assert (a.name, a.mean.tolist()) == ("radial_0", [2, 2])
    assert b.mean.tolist() == [1]
    np.testing.assert_allclose(found.radial.edges, [0, math.sqrt(200), 2 * math.sqrt(200)])
    np.testing.assert_allclose(found.radial.mean, [3, 2])
    np.testing.assert_allclose(found.radial.error, [3, 2])

    shower = Showers(e_inc=np.ones(1), voxels=np.array([[1.0, 0, 0, 3, 1, 1]]), geometry=rings)
    found = sample_statistics([shower])
    assert found.radial_by_layer[0].edges.tolist() == [0, 10, 20]
    assert found.radial_by_layer[0].mean.tolist() == [1, 3]
    assert found.radial.mean.tolist() == [2, 4]
    assert np.isnan(found.radial.error).all()  # one shower


def test_rings_of_different_layers():
    geometry = geometry_of(
        *(PolarGrid(r_edges=edges, n_alpha=1) for edges in ((0, 10, 20, 30, 40), (0, 20), (0, 40, 80)))
    )
    voxels = np.arange(1.0, 8.0)[None]  # rings at 5, 15, 25, 35; 10; 20, 60
    found = sample_statistics([Showers(e_inc=np.ones(1), voxels=voxels, geometry=geometry)])
    # the coarsest first, and so on outwards: 0-20 of the second layer, then 40, 80 of the third
    assert found.radial.edges.tolist() == [0, 20, 40, 80]
    assert found.radial.mean.tolist() == [1 + 2 + 5, 3 + 4 + 6, 7]


def test_spectrum_on_paper(squares):
    voxels = np.array([[1.0, 2.0, 2.5, 4.0, 0, 0, 0.5, 0], [4.0, 8.0, 0, 0, 0, 0, 0, 0]])
    showers = Showers(e_inc=np.ones(2), voxels=voxels, geometry=squares)
    found = voxel_spectrum([showers], (1, 2, 4))
    assert found.counts.tolist() == [1, 4]  # the last bin with its upper edge
    assert (found.below, found.above) == (10, 1)
    assert found.per_shower.tolist() == [0.5, 2]
    np.testing.assert_allclose(found.error, [0.5, 1])
    assert voxel_spectrum([showers], (1, 2, 4), threshold=2.0).counts.tolist() == [0, 4]
    assert sample_statistics([showers], voxel_edges=(1, 2, 4)).spectrum.counts.tolist() == [1, 4]


def test_features_by_name(showers):
    found = sample_statistics([showers])
    np.testing.assert_array_equal(
        found.matrix(["n_hits", "e_ratio"]), np.column_stack([features.n_hits(showers), showers.e_ratio])
    )
    assert found.matrix().shape == (53, len(found.features))
    assert found.matrix([]).shape == (53, 0)
    with pytest.raises(UnknownNameError, match="e_ratio"):
        found.feature("e_ration")


def test_statistics_compare_like_showers(showers, make_showers):
    other = make_showers(showers.geometry, 40, seed=1, slope=2.0)
    by_showers = compare(other, showers, seed=3)
    by_statistics = compare(sample_statistics([other]), sample_statistics([showers]), seed=3)
    assert [repr(row.generated) for row in by_showers] == [repr(row.generated) for row in by_statistics]
    assert [(row.separation, row.floor, row.chi2) for row in by_showers] == [
        (row.separation, row.floor, row.chi2) for row in by_statistics
    ]


def test_a_shifted_voxel_is_found(squares, make_showers):
    reference, moved = make_showers(squares, 400), make_showers(squares, 400, seed=1)
    voxels = moved.voxels.copy()
    voxels[:, [0, 2]] = voxels[:, [2, 0]] * (2.0, 0.0)  # energy goes from y = 20 to y = -20 at x = -5
    moved = Showers(e_inc=moved.e_inc, voxels=voxels, geometry=squares)
    rows = {row.name: row for row in compare(moved, reference)}
    assert rows["centroid_y_0"].separation > 2 * rows["centroid_y_0"].floor_95
    assert rows["centroid_y_0"].p_value < 1e-6
    assert rows["centroid_y_1"].separation < 2 * rows["centroid_y_1"].floor_95  # the other layer is untouched


def test_refusals(squares, rings, make_showers):
    some = make_showers(squares)
    with pytest.raises(ValueRangeError, match="no showers"):
        sample_statistics([])
    with pytest.raises(ValueRangeError, match="no showers"):
        sample_statistics([some[:0]])
    with pytest.raises(ValueRangeError, match="no showers"):
        voxel_spectrum([some[:0]], (1, 2))
    with pytest.raises(GeometryMismatchError, match=r"'squares'.*goes on with.*'rings'"):
        sample_statistics([some, make_showers(rings)])
    with pytest.raises(ValueRangeError, match="threshold"):
        sample_statistics([some], threshold=-1.0)
    for edges in ((1.0,), (2.0, 1.0), (0.0, 1.0), (1.0, math.inf)):
        with pytest.raises(ValueRangeError, match="energy_edges"):
            sample_statistics([some], energy_edges=edges)
        with pytest.raises(ValueRangeError, match="voxel_edges"):
            sample_statistics([some], voxel_edges=edges)
