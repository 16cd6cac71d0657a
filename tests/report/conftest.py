"""Small samples on disk, and one whole report that several tests look at."""

from pathlib import Path

import pytest

from caloforge import Showers, write
from caloforge.errors import ValueRangeError
from caloforge.evaluation import reference_sample
from caloforge.report import EvaluationSettings, evaluate

QUICK = EvaluationSettings(trainings=2)


def geant4_halves() -> tuple[Showers, Showers]:
    sample = reference_sample("eplus")
    return sample[:200], sample[200:]


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> Path:
    """Two halves of a Geant4 sample, ``a.h5`` and ``b.h5``; ``<script>`` in the provenance of the first."""
    folder = tmp_path_factory.mktemp("samples")
    for name, showers in zip("ab", geant4_halves(), strict=True):
        provenance = {"generator": "geant4", "remark": "<script>alert(1)</script>"}
        marked = Showers(
            e_inc=showers.e_inc, voxels=showers.voxels, geometry=showers.geometry, provenance=provenance
        )
        write(marked, folder / f"{name}.h5")
    return folder


@pytest.fixture(scope="session")
def report_folder(files, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "report"
    evaluate(
        files / "a.h5",
        files / "b.h5",
        folder,
        second_reference=reference_sample("piplus")[:120],  # not right, but another sample of the same voxels
        settings=QUICK,
    )
    return folder


def _canned_test(self, name, on_part):
    result = {
        "auc": 0.51,
        "auc_spread": 0.01,
        "auc_error": 0.02,
        "aucs": [0.5, 0.52],
        "jsd": 0.001,
        "notes": [],
    }
    sizes = {"n_train": 120, "n_selection": 40, "n_test": 40}
    return {"name": name, "title": name, "result": result | sizes, "floor": None, "learning_curve": None}


def _too_few(*args, **kwargs):
    raise ValueRangeError("left out in this test")


@pytest.fixture
def quick(monkeypatch) -> None:
    """Without what takes most of the time: pictures, page, trainings, the distances with their bootstraps."""
    monkeypatch.setattr("caloforge.report.run.draw_figures", lambda report, folder, on_figure: {})
    monkeypatch.setattr("caloforge.report.run.render_page", lambda report, images: "")
    monkeypatch.setattr("caloforge.report.classifier_tests.ClassifierTests.run", _canned_test)
    monkeypatch.setattr("caloforge.report.assemble.frechet_physics_distance", _too_few)
    monkeypatch.setattr("caloforge.report.assemble.check_copies", _too_few)
    monkeypatch.setattr("caloforge.report.assemble.group_tests", lambda *samples, **options: [])
