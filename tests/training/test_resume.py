"""A run that is interrupted anywhere, and continued, is the run that was not: weights and metrics, bit for bit."""

import csv
import functools
import json
import os
import random
import signal
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from caloforge.errors import (
    CheckpointError,
    ConfigError,
    FileFormatError,
    GeometryMismatchError,
    OutputError,
    UnknownNameError,
)
from caloforge.training import BEST, LAST, METRICS, STATE, Teacher
from caloforge.training.parallel import Processes, own_device
from caloforge.training.state import load_state
from support.tiny_runs import distill_tiny, python, tiny_showers, train_tiny, write_inputs

# 108 showers in batches of 5: 21 iterations an epoch, so a look at the loss (each 20th) falls within it.
STAGES = {
    "caloflow": ("energies", "shape"),
    "caloman": ("energies", "manifold", "density"),
    "blockwise": ("moments", "voxels"),
    "groupwise": ("moments", "voxels"),
}
SETTINGS = {
    family: tuple(
        f"training.{stage}.{setting}" for stage in stages for setting in ("epochs=2", "batch_size=5")
    )
    for family, stages in STAGES.items()
}

ACCUMULATE = ("milestones=[1]", "accumulate=[2, 3]")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def check_same(folder, other, *, exact=True):
    """Weights, resume state and metrics agree; the seconds need not."""
    for name in (BEST, LAST):
        ours, theirs = load_file(folder / name), load_file(other / name)
        assert ours.keys() == theirs.keys()
        for key in ours:
            if exact:
                assert torch.equal(ours[key], theirs[key]), (name, key)
            else:
                torch.testing.assert_close(ours[key], theirs[key], rtol=2e-3, atol=2e-4)
    rows = []
    for path in (folder / METRICS, other / METRICS):
        with path.open(newline="") as file:
            rows.append([{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)])
    if exact:
        assert rows[0] == rows[1]
        ours, theirs = load_state(folder / STATE)[1], load_state(other / STATE)[1]
        assert all(torch.equal(ours[g][k], theirs[g][k]) for g in ours for k in ours[g])
    else:
        for row, expected in zip(*rows, strict=True):
            for key in ("train_loss", "validation_loss"):
                assert float(row[key]) == pytest.approx(float(expected[key]), rel=1e-4)


class Stop(BaseException):
    """Takes the place of a kill: nothing in the package catches it."""


def train_until(folder, n_events, *settings, train=train_tiny, resume=False):
    """Train until the n-th event; whether it was reached. Everything is saved as often as can be."""
    count = 0

    def stop(event):
        nonlocal count
        count += 1
        if count == n_events:
            raise Stop

    try:
        train(folder, *settings, save_seconds=0.0, resume=resume, on_event=stop)
    except Stop:
        return True
    return False


def points_of_interruption(folder, *settings, train=train_tiny):
    """Train in pieces, each of which repeats the event of the one before and goes one further."""
    points = set()
    stopped = train_until(folder, 2, *settings, train=train)
    while stopped:
        progress = load_state(folder / STATE)[0]
        points.add((progress.stage, progress.epoch, progress.epoch_iterations))
        stopped = train_until(folder, 2, *settings, train=train, resume=True)
    return points


@pytest.mark.parametrize("family", STAGES)
def test_interrupted_at_every_event(family, tmp_path):
    """Three events an epoch: within it, after its last iteration, at its end."""
    train = functools.partial(train_tiny, family=family)
    train(tmp_path / "whole", *SETTINGS[family])
    points = points_of_interruption(tmp_path / "pieces", *SETTINGS[family], train=train)
    within = {(stage, epoch, k) for stage in STAGES[family] for epoch in (0, 1) for k in (20, 21)}
    assert len(points & within) >= 2 * len(STAGES[family]), points
    assert {stage for stage, _, _ in points} == set(STAGES[family])
    check_same(tmp_path / "pieces", tmp_path / "whole")


def test_interrupted_where_gradients_are_accumulated(tmp_path):
    """Steps of 2, then of 3 batches: after iteration 20 none is half done in the first epoch, one is in the second."""
    settings = [
        *SETTINGS["caloflow"],
        *(f"training.{s}.{k}" for s in ("energies", "shape") for k in ACCUMULATE),
    ]
    train_tiny(tmp_path / "whole", *settings)
    points = points_of_interruption(tmp_path / "pieces", *settings)
    assert ("shape", 0, 20) in points
    assert not any(epoch == 1 and k == 20 for _, epoch, k in points)
    check_same(tmp_path / "pieces", tmp_path / "whole")


def test_a_distillation_interrupted_at_every_event(tmp_path):
    """The student, like any other stage; the teacher is given again each time."""
    train_tiny(tmp_path / "teacher", "training.energies.epochs=1", "training.shape.epochs=1")
    teacher = Teacher.load(tmp_path / "teacher")
    settings = [f"training.shape.{s}" for s in ("batch_size=5", *ACCUMULATE)]

    def distill(folder, *settings, **options):
        return distill_tiny(folder, teacher, *settings, "model.shape.dropout=0.2", **options)

    distill(tmp_path / "whole", *settings)
    points = points_of_interruption(tmp_path / "pieces", *settings, train=distill)
    assert ("shape", 0, 20) in points
    check_same(tmp_path / "pieces", tmp_path / "whole")


@pytest.mark.parametrize("family", STAGES)
def test_resuming_a_finished_run_changes_nothing(family, tmp_path):
    folder = tmp_path / "run"
    train_tiny(folder, *SETTINGS[family], family=family)
    before = {name: (folder / name).read_bytes() for name in (BEST, LAST, METRICS, STATE)}
    events = []
    train_tiny(folder, *SETTINGS[family], family=family, resume=True, on_event=events.append)
    assert not events
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_resume_of_nothing_starts(tmp_path):
    train_tiny(tmp_path / "a", "training.energies.epochs=1", "training.shape.epochs=1")
    train_tiny(tmp_path / "b", "training.energies.epochs=1", "training.shape.epochs=1", resume=True)
    check_same(tmp_path / "a", tmp_path / "b")


def test_seeds_matter(tmp_path):
    short = ("training.energies.epochs=1", "training.shape.epochs=1")
    train_tiny(tmp_path / "a", *short)
    train_tiny(tmp_path / "b", *short, "seed=2")
    ours, theirs = load_file(tmp_path / "a" / BEST), load_file(tmp_path / "b" / BEST)
    weights = [key for key in ours if key.endswith("weight_packed")]
    assert weights
    assert all(not torch.equal(ours[key], theirs[key]) for key in weights)


def test_what_a_folder_refuses(tmp_path):
    folder = tmp_path / "run"
    short = ("training.energies.epochs=1", "training.shape.epochs=1")
    train_tiny(folder, *short)
    with pytest.raises(OutputError, match="holds a run already; pass --resume"):
        train_tiny(folder, *short)
    with pytest.raises(ConfigError, match=r"training\.shape\.epochs = 1 against 2.*repeat them"):
        train_tiny(folder, short[0], "training.shape.epochs=2", resume=True)
    with pytest.raises(ConfigError, match=r"\(seed = 1 against 2\)"):
        train_tiny(folder, *short, "seed=2", resume=True)
    refused = "trained on other showers than those given: "
    with pytest.raises(
        GeometryMismatchError, match=rf"{refused}120 showers \(0 to 120\) against 119 showers"
    ):
        train_tiny(folder, *short, showers=tiny_showers(119), resume=True)
    with pytest.raises(
        GeometryMismatchError, match=rf"{refused}their energies have the digest \w+ against \w+,"
    ):
        train_tiny(folder, *short, showers=tiny_showers(seed=1), resume=True)
    before = (folder / "run.json").read_text()
    known = json.loads(before)
    for changed, message in (
        (
            {"data": known["data"] | {"file": "a.h5", "fingerprint": "f"}},
            r"file a\.h5 against showers\.h5; their e",
        ),
        ({"geometry": known["geometry"] | {"name": "calogan"}}, "calorimeter 'calogan' against 'toy'"),
        ({"geometry": {"name": "toy"}}, "calorimeter 'toy' against another calorimeter of that name"),
        ({"data": None}, "its record does not say which"),
        ({"data": {"file": "showers.h5"}}, "an unknown number of showers against 120 showers"),
    ):
        (folder / "run.json").write_text(json.dumps(known | changed))
        with pytest.raises(GeometryMismatchError, match=f"{refused}{message}") as caught:
            train_tiny(folder, *short, resume=True)
        assert not set("{}[]\n") & set(str(caught.value)), "raw data"
    (folder / "run.json").write_text(before)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").touch()
    for resume in (False, True):
        with pytest.raises(OutputError, match="not empty and holds no run"):
            train_tiny(other, *short, resume=resume)
    assert [path.name for path in other.iterdir()] == ["thesis.tex"]
    with pytest.raises(OutputError, match="cannot be written"):
        train_tiny(other / "thesis.tex" / "run", *short)
    with pytest.raises(OutputError, match="cannot be written"):
        train_tiny(other / "thesis.tex", *short)
    with pytest.raises(UnknownNameError, match=r"Unknown stage .* 'shapes'. Did you mean 'shape'"):
        train_tiny(tmp_path / "new", "training.shapes.epochs=1")
    assert not (tmp_path / "new").exists()


def test_another_number_of_processes_or_device(tmp_path):
    short = ("training.energies.epochs=1", "training.shape.epochs=1")
    train_tiny(tmp_path, *short)
    record = tmp_path / "run.json"
    known = json.loads(record.read_text())
    assert (known["processes"], known["device"]) == (1, "cpu")
    for changed, match in (
        ({"processes": 2}, "started with processes = 2, not 1"),
        ({"device": "cuda"}, "started with kind of device = cuda, not cpu"),
    ):
        record.write_text(json.dumps(known | changed))
        with pytest.raises(ConfigError, match=match):
            train_tiny(tmp_path, *short, resume=True)
    record.write_text(json.dumps({k: v for k, v in known.items() if k not in ("processes", "device")}))
    train_tiny(tmp_path, *short, resume=True)


def test_a_renamed_file_of_the_same_showers(tmp_path):
    short = ("training.energies.epochs=1", "training.shape.epochs=1")
    train_tiny(tmp_path, *short)
    record = tmp_path / "run.json"
    record.write_text(record.read_text().replace("showers.h5", "before.h5"))
    train_tiny(tmp_path, *short, resume=True)


def test_a_rank_counts_among_several_processes_only(monkeypatch):
    for name, value in (("RANK", "1"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert Processes.from_environment() == Processes(rank=0, size=1)
    assert own_device("cuda") == "cuda"
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert Processes.from_environment() == Processes(rank=1, size=2)
    assert own_device("cuda") == "cuda:1"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"null"])
def test_a_damaged_record(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises((FileFormatError, ConfigError), match=r"run\.json"):
        train_tiny(tmp_path, resume=True)


@pytest.mark.parametrize("keep", [0, 7, 100, 2000])
def test_a_damaged_state(tmp_path, keep):
    short = ("training.energies.epochs=1", "training.shape.epochs=1")
    train_tiny(tmp_path, *short)
    state = tmp_path / STATE
    state.write_bytes(state.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=rf"{STATE}: is no resume state .* or is damaged"):
        train_tiny(tmp_path, *short, resume=True)


def test_a_state_of_something_else(tmp_path):
    short = ("training.energies.epochs=1", "training.shape.epochs=1")
    train_tiny(tmp_path, *short)
    (tmp_path / STATE).write_bytes((tmp_path / BEST).read_bytes())
    with pytest.raises(CheckpointError, match="is no resume state"):
        train_tiny(tmp_path, *short, resume=True)
    other = tmp_path / "other"
    train_tiny(other, *short, "model.shape.hidden=7")
    (tmp_path / STATE).write_bytes((other / STATE).read_bytes())
    with pytest.raises(CheckpointError, match="of another model"):
        train_tiny(tmp_path, *short, resume=True)


def train_command(folder, output, *options):
    inputs = write_inputs(folder) if not (folder / "tiny.toml").exists() else None
    inputs = inputs or ["--preset", str(folder / "tiny.toml"), "--data", str(folder / "showers.h5")]
    return ["-m", "caloforge", "train", "caloflow", *inputs, "-o", str(output), *options]


def finish(process):
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err


@pytest.mark.slow
def test_killed_twice(tmp_path):
    """SIGKILL at random moments, first in one stage, then in the other, mostly within an epoch."""
    delays = random.Random(time.time_ns())  # other moments in every run
    settings = [f"--set={s.replace('epochs=2', 'epochs=12')}" for s in SETTINGS["caloflow"]]
    killed = train_command(tmp_path, tmp_path / "killed", *settings, "--save-every=0", "--resume")
    for stage in ("energies", "shape"):
        process, delay = python(*killed), delays.uniform(0.05, 0.6)
        state = tmp_path / "killed" / STATE
        while process.poll() is None:
            if state.exists() and (progress := load_state(state)[0]).stage == stage and progress.iteration:
                time.sleep(delay)
                break
            time.sleep(0.02)
        assert process.poll() is None, f"it ended before it could be killed: {process.communicate()[1]}"
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    whole = python(*train_command(tmp_path, tmp_path / "whole", *settings))
    finish(python(*killed))
    finish(whole)
    check_same(tmp_path / "killed", tmp_path / "whole")
    assert (tmp_path / "killed" / "loss.png").stat().st_size > 1000
    assert sorted(p.name for p in (tmp_path / "whole").iterdir()) == sorted(
        [BEST, LAST, METRICS, STATE, "run.json", "loss.png"]
    )


TWO_PROCESSES = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


@pytest.mark.slow
def test_two_processes_are_one_up_to_rounding(tmp_path):
    settings = ["--set=model.shape.dropout=0.0", "--set=training.shape.clip_norm=5.0"]
    one = python(*train_command(tmp_path, tmp_path / "one", *settings))
    finish(one)
    command = train_command(tmp_path, tmp_path / "two", *settings)
    finish(python(*TWO_PROCESSES, *command))
    check_same(tmp_path / "two", tmp_path / "one", exact=False)
    known = [json.loads((tmp_path / name / "run.json").read_text()) for name in ("one", "two")]
    assert known[0] | {"processes": 2} == known[1]


AGREE = """
import hashlib, sys
from pathlib import Path
import torch
from caloforge.training import train
from support.tiny_runs import tiny_config, tiny_showers
from caloforge.training import initial_model
config = tiny_config("training.energies.epochs=1")
showers = tiny_showers(int(sys.argv[2]))
model = train(initial_model(config, showers.geometry), showers, config, Path(sys.argv[1]))
text = b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values())
print("weights", hashlib.sha256(text).hexdigest(), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("n", [120, 11], ids=["usual", "one shower to validate with"])
def test_two_processes_agree(tmp_path, n):
    """With dropout, which differs between them, and where one of them has nothing to validate."""
    script = tmp_path / "agree.py"
    script.write_text(AGREE)
    process = python(*TWO_PROCESSES, script, tmp_path, n)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    digests = [line.split()[1] for line in out.splitlines() if line.startswith("weights")]
    assert len(digests) == 2
    assert digests[0] == digests[1]
    assert np.isfinite(float((tmp_path / METRICS).read_text().splitlines()[-1].split(",")[4]))
