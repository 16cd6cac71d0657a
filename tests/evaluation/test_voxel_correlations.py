"""Correlations between voxels against the textbook's regression, shower by shower."""

import dataclasses

import numpy as np
import pytest

from caloforge import Showers
from caloforge.errors import GeometryMismatchError
from caloforge.evaluation import sample_statistics
from caloforge.evaluation.voxel_correlations import BEHIND, compare_voxel_correlations, pairs_of
from support.toys import cartesian, geometry_of, polar

GEOMETRY = geometry_of(cartesian(2, 3), cartesian(2, 2), polar(3, 2))


def showers(n=400, seed=1, common=0.0):
    """Voxels that all fluctuate on their own, and a common part of each layer."""
    rng = np.random.default_rng(seed)
    layer = np.repeat(np.arange(3), [6, 4, 6])
    log = rng.normal(0.5, 1.0, (n, 16)) + common * rng.normal(size=(n, 3))[:, layer]
    voxels = np.where(rng.random((n, 16)) < 0.8, 10**log, 0.0)
    return Showers(e_inc=rng.uniform(1e3, 1e5, n), voxels=voxels, geometry=GEOMETRY).above(0.05)


def residuals(sample):
    y = np.log10(np.maximum(sample.voxels, 0.05) / 0.05)
    known = np.column_stack([np.ones(len(y)), np.log10(sample.e_inc), np.log10(sample.e_layer + 1e-3)])
    return y - known @ np.linalg.lstsq(known, y, rcond=None)[0]


def test_against_plain_regression():
    sample = showers(common=1.0)
    found = sample_statistics([sample[:150], sample[150:]], threshold=0.05).voxel_correlations
    left = residuals(sample)
    assert set(found.correlation) == {"x", "y", "alpha", "r", BEHIND}
    for relation, values in found.correlation.items():
        first, second, _ = pairs_of(GEOMETRY, relation)
        expected = [np.corrcoef(left[:, i], left[:, j])[0, 1] for i, j in zip(first, second, strict=True)]
        np.testing.assert_allclose(values, expected, atol=1e-9)
    np.testing.assert_allclose(found.hit_share, (sample.voxels > 0).mean(axis=0))


def test_means_by_layer_and_rare_voxels():
    sample = showers()
    voxels = sample.voxels.copy()
    voxels[10:, 0] = 0.0  # hit in less than 5 %
    one, other = (
        sample_statistics([s], threshold=0.05).voxel_correlations
        for s in (showers(seed=2), dataclasses.replace(sample, voxels=voxels))
    )
    rows = {(row.relation, row.layer): row for row in compare_voxel_correlations(one, other)}
    first, second, _ = pairs_of(GEOMETRY, "y")
    kept = (first < 6) & (first != 0) & (second != 0)
    assert rows["y", 0].n_pairs == np.count_nonzero(kept) == 3
    assert rows["y", 0].generated == pytest.approx(one.correlation["y"][kept].mean())
    assert rows["y", 0].reference == pytest.approx(other.correlation["y"][kept].mean())
    assert ("alpha", 0) not in rows
    assert ("alpha", 2) in rows
    assert (BEHIND, 2) not in rows


def test_constant_voxels_have_none(squares):
    sample = Showers(e_inc=np.arange(1.0, 31.0), voxels=np.ones((30, 8)), geometry=squares)
    found = sample_statistics([sample]).voxel_correlations
    assert not any(values.any() for values in found.correlation.values())


def test_other_voxels_are_refused(squares):
    one, other = (
        sample_statistics([Showers(e_inc=np.ones(3), voxels=np.ones((3, g.n_voxels)), geometry=g)])
        for g in (squares, GEOMETRY)
    )
    with pytest.raises(GeometryMismatchError, match="generated"):
        compare_voxel_correlations(one.voxel_correlations, other.voxel_correlations)
