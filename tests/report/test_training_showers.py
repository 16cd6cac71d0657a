"""The showers that trained a model: given, found by what the generated ones name, or said to be missing."""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

import caloforge
import caloforge.report.assemble
from caloforge import write
from caloforge.errors import FileFormatError, GeometryMismatchError, LeakageWarning, SameSampleError
from caloforge.evaluation.copies import check_copies
from caloforge.report import evaluate
from caloforge.training.run import DataFacts
from report.conftest import QUICK
from support.toys import cartesian, geometry_of, toy_showers

GEOMETRY = geometry_of(cartesian(4, 5), cartesian(3, 4))
ALL = toy_showers(GEOMETRY, 1200, seed=5)
TRAINED = slice(100, 500)
NOISE = 1 + 0.01 * np.random.default_rng(0).normal(size=(300, GEOMETRY.n_voxels))


@pytest.fixture
def folder(tmp_path, quick, monkeypatch):
    """``train.h5`` with the training showers at 100 to 500, in a folder with nothing else."""
    monkeypatch.setattr("caloforge.report.assemble.check_copies", check_copies)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    write(ALL[:500], tmp_path / "data" / "train.h5")
    return tmp_path / "data"


def facts(folder):
    read = caloforge.read(folder / "train.h5", start=100, stop=500)
    return dataclasses.asdict(DataFacts.of(read, file="train.h5", start=100))


def generated(showers=ALL[500:800], **provenance):
    return replace(showers, provenance=provenance)


def noisy_copies(**provenance):
    training = ALL[TRAINED][:300]
    return replace(training, voxels=training.voxels * NOISE, provenance=provenance)


REFERENCE = ALL[800:]


def report_of(sample, folder, **options):
    return evaluate(sample, REFERENCE, folder.parent / "r", settings=QUICK, overwrite=True, **options)


def test_given(folder):
    with pytest.warns(LeakageWarning):
        report = report_of(noisy_copies(), folder, training=f"{folder / 'train.h5'}[100:500]")
    assert report["training"]["status"] == "given"
    assert report["copies"]["checks"]["training"]["copies"] == 1
    assert report["copies"]["checks"]["training"]["n_originals"] == 400
    assert report["verdict"]["headline"].endswith("copies of training showers: 100 %.")
    assert (report["samples"]["training"]["start"], report["samples"]["training"]["stop"]) == (100, 500)


def test_in_memory_and_innocent(folder):
    report = report_of(generated(generator="geant4"), folder, training=ALL[TRAINED])
    check = report["copies"]["checks"]["training"]
    assert not check["alarm"]
    assert check["copies"] == 0
    assert "copies" not in report["verdict"]["headline"]


def test_pieces_of_other_training_showers_are_not_taken(folder, monkeypatch):
    """An interrupted evaluation goes on, but not with copies searched elsewhere."""
    calls = []
    monkeypatch.setattr(
        "caloforge.report.assemble.check_copies", lambda *a, **k: calls.append(1) or check_copies(*a, **k)
    )

    def broken(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("caloforge.report.run.verdict", broken)
        with pytest.raises(KeyboardInterrupt):
            report_of(generated(generator="geant4"), folder)
    report = report_of(generated(generator="geant4"), folder, training=ALL[TRAINED])
    assert len(calls) == 2
    assert "training" in report["copies"]["checks"]


@pytest.mark.parametrize("where", ["beside the generated", "in the current folder"])
def test_found(folder, where):
    sample = noisy_copies(trained_on=facts(folder))
    if where == "beside the generated":
        write(sample, folder / "generated.h5")
        sample = folder / "generated.h5"
    else:
        (folder / "train.h5").rename(folder.parent / "train.h5")
    report = report_of(sample, folder)
    assert report["training"]["status"] == "found"
    assert report["copies"]["checks"]["training"]["copies"] == 1
    assert not report["notes"] or "train" not in " ".join(report["notes"])


def test_known_but_not_at_hand(folder):
    report = report_of(generated(trained_on=facts(folder)), folder)
    assert report["training"]["status"] == "missing"
    (note,) = (note for note in report["notes"] if "--training" in note)
    assert "showers 100 to 500 of train.h5; that file is not at hand" in note
    assert "training" not in report["copies"]["checks"]
    assert any("not compared" in fact["note"] for fact in report["verdict"]["facts"])


def test_a_file_of_that_name_with_other_showers(folder):
    known = facts(folder)
    write(ALL[500:1100], folder.parent / "train.h5")  # of the same name, in the current folder
    report = report_of(generated(trained_on=known), folder)
    assert report["training"]["status"] == "missing"
    assert "a file of that name holds other showers" in report["training"]["message"]


def test_given_others_than_named(folder):
    report = report_of(generated(trained_on=facts(folder)), folder, training=f"{folder / 'train.h5'}[0:100]")
    assert report["training"]["status"] == "other"
    assert any("are others than the generated showers name" in note for note in report["notes"])
    named = report_of(generated(trained_on=facts(folder)), folder, training=f"{folder / 'train.h5'}")
    assert named["training"]["status"] == "given", "it holds all showers that are named, and more"


def test_unknown(folder):
    with pytest.warns(LeakageWarning):
        report = report_of(generated(), folder)
    assert report["training"]["status"] == "unknown"
    assert any("--training" in note for note in report["notes"])


def test_reference_that_was_in_training(folder):
    reference = ALL[400:1000]
    with pytest.raises(SameSampleError, match="training"):
        evaluate(
            generated(ALL[1000:], generator="geant4"),
            reference,
            folder / "r",
            settings=QUICK,
            training=ALL[:500],
        )
    allowed = replace(QUICK, allow_leakage=True)
    report = evaluate(
        generated(ALL[1000:], generator="geant4"),
        reference,
        folder / "r",
        settings=allowed,
        training=ALL[:500],
    )
    assert report["training"]["status"] == "in the reference"
    assert "training" not in report["copies"]["checks"]
    assert any("some are in the reference" in note for note in report["notes"])
    with pytest.warns(LeakageWarning):
        known = evaluate(
            generated(ALL[1000:], trained_on=facts(folder)), reference, folder / "s", settings=allowed
        )
    assert known["training"]["status"] == "in the reference"


def test_bad_files(folder, tmp_path):
    for training, error in (
        (tmp_path / "none.h5", FileFormatError),
        (toy_showers(geometry_of(cartesian(2, 2)), 30), GeometryMismatchError),
    ):
        with pytest.raises(error):
            report_of(generated(generator="geant4"), folder, training=training)
        assert not (tmp_path / "r").exists()


def test_the_page_says_what_was_compared(report_folder):
    page = (report_folder / "report.html").read_text()
    assert "so there are no training showers to copy" in page
    assert "not compared" in page
