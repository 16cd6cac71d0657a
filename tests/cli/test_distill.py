"""`caloforge distill` by its command line, and that its student is a model like any other."""

import json
import re

import pytest

from caloforge import io
from caloforge.models.checkpoint import read_header
from support.tiny_runs import command_line, python, train_tiny, write_inputs


@pytest.fixture
def caloforge(capsys, monkeypatch):
    return lambda *args: command_line(args, capsys, monkeypatch)


@pytest.fixture
def inputs(tmp_path):
    """Options of the command; beside them lies a teacher."""
    write_inputs(tmp_path)
    train_tiny(tmp_path / "teacher", "training.energies.epochs=1", "training.shape.epochs=1")
    return ("--preset", tmp_path / "student.toml", "--data", tmp_path / "showers.h5")


def test_teacher_to_student_to_showers(caloforge, inputs, tmp_path):
    teacher, run, out_file = tmp_path / "teacher", tmp_path / "student", tmp_path / "out.h5"
    command = ("distill", teacher, *inputs, "-o", run, "--stop", 100, "--seed", 4)
    code, out, err = caloforge(*command)
    assert code == 0, err
    assert f"{run}/best.safetensors: use it with caloforge generate {run}" in out
    number = r"-?[\d.e+]+"
    losses = rf"training {number} validation {number} kl {number} teacher_nll {number} nll {number}"
    assert re.search(f"stage shape epoch 2/2: {losses}", err)
    assert (run / "loss.png").read_bytes().startswith(b"\x89PNG")
    known = json.loads((run / "run.json").read_text())
    assert known["config"]["seed"] == 4
    weights = read_header(teacher / "best.safetensors").provenance["weights_id"]
    assert known["teacher"]["weights"] == weights
    assert read_header(run / "best.safetensors").provenance["teacher"]["weights"] == weights

    code, _, err = caloforge("generate", run, "-n", 20, "--energies", "5:50", "-o", out_file)
    assert code == 0, err
    assert len(io.read(out_file)) == 20
    # A finished run continues to nothing, another one is refused.
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert caloforge(*command, "--resume")[0] == 0
    code, _, err = caloforge(*command)
    assert (code, err.count("error: ")) == (2, 1)
    assert "holds a run already; pass --resume" in err
    after = {path.name: path.read_bytes() for path in run.iterdir()}
    assert {k: v for k, v in after.items() if k != "loss.png"} == {
        k: v for k, v in before.items() if k != "loss.png"
    }


def test_a_weights_file_is_a_teacher_too(caloforge, inputs, tmp_path):
    run = tmp_path / "student"
    code, _, err = caloforge("distill", tmp_path / "teacher" / "last.safetensors", *inputs, "-o", run)
    assert code == 0, err
    assert json.loads((run / "run.json").read_text())["teacher"]["name"] == "last.safetensors"


@pytest.mark.slow
def test_torchrun_is_two_processes(tmp_path, inputs):
    """Both read the teacher, one writes."""
    run = tmp_path / "student"
    process = python(
        *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "caloforge"),
        *("distill", tmp_path / "teacher", *inputs, "-o", run),
    )
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert json.loads((run / "run.json").read_text())["processes"] == 2
