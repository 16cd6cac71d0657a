"""`caloforge train` by its command line; what happens inside is tested in tests/training."""

import json
import re

import pytest

from caloforge.generation import load_model
from support.tiny_runs import command_line, file_size_limit, write_inputs


@pytest.fixture
def caloforge(capsys, monkeypatch):
    return lambda *args: command_line(args, capsys, monkeypatch)


@pytest.fixture
def inputs(tmp_path):
    return write_inputs(tmp_path)


RANGE = ("--start", 5, "--stop", 100, "--seed", 4)
SHORT = ("--set", "training.energies.epochs=1", "--set", "training.shape.epochs=1")


def test_a_run_and_what_it_says(caloforge, inputs, tmp_path):
    run = tmp_path / "run"
    code, out, err = caloforge("train", "caloflow", *inputs, "-o", run, *RANGE, *SHORT)
    assert code == 0, err
    assert (
        out
        == f"{run}/best.safetensors: use it with caloforge generate {run} -n 1000 --energies 50 -o showers.h5\n"
    )
    assert "95 showers of 'toy' (2 layers, 6 voxels)" in err
    assert re.search(r"stage energies epoch 1/1: training -?\d.* validation -?\d.* \(best\), \d", err)
    assert (run / "loss.png").read_bytes().startswith(b"\x89PNG")
    known = json.loads((run / "run.json").read_text())
    assert known["config"]["seed"] == 4
    assert (known["data"]["file"], known["data"]["start"], known["data"]["stop"]) == ("showers.h5", 5, 100)
    assert load_model(run).geometry.name == "toy"
    # A finished run continues to nothing, another one is refused.
    again = ("train", "caloflow", *inputs, "-o", run, *RANGE, *SHORT)
    assert caloforge(*again, "--resume")[0] == 0
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    code, _, err = caloforge(*again)
    assert (code, err.count("error: ")) == (2, 1)
    assert "holds a run already; pass --resume" in err
    code, _, err = caloforge(*again[:-4], *SHORT[:2], "--resume")
    assert code == 2
    assert "training.shape.epochs = 1 against 2" in err
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_caloman_by_its_commands(caloforge, tmp_path):
    """Three stages, the number of coordinates found from the showers, then generated from."""
    inputs, run = write_inputs(tmp_path, family="caloman"), tmp_path / "run"
    call = ["train", "caloman", *inputs, "-o", run, "--set", "training.manifold.epochs=1"]
    code, _, err = caloforge(*call)
    assert code == 0, err
    assert [name for name in ("energies", "manifold", "density") if f"stage {name} epoch" in err] == [
        "energies",
        "manifold",
        "density",
    ]
    known = json.loads((run / "run.json").read_text())
    assert known["config"]["model"]["manifold"]["latent"] == load_model(run).model.manifold.n_latent
    assert caloforge(*call, "--resume")[0] == 0
    code, _, err = caloforge("generate", run, "-n", 50, "--energies", "10:50", "-o", tmp_path / "out.h5")
    assert code == 0, err
    code, _, err = caloforge(*call[:-3], tmp_path / "other", "--set", "model.manifold.latent=9")
    assert (code, err.count("error: ")) == (2, 1)
    assert "at most 6 dimensions" in err
    code, _, err = caloforge(*call[:-3], tmp_path / "other", "--stop", 9)
    assert (code, err.count("error: ")) == (2, 1)
    assert "different points are too few for k = 10 neighbours" in err
    assert not (tmp_path / "other").exists()


def test_a_loss_that_is_not_finite(caloforge, inputs, tmp_path):
    run = tmp_path / "run"
    settings = ["epochs=50", "learning_rate=0.5", "weight_decay=200.0", "batch_size=60"]
    code, out, err = caloforge(
        "train", "caloflow", *inputs, "-o", run, *SHORT[:2], *(f"--set=training.shape.{s}" for s in settings)
    )
    assert (code, out, err.count("error: ")) == (2, "", 1)
    assert "try a smaller training.shape.learning_rate" in err
    assert "Traceback" not in err
    load_model(run)
    assert (run / "loss.png").is_file()


def test_a_running_training_has_a_plot_and_the_hint_is_quoted(caloforge, inputs, tmp_path, monkeypatch):
    from caloforge.cli import training

    drawn = []
    monkeypatch.setattr("caloforge.plotting.losses.plot_losses", lambda *paths: drawn.append(paths))
    monkeypatch.setattr(training, "_DRAW_SECONDS", 0.0)
    run = tmp_path / "my run"
    code, out, _ = caloforge("train", "caloflow", *inputs, "-o", run, *SHORT)
    assert code == 0
    assert f"caloforge generate '{run}' -n" in out
    assert drawn == [(run / "metrics.csv", run / "loss.png")] * 3  # an epoch of each stage, and the end


def test_a_rank_without_other_processes(caloforge, inputs, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    code, out, _ = caloforge("train", "caloflow", *inputs, "-o", tmp_path / "run", *SHORT)
    assert (code, "best.safetensors" in out) == (0, True)


def test_a_full_disk(caloforge, inputs, tmp_path):
    run = tmp_path / "run"
    with file_size_limit(4000):
        code, _, err = caloforge("train", "caloflow", *inputs, "-o", run, *SHORT)
    assert code == 2
    assert next(line for line in err.splitlines() if "error" in line).startswith(f"error: {run}/")
    assert "Traceback" not in err
    assert {path.name for path in run.iterdir()} <= {"run.json", "metrics.csv", "loss.png"}
    assert caloforge("train", "caloflow", *inputs, "-o", run, *SHORT, "--resume")[0] == 0


def test_a_folder_of_somebody_else_is_left_alone(caloforge, inputs, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "metrics.csv").write_text("a,b\n1,2\n")
    code, _, err = caloforge("train", "caloflow", *inputs, "-o", folder)
    assert (code, err.count("error: ")) == (2, 1)
    assert "is not empty and holds no run" in err
    assert [path.name for path in folder.iterdir()] == ["metrics.csv"]
