"""The challenge's numbers, derived again from its definitions with loops over layers of the binning."""

import itertools
import math
import re

import numpy as np
import pytest

from caloforge import Showers
from caloforge.errors import GeometryMismatchError, ShapeError, ValueRangeError
from caloforge.evaluation import (
    challenge_comparison,
    challenge_data_set,
    challenge_feature_names,
    challenge_features,
    challenge_threshold,
    challenge_voxel_edges,
    sample_statistics,
    voxel_spectrum,
)
from caloforge.geometry import get_geometry

# r edges and number of slices in alpha of each layer, and the layers' numbers in the challenge's files
PHOTONS = {
    0: ([0, 5, 10, 30, 50, 100, 200, 400, 600], 1),
    1: ([0, 2, 4, 6, 8, 10, 12, 15, 20, 30, 40, 50, 70, 90, 120, 150, 200], 10),
    2: ([0, 2, 5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 130, 160, 200, 250, 300, 350, 400], 10),
    3: ([0, 50, 100, 200, 400, 600], 1),
    12: ([0, 100, 200, 400, 1000, 2000], 1),
}
PIONS = {
    0: ([0, 5, 10, 30, 50, 100, 200, 400, 600], 1),
    1: ([0, 1, 4, 7, 10, 15, 30, 50, 90, 150, 200], 10),
    2: ([0, 5, 10, 20, 30, 50, 80, 130, 200, 300, 400], 10),
    3: ([0, 50, 100, 200, 400, 600], 1),
    12: ([0, 10, 20, 30, 50, 80, 100, 130, 160, 200, 250, 300, 350, 400, 1000, 2000], 10),
    13: ([0, 10, 20, 30, 50, 80, 100, 130, 160, 200, 250, 300, 350, 400, 600, 1000, 2000], 10),
    14: ([0, 50, 100, 150, 200, 250, 300, 400, 600, 1000, 2000], 1),
}
DATA_SET_2 = {k: ([4.65 * i for i in range(10)], 16) for k in range(45)}
SIZES = {"1_photons": 30, "1_pions": 46, "2": 362, "3": 362}


def draw(name, n, *, seed=0, slope=200.0):
    rng = np.random.default_rng(seed)
    geometry = get_geometry(f"calochallenge_{name}")
    voxels = rng.exponential(slope, (n, geometry.n_voxels)) * (rng.random((n, geometry.n_voxels)) < 0.3)
    voxels[:, geometry.layer_slices[1]] *= rng.random((n, 1)) < 0.9  # some layers empty
    e_inc = 2.0 ** rng.integers(8, 23, n) if name.startswith("1") else 10 ** rng.uniform(3, 6, n)
    voxels *= (e_inc * rng.normal(0.9, 0.2, n).clip(0.1) / (1e-9 + voxels.sum(axis=1)))[:, None]
    showers = Showers(e_inc=e_inc, voxels=voxels, geometry=geometry)
    return showers.above(challenge_threshold(geometry))


def by_hand(binning, showers):
    """Every feature of the challenge, by its definition, layer by layer."""
    found = {name: {} for name in ("E", "eta", "phi", "w_eta", "w_phi", "sparsity", "r", "w_r")}
    start = 0
    for layer, (edges, n_alpha) in binning.items():
        radii = np.array([(a + b) / 2 for a, b in itertools.pairwise(edges)])
        angles = -np.pi + 2 * np.pi * (np.arange(n_alpha) + 0.5) / n_alpha
        r = np.tile(radii, n_alpha)
        eta, phi = (np.concatenate([radii * f(angle) for angle in angles]) for f in (np.cos, np.sin))
        energy = showers.voxels[:, start : start + len(r)]
        start += len(r)
        total = energy.sum(axis=-1)

        def mean(x, energy=energy, total=total):
            return (x * energy).sum(axis=-1) / (total + 1e-16)

        found["E"][layer] = total
        found["sparsity"][layer] = 1 - (energy > 0).mean(axis=-1)
        axes = {"r": r} if n_alpha == 1 else {"r": r, "eta": eta, "phi": phi}
        for name, x in axes.items():
            found[name][layer] = mean(x)
            found[f"w_{name}"][layer] = np.sqrt((mean(x * x) - mean(x) ** 2).clip(min=0))
    assert start == showers.geometry.n_voxels
    return found


def columns(showers, found):
    def of(name, factor):
        return [values / factor for values in found[name].values()]

    logs = [np.log10(showers.e_inc), *(np.log10(e + 1e-8) for e in found["E"].values())]
    lateral = [column for name in ("eta", "phi", "w_eta", "w_phi") for column in of(name, 100)]
    total = [np.log10(showers.voxels.sum(axis=-1) + 1e-8)]
    return np.stack([*logs, *lateral, *total, *of("sparsity", 1), *of("r", 100), *of("w_r", 100)], axis=1)


@pytest.mark.parametrize(("name", "binning"), [("1_photons", PHOTONS), ("1_pions", PIONS), ("2", DATA_SET_2)])
def test_features_are_the_official_ones(name, binning):
    showers = draw(name, 40)
    mine = challenge_features(showers)
    # The official width of a single hit is rounding noise, up to some 1e-5 mm.
    np.testing.assert_allclose(mine, columns(showers, by_hand(binning, showers)), rtol=1e-6, atol=2e-7)
    np.testing.assert_array_equal(mine, challenge_features(sample_statistics([showers])))


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_sizes(name, size):
    geometry = get_geometry(f"calochallenge_{name}")
    names = challenge_feature_names(geometry)
    assert len(names) == len(set(names)) == size
    assert challenge_data_set(geometry) == name.replace("_", "-")
    assert challenge_threshold(geometry) == pytest.approx(1.0 if name.startswith("1") else 0.5e-3 / 0.033)


def official_separation(mine, theirs, bins):
    """Densities times widths, as in the evaluation script."""
    with np.errstate(invalid="ignore"):
        p, q = (np.histogram(x, bins=bins, density=True)[0] * np.diff(bins) for x in (mine, theirs))
    return 0.5 * ((p - q) ** 2 / (p + q + 1e-16)).sum()


def official_separations(name, binning, mine, theirs):
    """By name of the histogram, for both samples."""
    one, two = by_hand(binning, mine), by_hand(binning, theirs)
    low = challenge_threshold(mine.geometry)
    ratios = [s.voxels.sum(axis=1) / s.e_inc for s in (mine, theirs)]
    found = {"e_ratio": official_separation(*ratios, np.linspace(0.5, 1.5, 101))}
    if name != "2":
        for number, energy in enumerate(2.0 ** np.arange(8, 23)):
            wide = number <= 3 or name == "1_pions"
            bins = np.linspace(0.4, 1.4, 21) if wide else np.linspace(0.9, 1.1, 21)
            chosen = [
                ratio[(s.e_inc >= energy) & (s.e_inc < 2 * energy)]
                for ratio, s in zip(ratios, (mine, theirs), strict=True)
            ]
            found[f"e_ratio_at_{energy:.0f}"] = official_separation(*chosen, bins)
    for k, layer in enumerate(binning):
        bins = np.logspace(np.log10(low), np.log10(two["E"][layer].max()), 40)
        found[f"e_layer_{k}"] = official_separation(one["E"][layer], two["E"][layer], bins)
        bins = np.linspace(0, 1, 21)
        found[f"sparsity_{k}"] = official_separation(one["sparsity"][layer], two["sparsity"][layer], bins)
        wide, wide_r = (name != "2" and layer in layers for layers in ((12, 13), (12, 13, 14)))
        ranges = {
            "centroid_x": ("eta", *((-30, 30) if name == "2" else (-500, 500) if wide else (-100, 100))),
            "centroid_y": ("phi", *((-30, 30) if name == "2" else (-500, 500) if wide else (-100, 100))),
            "width_x": ("w_eta", 0, 30 if name == "2" else 400 if wide else 100),
            "width_y": ("w_phi", 0, 30 if name == "2" else 400 if wide else 100),
            "centroid_r": ("r", 0, 42 if name == "2" else 1500 if wide_r else 500),
            "width_r": ("w_r", 0, 20 if name == "2" else 1500 if wide_r else 500),
        }
        for histogram, (feature, start, stop) in ranges.items():
            if layer in one[feature]:
                bins = np.linspace(start, stop, 101)
                found[f"{histogram}_{k}"] = official_separation(
                    one[feature][layer], two[feature][layer], bins
                )
    bins = np.logspace(np.log10(low), np.log10(theirs.voxels.max()), 50)
    found["voxels"] = official_separation(mine.voxels.ravel(), theirs.voxels.ravel(), bins)
    return found


@pytest.mark.parametrize(("name", "binning"), [("1_photons", PHOTONS), ("1_pions", PIONS), ("2", DATA_SET_2)])
def test_separations_are_the_official_ones(name, binning):
    n = 150 if name == "2" else 1500
    mine, theirs = draw(name, n, seed=1, slope=300.0), draw(name, n)
    a, b = sample_statistics([mine]), sample_statistics([theirs])
    edges = challenge_voxel_edges(b)
    voxels = voxel_spectrum([mine], edges), voxel_spectrum([theirs], edges)
    rows = {row.name: row for row in challenge_comparison(a, b, voxels=voxels)}
    expected = official_separations(name, binning, mine, theirs)
    assert rows.keys() == expected.keys()
    for key, value in expected.items():
        assert rows[key].separation == pytest.approx(value, rel=1e-6, abs=1e-12), key
        assert rows[key].official == (not re.match(r"sparsity|centroid_r|width_r", key)), key
    assert sum(len(row.edges) == 101 for row in rows.values()) > 10


def at(geometry, layer, fraction_a, fraction_b, n=200):
    """Showers whose energy is all in the first voxel of a layer: one part of them 0.9, one 3.0 times e_inc."""
    voxels = np.zeros((n, geometry.n_voxels))
    voxels[:, geometry.layer_slices[layer].start] = np.where(np.arange(n) < n * fraction_a, 0.9e5, 3e5)
    assert fraction_a + fraction_b == 1
    return sample_statistics([Showers(e_inc=np.full(n, 1e5), voxels=voxels, geometry=geometry)])


def test_what_lies_outside_counts_only_with_overflow():
    geometry = get_geometry("calochallenge_1_photons")
    half, all_inside = at(geometry, 3, 0.5, 0.5), at(geometry, 3, 1.0, 0.0)
    row = challenge_comparison(half, all_inside)[0]
    assert row.name == "e_ratio"
    assert row.separation == 0  # the same shape within 0.5 to 1.5
    assert row.separation_overflow == pytest.approx(0.5 * (0.25 / 1.5 + 0.25 / 0.5))
    assert (row.generated_outside, row.reference_outside) == ((0, 100), (0, 0))
    assert row.generated.sum() == 100
    outside = challenge_comparison(at(geometry, 3, 0.0, 1.0), all_inside)[0]
    assert math.isnan(outside.separation)
    assert outside.separation_overflow == 1


def test_same_samples():
    showers = sample_statistics([draw("1_pions", 300)])
    rows = challenge_comparison(showers, showers)
    assert all(row.separation_overflow == 0 == row.separation for row in rows if row.reference.any())
    names = [row.name for row in rows]
    assert {"e_ratio", "e_ratio_at_256", "centroid_x_4", "width_r_6", "voxels"} <= set(names)
    limits = {row.name: row.edges[-1] for row in rows}
    assert (limits["centroid_x_4"], limits["centroid_x_1"], limits["width_x_5"]) == (500, 100, 400)
    layer_14 = limits["centroid_r_6"], limits["width_r_6"]
    assert (layer_14, limits["centroid_r_3"], limits["width_r_4"]) == ((1500, 1500), 500, 1500)
    # the spectrum that every sample has is not on the challenge's bins
    assert [row.official for row in rows if row.name == "voxels"] == [False]


def test_any_other_calorimeter(squares, make_showers):
    a, b = (sample_statistics([make_showers(squares, 200, seed=seed)]) for seed in (1, 2))
    rows = {row.name: row for row in challenge_comparison(a, b)}
    assert not any(row.official for row in rows.values())
    assert len(rows["e_ratio"].edges) == 101
    assert {"centroid_r_0", "centroid_y_1"} < rows.keys()
    assert all(0 <= row.separation <= 1 for row in rows.values())
    assert rows["width_x_0"].floor < rows["width_x_0"].floor_95
    assert challenge_data_set(squares) is None
    assert challenge_threshold(squares) is None
    assert challenge_features(a).shape == (200, len(challenge_feature_names(squares)))


def test_empty_showers():
    geometry = get_geometry("calochallenge_1_photons")
    empty = sample_statistics(
        [Showers(e_inc=np.full(3, 256.0), voxels=np.zeros((3, 368)), geometry=geometry)]
    )
    assert np.isfinite(challenge_features(empty)).all()
    rows = {row.name: row for row in challenge_comparison(empty, empty)}
    assert math.isnan(rows["e_ratio"].separation)
    assert rows["e_ratio"].separation_overflow == 0


def test_refusals(squares, rings, make_showers):
    a, b = (sample_statistics([make_showers(geometry)]) for geometry in (squares, rings))
    with pytest.raises(GeometryMismatchError):
        challenge_comparison(a, b)
    with pytest.raises(ValueRangeError, match="threshold"):
        challenge_comparison(a, sample_statistics([make_showers(squares)], threshold=0.1))
    spectra = [voxel_spectrum([make_showers(squares)], edges) for edges in ((1, 2), (1, 3))]
    with pytest.raises(ShapeError, match="edges"):
        challenge_comparison(a, a, voxels=tuple(spectra))
