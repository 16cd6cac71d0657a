"""Distilling a student: what the run says, that it is exact when resumed, and what is refused."""

import csv
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from caloforge.errors import (
    CheckpointError,
    ConfigError,
    EnergyRangeError,
    GeometryMismatchError,
    SameSampleError,
    UnknownNameError,
)
from caloforge.evaluation import check_leakage
from caloforge.generation import load_model
from caloforge.geometry import CartesianGrid, Geometry, Layer, uniform_edges
from caloforge.models.checkpoint import load_checkpoint, read_header, save_model
from caloforge.showers import Showers
from caloforge.training import BEST, LAST, METRICS, STATE, Teacher
from caloforge.training.loop import best_records
from caloforge.training.state import load_state
from support.tiny_runs import GEOMETRY, distill_tiny, tiny_showers, train_tiny

SHORT = ("training.shape.epochs=1",)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """Folder of a teacher's run."""
    folder = tmp_path_factory.mktemp("teacher") / "run"
    train_tiny(folder, "training.energies.epochs=1", "training.shape.epochs=3")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory, teacher):
    """A finished distillation and the events it sent."""
    folder, events = tmp_path_factory.mktemp("student") / "run", []
    distill_tiny(folder, teacher, "training.shape.epochs=15", on_event=events.append)
    return folder, events


def metrics(folder):
    with (folder / METRICS).open(newline="") as file:
        return list(csv.DictReader(file))


def test_losses_fall_and_what_is_watched_is_written_down(run):
    folder, events = run
    rows = metrics(folder)
    assert [row["stage"] for row in rows] == ["shape"] * 15
    for name, factor in (("train_loss", 0.5), ("validation_loss", 0.5), ("kl", 0.9)):
        assert float(rows[-1][name]) < factor * float(rows[0][name]), name
    assert len({row["teacher_nll"] for row in rows}) == 1  # frozen, on the same noise
    assert all(row["criterion"] == row["kl"] for row in rows)
    assert {"nll", "validation_loss", "learning_rate"} <= rows[0].keys()
    assert events[0].loss_name == "distillation loss"


def test_the_best_epoch_is_that_of_least_divergence(run):
    folder, _ = run
    progress, groups = load_state(folder / STATE)
    divergences = [float(row["kl"]) for row in metrics(folder)]
    assert progress.best_epoch == 1 + divergences.index(min(divergences))
    assert best_records(progress.history)["shape"].epoch == progress.best_epoch
    (record,) = read_header(folder / BEST).provenance["training"]
    assert record["epoch"] == progress.best_epoch
    assert record["monitors"].keys() == {"kl", "nll", "teacher_nll"}
    best = load_file(folder / BEST)
    for name, tensor in groups["best"].items():
        assert torch.equal(tensor, best[f"shape.{name.removeprefix('student.')}"])


def test_files_of_a_run(run, teacher):
    folder, _ = run
    assert sorted(p.name for p in folder.iterdir()) == sorted([BEST, LAST, METRICS, STATE, "run.json"])
    teacher_id = read_header(teacher / BEST).provenance["weights_id"]
    for name in (BEST, LAST):
        provenance = read_header(folder / name).provenance
        assert provenance["teacher"] == {"name": "run", "weights": teacher_id, "recipe": "tiny"}
        assert provenance["config"]["model"]["shape"]["encoding"] == "log-energy"  # the teacher's
        assert provenance["config"]["distillation"]["x_loss"] is True
    assert json.loads((folder / "run.json").read_text())["teacher"]["weights"] == teacher_id
    showers = load_model(folder).sample([5e4, 2e4], seed=1)
    assert showers.geometry == GEOMETRY
    mine, theirs = load_file(folder / BEST), load_file(teacher / BEST)
    kept = [key for key in mine if key.startswith(("energies.", "shape.step.", "shape.context_scale."))]
    assert kept
    assert all(torch.equal(mine[key], theirs[key]) for key in [*kept, "e_inc_range"])


def test_showers_of_the_teacher_leak_into_the_student(run, teacher, tmp_path):
    """Distilled on some showers, from a teacher trained on more."""
    distill_tiny(tmp_path / "part", teacher, *SHORT, showers=tiny_showers()[:60])
    model = load_model(tmp_path / "part")
    seen = model.provenance(1)["trained_on"]
    assert (seen["start"], seen["stop"]) == (0, 120)
    with pytest.raises(SameSampleError, match="known by their digest"):
        check_leakage(model.provenance(1), tiny_showers()[60:], file="other.h5")
    unseen = tiny_showers(seed=5)
    assert check_leakage(model.provenance(1), unseen, file="other.h5").status == "independent"


@pytest.mark.parametrize("precision", ["float64", "bfloat16"])
def test_precision(tmp_path, teacher, precision):
    model = distill_tiny(tmp_path, teacher, *SHORT, f"precision={precision}")
    expected = torch.float64 if precision == "float64" else torch.float32
    assert {p.dtype for p in model.parameters()} == {expected}
    assert load_model(tmp_path).sample([5e4], seed=1).e_dep.shape == (1,)


def test_a_float64_teacher_of_a_float32_student(tmp_path):
    train_tiny(tmp_path / "t", "training.energies.epochs=1", *SHORT, "precision=float64")
    model = distill_tiny(tmp_path / "s", tmp_path / "t", *SHORT)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {model.e_inc_range.dtype, model.energies.shares.max_e_ratio.dtype} == {torch.float64}


@pytest.mark.parametrize("terms", [("z_loss",), ("x_loss",)], ids=str)
def test_either_loop_alone(tmp_path, teacher, terms):
    off = [f"distillation.{name}=false" for name in ("z_loss", "x_loss") if name not in terms]
    settings = ("distillation.steps=false", "distillation.parameters=false", "distillation.nll=false")
    distill_tiny(tmp_path, teacher, "training.shape.epochs=8", *off, *settings)
    rows = metrics(tmp_path)
    assert float(rows[-1]["train_loss"]) < 0.8 * float(rows[0]["train_loss"])
    assert "nll" not in rows[0]


def test_a_teacher_must_be_the_same_on_resume(tmp_path, teacher, run):
    distill_tiny(tmp_path / "s", teacher, *SHORT)
    other = tmp_path / "other"
    train_tiny(other, "training.energies.epochs=1", "training.shape.epochs=1", "seed=2")
    with pytest.raises(ConfigError, match=r"was started with run \(\w+\), not with other \(\w+\)"):
        distill_tiny(tmp_path / "s", other, *SHORT, resume=True)
    with pytest.raises(ConfigError, match=r"distillation\.x_loss = True against False"):
        distill_tiny(tmp_path / "s", teacher, *SHORT, "distillation.x_loss=false", resume=True)
    distill_tiny(tmp_path / "s", teacher, *SHORT, resume=True)


def refused(error, match, folder, teacher, *settings, **options):
    with pytest.raises(error, match=match) as caught:
        distill_tiny(folder, teacher, *SHORT, *settings, **options)
    assert "\n" not in str(caught.value)
    assert not folder.exists()


def test_what_does_not_fit(tmp_path, teacher, run):
    folder = tmp_path / "new"
    refused(
        ConfigError, r"differ in model\.shape\.blocks: 2 against 3", folder, teacher, "model.shape.blocks=3"
    )
    refused(ConfigError, r"model\.shape\.bins: 8 against 6", folder, teacher, "model.shape.bins=6")
    refused(ConfigError, r"model\.energies\.hidden: 8 against 9", folder, teacher, "model.energies.hidden=9")
    refused(ConfigError, "trained on showers", folder, teacher, "model.shape.role=teacher")
    refused(ConfigError, "of the family 'caloflow', .* 'caloflop'", folder, teacher, "family=caloflop")
    refused(UnknownNameError, "'energies'.*shape", folder, teacher, "training.energies.epochs=1")
    refused(
        ConfigError, "both off", folder, teacher, "distillation.z_loss=false", "distillation.x_loss=false"
    )
    refused(ConfigError, "is a student itself.*run", folder, run[0])
    showers = tiny_showers()
    fast = Showers(e_inc=showers.e_inc * 2, voxels=showers.voxels, geometry=GEOMETRY)
    refused(EnergyRangeError, "to 19.* GeV, teacher run was trained on", folder, teacher, showers=fast)
    grid = CartesianGrid(x_edges=uniform_edges(-1, 1, 3), y_edges=uniform_edges(-1, 1, 2))
    other = Geometry(name="other", layers=(Layer(name="0", grid=grid),))
    moved = Showers(e_inc=showers.e_inc, voxels=showers.voxels, geometry=other)
    refused(GeometryMismatchError, "The showers.*teacher run", folder, teacher, showers=moved)


def test_another_particle(tmp_path, teacher):
    known = Teacher.load(teacher)
    known.provenance["particle"] = "gamma"
    showers = tiny_showers()
    showers.provenance["particle"] = "e+"
    refused(
        ConfigError, r"was trained on gamma, the showers are of e\+", tmp_path / "s", known, showers=showers
    )


def test_weights_of_a_newer_version(tmp_path, teacher, monkeypatch):
    model, _ = load_checkpoint(teacher / BEST)
    monkeypatch.setattr("caloforge.models.checkpoint.FORMAT", 2)
    save_model(model, tmp_path / "new.safetensors", family="caloflow", provenance={})
    monkeypatch.undo()
    refused(CheckpointError, "has format 2.*upgrade", tmp_path / "s", tmp_path / "new.safetensors")


def test_a_student_is_not_trained_on_showers_alone(tmp_path):
    for setting in ("model.shape.role=student", "distillation.z_loss=true"):
        with pytest.raises(ConfigError, match="caloforge distill"):
            train_tiny(tmp_path / "s", setting)
    assert not (tmp_path / "s").exists()


SHORT_TEACHER = ("training.energies.epochs=1", *SHORT)


@pytest.mark.parametrize("taught", ["em", None])
def test_a_student_has_the_physics_of_its_teacher(tmp_path, taught):
    """And that of its showers where the teacher's is unknown; generated showers say it."""
    showers = [
        replace(tiny_showers(), provenance={"physics": name} if name else {}) for name in (taught, "QBBC")
    ]
    train_tiny(tmp_path / "teacher", *SHORT_TEACHER, showers=showers[0])
    distill_tiny(tmp_path / "student", tmp_path / "teacher", *SHORT, showers=showers[1])
    for folder, name in (("teacher", taught), ("student", taught or "QBBC")):
        model = load_model(tmp_path / folder)
        known = model.header.provenance["physics"]
        assert known == model.sample([5e4], seed=1).provenance["physics"]
        assert (known and known["list"]) == name
