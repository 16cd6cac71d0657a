"""The tool that packs weights for the package: rounds once, and takes figures of these weights only."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from caloforge.geometry import Incidence
from caloforge.models.checkpoint import read_header, weights_id
from support.tiny_runs import tiny_showers, train_tiny

FIGURES = {
    "reference": {"name": "geant4.h5", "start": 7500, "n_showers": 2000},
    "trainings": 5,
    "auc": {"normalised": {"mean": 0.53, "std": 0.01}, "trees": {"mean": 0.68, "std": 0.012}},
    "auc_floor": {"normalised": {"mean": 0.5, "std": 0.02}, "trees": {"mean": 0.51, "std": 0.02}},
}


def evaluation(weights: str) -> str:
    """What matters here of an evaluation's report."""

    def result(key: str, inputs: str) -> dict:
        figures = FIGURES[key][inputs]
        kind = {"architecture": "trees", "inputs": "features"} if inputs == "trees" else {}
        config = {"architecture": "caloflow", "inputs": inputs} | kind
        return {"config": config, "auc": figures["mean"], "auc_spread": figures["std"]}

    report = {
        "samples": {
            "generated": {"provenance": {"weights": weights}},
            "reference": FIGURES["reference"] | {"file": "folder/geant4.h5"},
        },
        "settings": {"trainings": 5},
        "classifiers": [
            {"result": result("auc", inputs), "floor": result("auc_floor", inputs)}
            for inputs in FIGURES["auc"]
        ],
    }
    return json.dumps(report)


@pytest.fixture
def tool(tmp_path, monkeypatch):
    path = Path(__file__).parents[2] / "tools" / "release_weights.py"
    spec = importlib.util.spec_from_file_location("release_weights", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ZOO", tmp_path)
    return module


def test_pack_and_describe(tool, tmp_path):
    train_tiny(tmp_path / "run", "training.energies.epochs=1", "training.shape.epochs=1")
    tool.pack(tmp_path / "run", "tiny")
    path, report = tmp_path / "tiny.safetensors", tmp_path / "report.json"
    packed = weights_id(load_file(path))
    assert read_header(path).provenance["weights_id"] == packed
    unrounded = read_header(tmp_path / "run" / "best.safetensors").provenance["weights_id"]
    report.write_text(evaluation(unrounded))
    with pytest.raises(SystemExit, match=f"is about other weights.*{unrounded}.*{packed}"):
        tool.describe("tiny", report)
    report.write_text(evaluation(packed))
    for _ in range(2):
        tool.describe("tiny", report)
        assert read_header(path).provenance["fidelity"] == FIGURES
        assert weights_id(load_file(path)) == read_header(path).provenance["weights_id"] == packed


def test_physics(tool, tmp_path):
    """What the training showers said, and what only people know; the numbers stay as they are."""
    said = {"geant4": "11.4.1", "physics": "QBBC", "cut_mm": 0.7}
    showers = replace(tiny_showers(), provenance={"attributes": said})
    train_tiny(tmp_path / "run", "training.energies.epochs=1", "training.shape.epochs=1", showers=showers)
    tool.pack(tmp_path / "run", "tiny")
    path = tmp_path / "tiny.safetensors"
    before, header = load_file(path), read_header(path)
    with pytest.raises(SystemExit, match="not 'oblique'"):
        tool.physics("tiny", "oblique")
    assert read_header(path) == header
    for options in ([], ["perpendicular"], ["perpendicular"]):
        tool.physics("tiny", *options)
        known = read_header(path)
        incidence = Incidence().to_dict() if options else None
        table = {"list": "QBBC", "cut_mm": 0.7, "geant4": "11.4.1", "data": None, "incidence": incidence}
        assert known.provenance == header.provenance | {"physics": table}
        assert replace(known, provenance=header.provenance) == header
        assert weights_id(load_file(path)) == weights_id(before)


def test_an_incidence_that_is_known_is_not_overruled(tool, tmp_path):
    oblique = {"incidence": Incidence(angle=20.0).to_dict()}
    showers = replace(tiny_showers(), provenance=oblique)
    train_tiny(tmp_path / "run", "training.energies.epochs=1", "training.shape.epochs=1", showers=showers)
    tool.pack(tmp_path / "run", "tiny")
    with pytest.raises(SystemExit, match=r"knows of another incidence.*angle=20"):
        tool.physics("tiny", "perpendicular")
