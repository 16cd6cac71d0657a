"""Whatever is asked for wrongly: exit code 2, one `error:` line, no traceback, no output."""

import os
import resource
import subprocess
import sys

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from caloforge.cli.main import app
from support.tiny_runs import command_line, distill_tiny, subprocess_environment, train_tiny, write_inputs

COMMANDS = sorted(command.name or command.callback.__name__ for command in app.registered_commands)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with a run, showers, a recipe and a few things that are none of these."""
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    train_tiny(folder / "run", "training.energies.epochs=1", "training.shape.epochs=1")
    distill_tiny(folder / "student", folder / "run", "training.shape.epochs=1")
    (folder / "text.h5").write_text("hello")
    (folder / "text.safetensors").write_text("hello")
    (folder / "empty").mkdir()
    (folder / "full").mkdir()
    (folder / "full" / "thesis.tex").touch()
    (folder / "other.toml").write_text('family = "caloflop"\n')
    (folder / "broken.toml").write_text("family =\n")
    (folder / "stage.toml").write_text('family = "caloflow"\n[training.shapes]\nepochs = 1\n')
    with h5py.File(folder / "weights.h5", "w") as file:
        file["weights"] = np.zeros(3)
    return folder


TRAIN = ("train", "caloflow", "--preset", "tiny.toml", "--data", "showers.h5", "-o", "out")
RECIPE = (*TRAIN[:2], *TRAIN[4:], "--preset")
DISTILL = ("distill", "run", "--preset", "student.toml", "--data", "showers.h5", "-o", "out")
GENERATE = ("generate", "run", "-n", "10", "-o", "out")


def without(command, *options):
    """The command without these options and their values."""
    kept = list(command)
    for option in options:
        where = kept.index(option)
        del kept[where : where + 2]
    return tuple(kept)


CASES = {
    "no command": ((), ""),
    "unknown command": (("trian",), "No such command 'trian'"),
    "unknown option": (("info", "--frobnicate"), "No such option: --frobnicate"),
    "train: nothing": (("train",), "Missing argument 'MODEL'"),
    "train: no data": (without(TRAIN, "--data"), "Missing option '--data'"),
    "train: family": (("train", "caloflo", *TRAIN[2:]), "model family 'caloflo'. Did you mean 'caloflow'"),
    "train: recipe of another family": (
        (*RECIPE, "other.toml"),
        "Recipe 'other.toml' is for the family 'caloflop', not for 'caloflow'",
    ),
    "train: unknown recipe": (
        (*RECIPE, "caloflow-smal"),
        "Did you mean 'caloflow-small'",
    ),
    "train: broken recipe": (
        (*RECIPE, "broken.toml"),
        "broken.toml: is not valid TOML",
    ),
    "train: no recipe": ((*RECIPE, "no.toml"), "no.toml: cannot be read"),
    "train: unknown stage": (
        (*RECIPE, "stage.toml"),
        "stage in [training] 'shapes'",
    ),
    "train: unknown setting": ((*TRAIN, "--set", "model.shape.hiden=8"), "Did you mean 'hidden'"),
    "train: no setting": ((*TRAIN, "--set", "model.shape.hidden"), "is not of the form section.key=value"),
    "train: setting of wrong type": (
        (*TRAIN, "--set", "model.shape.hidden=many"),
        "model.shape.hidden = 'many'",
    ),
    "train: setting without sense": (
        (*TRAIN, "--set", "training.shape.epochs=0"),
        "epochs must be at least 1",
    ),
    "info: long name": (("info", "x" * 300), "File name too long"),
    "train: long name": ((*without(TRAIN, "-o"), "-o", "x" * 300), "File name too long"),
    "train: long recipe": ((*RECIPE, "x" * 300), "File name too long"),
    "generate: long model": (
        ("generate", "x" * 300, *GENERATE[2:], "--energies", "50"),
        "File name too long",
    ),
    "generate: long output": (
        (*without(GENERATE, "-o"), "--energies", "50", "-o", "x" * 253),
        "File name too long",
    ),
    "generate: device as output": (
        (*without(GENERATE, "-o"), "--energies", "50", "--overwrite", "-o", "/dev/null"),
        "is a device, a pipe or a socket",
    ),
    "generate: far too many": (
        (*without(GENERATE, "-n"), "--energies", "50", "-n", "100000000000000"),
        "cannot fit on this disk",
    ),
    "generate: resume what is finished": (
        (*without(GENERATE, "-o"), "--energies", "50", "-o", "text.h5", "--resume"),
        "there is nothing to resume",
    ),
    "train: seed": ((*TRAIN, "--seed", "-1"), "seed must not be negative"),
    "train: save-every": ((*TRAIN, "--save-every", "-1"), "--save-every"),
    "train: device": ((*TRAIN, "--device", "tpu9"), "Device 'tpu9' cannot be used"),
    "train: data not there": (
        (*without(TRAIN, "--data"), "--data", "shower.h5"),
        "Did you mean 'showers.h5'",
    ),
    "train: data no HDF5": ((*without(TRAIN, "--data"), "--data", "text.h5"), "text.h5: is not HDF5"),
    "train: data no showers": (
        (*without(TRAIN, "--data"), "--data", "weights.h5"),
        "no known layout of showers",
    ),
    "train: geometry": ((*TRAIN, "--geometry", "calogan"), "which has other voxels"),
    "train: unknown geometry": ((*TRAIN, "--geometry", "calogen"), "Did you mean 'calogan'"),
    "train: range": ((*TRAIN, "--stop", "500"), "holds 120 showers"),
    "train: too few": ((*TRAIN, "--stop", "3"), "3 showers cannot be split"),
    "train: none": ((*TRAIN, "--stop", "0"), "0 showers cannot be split"),
    "train: folder not empty": ((*without(TRAIN, "-o"), "-o", "full"), "full: is not empty and holds no run"),
    "train: folder of a run": ((*without(TRAIN, "-o"), "-o", "run"), "holds a run already; pass --resume"),
    "train: below a file": ((*without(TRAIN, "-o"), "-o", "text.h5/run"), "cannot be written"),
    "train: a file": ((*without(TRAIN, "-o"), "-o", "text.h5"), "cannot be written"),
    "train: read-only": ((*without(TRAIN, "-o"), "-o", "/proc/run"), "/proc/run: cannot be written"),
    "train: resume with other settings": (
        (*without(TRAIN, "-o"), "-o", "run", "--resume"),
        "training.energies.epochs = 1 against 2, training.shape.epochs = 1 against 2",
    ),
    "train: resume with other data": (
        (*without(TRAIN, "-o"), "-o", "run", "--resume", "--stop", "100"),
        "was trained on other showers",
    ),
    "train: recipe of a student": ((*RECIPE, "student.toml"), "caloforge distill"),
    "distill: nothing": (("distill",), "Missing argument 'TEACHER'"),
    "distill: recipe of a teacher": (
        (*without(DISTILL, "--preset"), "--preset", "tiny.toml"),
        "to distil, choose the --preset of a student",
    ),
    "distill: blocks": (
        (*DISTILL, "--set", "model.shape.blocks=3"),
        "differ in model.shape.blocks: 2 against 3",
    ),
    "distill: spline": ((*DISTILL, "--set", "model.shape.bins=5"), "differ in model.shape.bins: 8 against 5"),
    "distill: other calorimeter": (
        ("distill", "caloflow-eplus", *DISTILL[2:]),
        "showers.h5",
    ),
    "distill: a student": (("distill", "student", *DISTILL[2:]), "student is a student itself"),
    "distill: no loop": (
        (*DISTILL, "--set", "distillation.z_loss=false", "--set", "distillation.x_loss=false"),
        "both off",
    ),
    "distill: unknown term": ((*DISTILL, "--set", "distillation.zloss=false"), "Did you mean 'z_loss'"),
    "distill: unknown teacher": (("distill", "caloflow-x", *DISTILL[2:]), "Unknown model 'caloflow-x'"),
    "distill: damaged teacher": (
        ("distill", "text.safetensors", *DISTILL[2:]),
        "text.safetensors: is no safetensors file or is damaged",
    ),
    "distill: folder of a run": ((*without(DISTILL, "-o"), "-o", "run"), "holds a run already"),
    "distill: device": ((*DISTILL, "--device", "tpu9"), "Device 'tpu9' cannot be used"),
    "distill: resume of a training": (
        (*without(DISTILL, "-o"), "-o", "run", "--resume"),
        "was started with no teacher, not with run",
    ),
    "generate: no energy": (GENERATE, "--energies"),
    "generate: a list without saying so": ((*GENERATE, "--energies", "2,90"), "--spectrum list"),
    "generate: a list that is none": ((*GENERATE, "--energies", "2:90", "--spectrum", "list"), "1,5,10"),
    "generate: no number": (without((*GENERATE, "--energies", "50"), "-n"), "Say how many showers"),
    "generate: no showers": ((*without(GENERATE, "-n"), "-n", "0", "--energies", "50"), "'-n'"),
    "generate: energy 0": ((*GENERATE, "--energies", "0"), "positive and finite"),
    "generate: energy nan": ((*GENERATE, "--energies", "nan"), "positive and finite"),
    "generate: range upside down": ((*GENERATE, "--energies", "90:2"), "low <= high"),
    "generate: range open": ((*GENERATE, "--energies", "2:"), "'2:' is neither an energy or range in GeV"),
    "generate: energies in words": (
        (*GENERATE, "--energies", "abc"),
        "--energies 'abc' is neither an energy or range in GeV nor a file; give one energy as 50, a range LOW:HIGH as "
        "1:100, a list as 1,5,10 with --spectrum list, or a file of showers.",
    ),
    "generate: energies with a unit": (
        (*GENERATE, "--energies", "0.5:10GeV"),
        "'0.5:10GeV' is neither an energy",
    ),
    "generate: spectrum": ((*GENERATE, "--energies", "2:90", "--spectrum", "log"), "log-uniform"),
    "generate: extrapolation": ((*GENERATE, "--energies", "500"), "outside the trained range"),
    "generate: energies not there": ((*GENERATE, "--energies", "shower.h5"), "Did you mean 'showers.h5'"),
    "generate: energies no HDF5": ((*GENERATE, "--energies", "text.h5"), "is not HDF5"),
    "generate: too few energies": (
        (*without(GENERATE, "-n"), "-n", "121", "--energies", "showers.h5"),
        "got 120",
    ),
    "generate: seed": ((*GENERATE, "--energies", "50", "--seed", "-1"), "seed must lie in"),
    "generate: device": ((*GENERATE, "--energies", "50", "--device", "meta"), "Device 'meta' cannot be used"),
    "generate: layout": ((*GENERATE, "--energies", "50", "--layout", "calogann"), "Did you mean 'calogan'"),
    "generate: layout that cannot hold it": ((*GENERATE, "--energies", "50", "--layout", "ild"), "ild"),
    "generate: workers": ((*GENERATE, "--energies", "50", "--workers", "0"), "--workers"),
    "generate: compression": ((*GENERATE, "--energies", "50", "--compression", "10"), "--compression"),
    "generate: name": (
        ("generate", "caloflow-x", *GENERATE[2:], "--energies", "50"),
        "Unknown model 'caloflow-x'",
    ),
    "generate: folder": (
        ("generate", "empty", *GENERATE[2:], "--energies", "50"),
        "holds no best.safetensors",
    ),
    "generate: weights": (
        ("generate", "text.safetensors", *GENERATE[2:], "--energies", "50"),
        "text.safetensors: is no safetensors file or is damaged",
    ),
    "generate: showers for a model": (
        ("generate", "showers.h5", *GENERATE[2:], "--energies", "50"),
        "showers.h5: is an HDF5 file, as showers are stored in, and not weights; give shipped weights",
    ),
    "distill: showers for a teacher": (("distill", "showers.h5", *DISTILL[2:]), "is an HDF5 file"),
    "demo: showers for a model": (("demo", "--model", "showers.h5", "-o", "out"), "is an HDF5 file"),
    "benchmark: showers for a model": (("benchmark", "--models", "run,showers.h5"), "is an HDF5 file"),
    "generate: output folder": ((*without(GENERATE, "-o"), "--energies", "50", "-o", "empty"), "is a folder"),
    "generate: no output folder": (
        (*without(GENERATE, "-o"), "--energies", "50", "-o", "no/out"),
        "does not exist",
    ),
    "generate: below a file": (
        (*without(GENERATE, "-o"), "--energies", "50", "-o", "text.h5/out"),
        "text.h5",
    ),
    "generate: output exists": (
        (*without(GENERATE, "-o"), "--energies", "50", "-o", "text.h5"),
        "exists already",
    ),
    "generate: read-only": (
        (*without(GENERATE, "-o"), "--energies", "50", "-o", "/proc/out"),
        "cannot be written",
    ),
}


BEFORE_DATA = {
    "train: unknown preset": (
        ("train", "caloflow", "--preset", "caloflow-smal"),
        "Did you mean 'caloflow-small'",
    ),
    "train: of another family": (("train", "caloman", "--preset", "tiny.toml"), "not for 'caloman'"),
    "train: preset of a student": (("train", "caloflow", "--preset", "caloflow-v2"), "caloforge distill"),
    "train: stage": (
        ("train", "caloflow", "--set", "training.shapes.epochs=1"),
        "stage in [training] 'shapes'",
    ),
    "train: stage of a family that completes its settings": (
        ("train", "caloman", "--set", "training.density2.epochs=1"),
        "stage in [training] 'density2'",
    ),
    "train: setting of a stage": (
        ("train", "caloflow", "--set", "training.shape.epoch=1"),
        "Did you mean 'epochs'",
    ),
    "train: setting of the model": (
        ("train", "groupwise", "--set", "model.voxels.grups=3"),
        "Did you mean 'groups'",
    ),
    "train: section of the model": (
        ("train", "caloman", "--set", "model.shape.hidden=3"),
        "in 'model' 'shape'",
    ),
    "train: type": (("train", "caloflow", "--set", "model.shape.hidden=many"), "model.shape.hidden = 'many'"),
    "train: type, of a preset for no known calorimeter": (
        ("train", "caloflow", "--preset", "tiny.toml", "--set", "model.shape.hidden=many"),
        "model.shape.hidden = 'many'",
    ),
    "train: value": (("train", "caloflow", "--set", "training.shape.epochs=0"), "epochs must be at least 1"),
    "distill: stage": (
        ("distill", "run", "--preset", "student.toml", "--set", "training.shapes.epochs=1"),
        "'shapes'",
    ),
    "distill: setting": (
        ("distill", "run", "--preset", "student.toml", "--set", "model.shape.hiden=8"),
        "'hidden'",
    ),
    "distill: size": (
        ("distill", "run", "--preset", "student.toml", "--set", "model.shape.blocks=3"),
        "2 against 3",
    ),
    "distill: preset of a teacher": (
        ("distill", "run", "--preset", "tiny.toml"),
        "choose the --preset of a student",
    ),
}


@pytest.mark.parametrize(("command", "message"), BEFORE_DATA.values(), ids=BEFORE_DATA.keys())
def test_settings_are_checked_before_the_data(inputs, capsys, monkeypatch, command, message):
    """Of a file that is not there nothing is said, as it is not looked at yet."""
    monkeypatch.chdir(inputs)
    code, out, err = command_line((*command, "--data", "shower.h5", "-o", "out"), capsys, monkeypatch)
    assert (code, out, err.count("error: ")) == (2, "", 1)
    assert message in err
    assert "shower.h5" not in err


def test_what_only_showers_can_tell_is_left_to_them(inputs, capsys, monkeypatch):
    """More coordinates than the recipe's calorimeter has voxels may be right for another one."""
    monkeypatch.chdir(inputs)
    command = ("train", "caloman", "--set", "model.manifold.latent=600", "--data", "shower.h5", "-o", "out")
    code, _, err = command_line(command, capsys, monkeypatch)
    assert code == 2
    assert "shower.h5: no such file" in err


def snapshot(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize(("command", "message"), CASES.values(), ids=CASES.keys())
def test_bad_input(inputs, capsys, monkeypatch, command, message):
    monkeypatch.chdir(inputs)
    before = snapshot(inputs)
    code, out, err = command_line(command, capsys, monkeypatch)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    if command:
        assert out == ""
        assert len(errors) == 1
        assert errors[0] == err.splitlines()[-1]
    else:  # no question, no error: the help
        assert "Usage" in out + err
    assert snapshot(inputs) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    done = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "100", "TERM": "dumb"})
    assert done.exit_code == 0
    assert "Usage" in done.output
    assert "--help" in done.output
    assert (
        CliRunner().invoke(app, [command, "-h"], env={"COLUMNS": "100", "TERM": "dumb"}).output == done.output
    )


def test_help_of_all():
    output = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "100", "TERM": "dumb"}).output
    assert {"convert", "generate", "info", "models", "train"} <= set(COMMANDS)
    assert all(command in output for command in COMMANDS)


def test_help_comes_at_once_and_errors_of_a_real_process():
    """Measured as time of the processor, which a busy machine does not stretch much; usually 0.25 s."""
    environment = subprocess_environment()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "caloforge", "--help"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "generate" in done.stdout
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0
    done = subprocess.run(
        [sys.executable, "-m", "caloforge", "info", os.devnull],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {os.devnull}: ")
    assert done.stderr.count("\n") == 1
