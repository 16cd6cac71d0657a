"""The tool that packs weights for the package: rounds once, and takes figures of these weights only."""

import importlib.util
import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from caloforge.models.checkpoint import read_header, weights_id
from support.tiny_runs import train_tiny

FIGURES = {"reference": {}, "auc": {}, "auc_floor": {}, "nll": {}, "trainings": 1}


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
    report.write_text(json.dumps(FIGURES | {"weights": unrounded}))
    with pytest.raises(SystemExit, match=f"is about other weights.*{unrounded}.*{packed}"):
        tool.describe("tiny", report)
    report.write_text(json.dumps(FIGURES | {"weights": packed}))
    for _ in range(2):
        tool.describe("tiny", report)
        assert read_header(path).provenance["fidelity"] == FIGURES
        assert weights_id(load_file(path)) == read_header(path).provenance["weights_id"] == packed
