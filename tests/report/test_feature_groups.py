"""Defects made on purpose, and the group of features that names them."""

import dataclasses

import numpy as np
import pytest

import caloforge
from caloforge.classifier import ClassifierConfig, classifier_test
from caloforge.evaluation import GROUPS
from caloforge.report.feature_groups import group_tests, ranked_groups
from support.shared_showers import geant4_showers

N = 2000


@pytest.fixture(scope="module")
def reference():
    return geant4_showers("eplus", 7500, 7500 + N)


def mirrored_pairs(showers):
    """Each pair of voxels that are mirror images in y exchanged, or not, at random: neighbours are broken up.

    Layer energies, numbers and energies of hits and the radial profile stay.
    """
    rng, voxels = np.random.default_rng(1), showers.voxels.copy()
    for layer, where in zip(showers.geometry.layers, showers.geometry.layer_slices, strict=True):
        grid = voxels[:, where].reshape(-1, *layer.grid.shape)
        half = rng.random((*grid.shape[:2], grid.shape[2] // 2)) < 0.5
        exchange = np.concatenate([half, half[:, :, ::-1]], axis=2)
        voxels[:, where] = np.where(exchange, grid[:, :, ::-1], grid).reshape(len(showers), -1)
    return dataclasses.replace(showers, voxels=voxels)


def exchanged_layer(showers):
    """The shape of layer 1 exchanged between showers next to each other in energy; each layer by itself is right."""
    order = np.argsort(showers.e_inc)
    partner = np.empty(len(order), dtype=int)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    voxels, where, energy = showers.voxels.copy(), showers.geometry.layer_slices[1], showers.e_layer[:, 1]
    scale = energy / np.maximum(energy[partner], 1e-9)
    voxels[:, where] = showers.voxels[partner][:, where] * scale[:, None]
    return dataclasses.replace(showers, voxels=voxels).above(1e-3)


def ranking(generated, reference):
    found = group_tests(generated, reference, groups=GROUPS, threshold=1e-3, seed=1)
    return [row["group"] for row in sorted(found, key=lambda row: -row["auc"])], {
        row["group"]: row for row in found
    }


@pytest.mark.parametrize(
    ("defect", "group"),
    [(mirrored_pairs, "local structure"), (exchanged_layer, "correlations between layers")],
    ids=["mirrored pairs", "exchanged layer"],
)
def test_a_defect_is_named(reference, defect, group):
    order, found = ranking(defect(geant4_showers("eplus", 0, N)), reference)
    assert order[0] == group, found
    assert found[group]["auc"] > 0.5 + 4 * found[group]["auc_error"]
    assert found["energies"]["auc"] < 0.5 + 3 * found["energies"]["auc_error"], "energies are right"


def test_the_compact_model_loses_its_neighbours(reference):
    """The classifier test of old called these showers hard to tell from Geant4."""
    generated = caloforge.load_model("groupwise-eplus").sample(reference.e_inc, seed=5)
    order, found = ranking(generated, reference)
    assert order[0] == "local structure", found
    config = ClassifierConfig(architecture="trees", inputs="features", trainings=1, threshold=1e-3)
    assert classifier_test(generated, reference, config).auc > 0.85


def test_equal_samples_have_no_group(reference):
    order, found = ranking(geant4_showers("eplus", 0, N), reference)
    assert len(order) == len(GROUPS)
    assert all(abs(row["auc"] - 0.5) < 4 * row["auc_error"] for row in found.values()), found


def moments(mean, mean_error, std, std_error):
    return {"mean": mean, "mean_error": mean_error, "std": std, "std_error": std_error}


def feature(name, group, generated, reference, separation=0.2):
    return {
        "name": name,
        "label": name,
        "unit": "mm" if group == "shape" else "",
        "group": group,
        "separation": separation,
        "floor": 0.01,
        "floor_95": 0.02,
        "generated": moments(*generated),
        "reference": moments(*reference),
    }


def test_words():
    report = {
        "groups": [
            {"group": "shape", "auc": 0.6, "auc_error": 0.01},
            {"group": "energies", "auc": 0.51, "auc_error": 0.01},
            {"group": "local structure", "auc": 0.8, "auc_error": 0.01},
            {"group": "hit energies", "auc": 0.7, "auc_error": 0.01},
            {"group": "correlations between layers", "auc": 0.65, "auc_error": 0.01},
        ],
        "features": [
            feature("isolated hits in layer 0", "local structure", (8.24, 0.1, 2, 0.1), (5.31, 0.1, 2, 0.1)),
            feature("width", "shape", (3.0, 0.1, 2.0, 0.01), (3.0, 0.1, 1.0, 0.01)),
            feature("hits", "hit energies", (3.0, 0.1, 2.0, 0.1), (3.1, 0.1, 2.0, 0.1)),
            feature("shift", "correlations between layers", (1, 1, 1, 1), (2, 1, 1, 1), separation=0.01),
        ],
        "geometry": {"layers": [{"name": "0"}, {"name": "1"}]},
        "voxel_correlations": [
            {"relation": "behind", "layer": 0, "generated": 0.0, "reference": 0.9},
            {"relation": "y", "layer": 1, "generated": 0.051, "reference": 0.205},
            {"relation": "x", "layer": 0, "generated": 0.1, "reference": 0.105},
        ],
    }
    rows = ranked_groups(report, "Geant4")
    assert [row["group"] for row in rows][:2] == ["local structure", "hit energies"]
    words = {row["group"]: row["words"] for row in rows}
    assert words["local structure"] == (
        "isolated hits in layer 0: 8.24, Geant4 5.31; neighbouring voxels along y in layer 1 fluctuate together with a "
        "correlation of 0.051, Geant4 0.20"
    )
    assert words["shape"] == "spread of width: 2.00 mm, Geant4 1.00 mm"
    assert words["hit energies"] == "shape of hits (separation 0.20, 20 × its floor)"
    assert words["correlations between layers"] == "no single feature; only several of them together"
    assert words["energies"] == ""
    assert ranked_groups({"groups": {"left_out": "too few"}}, "Geant4") == []
