"""A trained model of six voxels, and a report made by hand."""

import copy
from typing import Any

import pytest

from support.tiny_runs import train_tiny


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark") / "run"
    train_tiny(folder, "training.energies.epochs=1", "training.shape.epochs=1")
    return folder


@pytest.fixture(scope="session")
def groupwise_run(tmp_path_factory):
    """Of a family that can compute in bfloat16 and be compiled, which CaloFlow cannot."""
    folder = tmp_path_factory.mktemp("benchmark") / "groupwise"
    train_tiny(folder, "training.moments.epochs=1", "training.voxels.epochs=1", family="groupwise")
    return folder


def row(**changes: Any) -> dict[str, Any]:
    return {
        "model": "fast",
        "label": "fast",
        "library": "caloforge",
        "requested_batch": 10,
        "batch": 10,
        "threads": 1,
        "device": "cpu",
        "seconds": [0.02, 0.01, 0.04],
        "out_of_memory": [],
        "warmed_up": True,
        "processors": 1.0,
        "load_s": 0.5,
        "first_call_s": 0.1,
        "peak_MB": 300.0,
        **changes,
    }


REPORT: dict[str, Any] = {
    "schema": "caloforge-benchmark",
    "schema_version": 1,
    "complete": True,
    "command": "caloforge benchmark",
    "started": "2026-11-28T00:00:00+00:00",
    "settings": {"device": "cpu", "repeats": 3},
    "machine": {"cpu": "Abacus", "torch": "2", "cores_allowed": 2},
    "notes": [],
    "models": {
        "fast": {
            "mflop_per_shower": 4.0,
            "dtype": "float32",
            "peers": {"nflows": {"mflop_per_shower": 40.0, "dtype": "float32"}},
        },
        "new": {"mflop_per_shower": 0.0},
    },
    "peaks": [{"dtype": "float32", "threads": 1, "gflops": 50.0}],
    "geant4": [
        {
            "name": "Geant4 e+",
            "geometry": "calogan",
            "physics": "em",
            "models": ["fast"],
            "cpu_s_per_shower": 0.4,
            "peak_MB": 400.0,
        }
    ],
    "rows": [
        row(),
        row(threads=2),
        row(requested_batch=1000, batch=250, out_of_memory=[1000, 500], seconds=[0.25]),
        row(requested_batch=10**6, batch=0, out_of_memory=[10**6], seconds=[]),
        row(library="nflows", label="nflows, network of fast", seconds=[4.0], warmed_up=False),
        row(model="new", label="new (untrained)"),
        row(model="new", label="new (untrained)", requested_batch=1000, seconds=[], failed="No."),
    ],
}


@pytest.fixture
def report():
    from caloforge.benchmark.derive import derived_rows

    report = copy.deepcopy(REPORT)
    return report | {"rows": derived_rows(report)}
