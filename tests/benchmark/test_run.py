"""Whole benchmarks: what they hold, memory that runs out, interrupts, bad input."""

import json
import os
import signal
import time
from pathlib import Path
from typing import get_args

import pytest
import torch

from caloforge.benchmark import BenchmarkSettings, load_benchmark, run_benchmark
from caloforge.benchmark import run as run_module
from caloforge.benchmark import settings as settings_module
from caloforge.benchmark.processes import CellError, OutOfMemoryError, measure
from caloforge.benchmark.tables import markdown_table, text_rows
from caloforge.errors import CaloForgeError, ConfigError, OutputError, UnknownNameError, WorkerDiedError
from caloforge.generation import Precision
from support.geant4 import data_variables, needs_geant4
from support.processes import child_processes
from support.tiny_runs import file_size_limit, python, subprocess_environment


@pytest.mark.slow
def test_a_benchmark(run, tmp_path, monkeypatch):
    """A model on two threads beside its peers, each in a process of its own; the papers' networks are too large."""
    monkeypatch.setattr(run_module, "paper_networks", list)
    steps, seen = [], []
    settings = BenchmarkSettings(
        models=(str(run),), threads=(2,), batches=(1500, 1), repeats=2, peers=True, peer_showers=3
    )
    report = run_benchmark(
        settings,
        tmp_path / "out",
        command="caloforge benchmark",
        on_step=lambda *step: steps.append(step),
        on_report=lambda report: seen.append(len(report["rows"])),
    )
    assert load_benchmark(tmp_path / "out") == json.loads(json.dumps(report))
    assert (tmp_path / "out" / "benchmark.png").stat().st_size > 5000
    assert report["complete"]
    assert report["started"] <= report["finished"]
    libraries = [(row["library"], row["batch"]) for row in report["rows"]]
    assert libraries == [("caloforge", 1), ("caloforge", 1500), ("nflows", 3), ("zuko", 3)]
    for row in report["rows"]:
        assert row["ms_per_shower"]["min"] <= row["ms_per_shower"]["median"] <= row["ms_per_shower"]["max"]
        assert row["threads"] == 2
        assert 50 < row["peak_MB"] < 5000
        assert 0 < row["peak_share"] < 1
    one, many = (row["ms_per_shower"]["median"] for row in report["rows"][:2])
    assert one > 3 * many
    assert [(peak["dtype"], peak["threads"]) for peak in report["peaks"]] == [("float32", 2)]
    done = [done for _, done, _ in steps]
    assert done == list(range(5))
    assert all(total > done for _, done, total in steps)
    assert max(seen) == 4


@pytest.mark.slow
@needs_geant4
def test_geant4_in_the_same_run(monkeypatch):
    """Three real showers; the untrained network of the same calorimeter is compared with them, too."""
    for name, value in data_variables().items():
        monkeypatch.setenv(name, value)
    settings = BenchmarkSettings(
        models=("caloflow-small", "caloflow-eplus"), batches=(1024,), repeats=1, geant4=True, geant4_showers=3
    )
    report = run_benchmark(settings)
    (found,) = report["geant4"]
    assert found["models"] == ["caloflow-eplus", "caloflow-small"]
    assert (found["physics"], found["particle"], found["n_showers"]) == ("em", "e+", 3)
    assert 0.02 < found["cpu_s_per_shower"] < 5
    assert found["wall_s_per_shower"] > found["cpu_s_per_shower"] * 0.9
    assert 50 < found["peak_MB"] < 2000
    for row in report["rows"]:
        expected = found["cpu_s_per_shower"] / (row["ms_per_shower"]["median"] / 1e3)
        assert row["speedup_per_core"] == pytest.approx(expected, rel=1e-5)
        assert expected > 10


HUNGRY = """
import os, signal
import torch
from caloforge.generation import ShowerGenerator

sample = ShowerGenerator.sample

def hungry(self, e_inc, **options):
    if len(e_inc) > 300:
        {way}
    return sample(self, e_inc, **options)

ShowerGenerator.sample = hungry
"""
WAYS = {
    "python": "raise MemoryError",
    "torch": "raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB.')",
    "allocator": 'raise RuntimeError("DefaultCPUAllocator: can\'t allocate memory: you tried 9 bytes.")',
    "the system": "os.kill(os.getpid(), signal.SIGKILL)",
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_out_of_memory(run, tmp_path, monkeypatch, way):
    """In the process that measures, by all the ways in which memory runs out there."""
    (tmp_path / "sitecustomize.py").write_text(HUNGRY.format(way=way))
    paths = str(tmp_path), subprocess_environment()["PYTHONPATH"]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    arguments = {"name": str(run), "device": "cpu", "repeats": 1, "max_seconds": 10.0, "seed": 1}
    with pytest.raises(OutOfMemoryError):
        measure("model", batch=301, describe=False, **arguments)


@pytest.fixture
def small_memory(monkeypatch):
    """Figures without processes, where requests of more than 300 showers find no memory."""

    def pretended(what, **arguments):
        asked.append((what, arguments.get("batch"), arguments["threads"]))
        if what == "matmul":
            return {"gflops": 50.0, "size": 512}
        if arguments["batch"] > limits["batch"]:
            raise OutOfMemoryError("None left.")
        return {
            "batch": arguments["batch"],
            "seconds": [1.0],
            "calls_per_repeat": 1,
            "first_call_s": 1.0,
            "warmed_up": True,
            "processors": 1.0,
            "load_s": 1.0,
        }

    asked, limits = [], {"batch": 300}
    monkeypatch.setattr(run_module, "measure", pretended)
    return asked, limits


def test_batches_are_halved_until_they_fit(run, tmp_path, small_memory):
    asked, _ = small_memory
    settings = BenchmarkSettings(models=(str(run),), batches=(100, 1000))
    report = run_benchmark(settings, tmp_path / "out")
    assert [batch for what, batch, _ in asked if what == "model"] == [100, 1000, 500, 250]
    row = report["rows"][1]
    assert (row["requested_batch"], row["batch"], row["out_of_memory"]) == (1000, 250, [1000, 500])
    assert row["ms_per_shower"]["median"] == pytest.approx(4)
    assert any("out of memory at batch 1000, 500; batch 250 was timed" in note for note in report["notes"])
    assert report["complete"]


def test_no_batch_is_timed_twice(run, small_memory):
    """Halving ends where a batch that fits was timed already, and below one shower."""
    asked, limits = small_memory
    limits["batch"] = 120
    report = run_benchmark(BenchmarkSettings(models=(str(run),), batches=(120, 200)))
    assert [batch for what, batch, _ in asked if what == "model"] == [120, 200]
    assert report["rows"][1]["ms_per_shower"] is None
    asked.clear()
    limits["batch"] = 0
    with pytest.raises(
        CellError, match=r"The only figure could not be measured.*: Out of memory: None left\."
    ):
        run_benchmark(BenchmarkSettings(models=(str(run),), batches=(3,)))
    assert [batch for what, batch, _ in asked if what == "model"] == [3, 1]


def test_a_figure_that_fails_does_not_end_the_others(run, tmp_path, monkeypatch, small_memory):
    pretended = run_module.measure

    def failing(what, **arguments):
        if what == "matmul":
            raise WorkerDiedError("Gone.")
        if arguments["batch"] != 2:
            raise CellError("Not finite.")
        return pretended(what, **arguments)

    monkeypatch.setattr(run_module, "measure", failing)
    seen = []
    settings = BenchmarkSettings(models=(str(run),), batches=(1, 2, 3))
    report = run_benchmark(
        settings, tmp_path / "out", on_report=lambda report: seen.append(len(report["rows"]))
    )
    assert [row.get("failed") for row in report["rows"]] == ["Not finite.", None, "Not finite."]
    assert sum("Not finite." in note for note in report["notes"]) == 2
    assert load_benchmark(tmp_path / "out")["complete"]
    assert seen[0] == 2


def test_nothing_but_failures_is_an_error_and_replaces_nothing(run, tmp_path, monkeypatch):
    def failing(what, **arguments):
        if what == "matmul":
            return {"gflops": 50.0, "size": 512}
        raise (CellError if arguments["batch"] > 1 else WorkerDiedError)(f"No {min(arguments['batch'], 2)}.")

    monkeypatch.setattr(run_module, "measure", failing)
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    for name in ("benchmark.json", "benchmark.png"):
        (earlier / name).write_text("mine")
    settings = BenchmarkSettings(models=(str(run),), batches=(1, 2, 3))
    with pytest.raises(CellError, match=r"None of the 3 figures could be measured.*: No 1\. No 2\.$"):
        run_benchmark(settings, earlier, overwrite=True, on_report=lambda report: pytest.fail("a report"))
    assert {path.name: path.read_text() for path in earlier.iterdir()} == {
        "benchmark.json": "mine",
        "benchmark.png": "mine",
    }
    with pytest.raises(CellError):
        run_benchmark(settings, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.fixture
def no_compiler(monkeypatch):
    """The real one takes minutes, and loading it is loud."""
    monkeypatch.setattr(torch, "compile", lambda call, **options: call)


@pytest.mark.usefixtures("no_compiler")
def test_precision_and_compiling_in_rows_and_names(groupwise_run, tmp_path, monkeypatch):
    """Asked for of every figure, kept with what came of it, and part of the names."""
    asked = []

    def pretended(what, **arguments):
        if what == "matmul":
            asked.append(arguments["dtype"])
            return {"gflops": 50.0, "size": 512}
        asked.append((arguments["precision"], arguments["compiled"]))
        if arguments["batch"] == 3:
            raise CellError("Not finite.")
        made = {"precision": "bfloat16", "compiled": arguments["batch"] == 1}
        if not made["compiled"]:
            made["not_compiled"] = "There is no compiler."
        described = {"model": {"dtype": "bfloat16", "mflop_per_shower": 1.0, "n_parameters": 1}}
        times = {"batch": arguments["batch"], "seconds": [1.0], "warmed_up": True, "processors": 1.0}
        return times | {"load_s": 1.0, "first_call_s": 1.0} | made | described

    monkeypatch.setattr(run_module, "measure", pretended)
    name = str(groupwise_run)
    settings = BenchmarkSettings(
        models=(name,), batches=(1, 2, 3, 4), precision="bfloat16", compiled=True, repeats=1
    )
    report = run_benchmark(settings, tmp_path)
    assert asked == [("bfloat16", True)] * 4 + ["bfloat16"]
    known = load_benchmark(tmp_path)
    assert (known["settings"]["precision"], known["settings"]["compiled"]) == ("bfloat16", True)
    both, one = f"{name} (bfloat16, compiled)", f"{name} (bfloat16)"
    found = [(row["label"], row["precision"], row["compiled"]) for row in known["rows"]]
    expected = [(both, True), (one, False), (both, True), (one, False)]
    assert found == [(label, "bfloat16", compiled) for label, compiled in expected]
    assert [row[0] for row in text_rows(report)] == [both, one, both, one]
    assert f"`{name}` (bfloat16, compiled) |" in markdown_table(report)
    assert report["notes"].count(f"{name}: There is no compiler.") == 1
    assert any("Compiled code answers" in note for note in report["notes"])
    assert known["rows"][0]["peak_share"] > 0


@pytest.mark.usefixtures("no_compiler")
def test_the_papers_networks_and_peers_stay_as_they_are(groupwise_run, monkeypatch):
    asked = {}

    def pretended(what, **arguments):
        asked[arguments.get("name", what)] = (arguments.get("precision"), arguments.get("compiled"))
        raise CellError("Enough.")

    monkeypatch.setattr(run_module, "measure", pretended)
    monkeypatch.setattr(run_module, "paper_networks", lambda: ["caloflow-v2"])
    settings = BenchmarkSettings(
        models=(str(groupwise_run),), batches=(1,), precision="bfloat16", compiled=True, peers=True
    )
    with pytest.raises(CellError):
        run_benchmark(settings)
    assert asked[str(groupwise_run)] == ("bfloat16", True)
    assert asked["caloflow-v2"] == ("float32", False)


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"precision": "bfloat16"},
            "CaloFlow generates in the precision of its weights only, not in torch.bfloat16",
        ),
        ({"compiled": True}, "CaloFlow cannot be compiled"),
    ],
)
def test_a_family_that_cannot(run, groupwise_run, options, message, monkeypatch):
    """The words of the engine, with the models that they are about; nothing is measured."""
    monkeypatch.setattr(run_module, "measure", lambda *_, **__: pytest.fail("measured"))
    names = (str(groupwise_run), str(run), "caloflow-small")
    with pytest.raises(ConfigError, match=f"^{run}, caloflow-small: {message}"):
        run_benchmark(BenchmarkSettings(models=names, **options))


def test_precisions_are_those_of_the_engine():
    assert get_args(Precision) == settings_module._PRECISIONS
    with pytest.raises(UnknownNameError, match="Did you mean 'bfloat16'"):
        BenchmarkSettings(precision="bf16")


def test_a_full_disk(run, tmp_path, small_memory):
    """One clear error, and nothing that looks like a benchmark."""
    settings = BenchmarkSettings(models=(str(run),), batches=(1,))
    with file_size_limit(500), pytest.raises(OutputError, match="cannot be written"):
        run_benchmark(settings, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_errors_of_a_process(run):
    arguments = {"batch": 1, "device": "cpu", "repeats": 1, "max_seconds": 10.0, "seed": 1, "describe": False}
    with pytest.raises(CellError, match="Unknown model 'nobody'"):
        measure("model", name="nobody", **arguments)
    with pytest.raises(WorkerDiedError, match="status 1: KeyError: 'nonsense'"):
        measure("nonsense")


@pytest.mark.parametrize("to", ["its group", pytest.param("the benchmark alone", marks=pytest.mark.slow)])
def test_an_interrupt_leaves_what_is_measured(run, tmp_path, to):
    """As Ctrl-C: the file says that it is incomplete, and no process is left."""
    folder = tmp_path / "out"
    options = ["--batches", "1,2", "--repeats", "10000", "--max-seconds", "1", "-o", str(folder)]
    # Of two figures the first takes about a second, so that the second is under way.
    process = python("-m", "caloforge", "benchmark", "--models", run, *options, start_new_session=True)
    try:
        wait_for(lambda: (folder / "benchmark.json").is_file(), process)
        wait_for(lambda: child_processes(process.pid), process)
        (child,) = child_processes(process.pid)
        if to == "its group":
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert "Incomplete" in out
    report = load_benchmark(folder)
    assert not report["complete"]
    assert [row["batch"] for row in report["rows"]] == [1]
    assert (folder / "benchmark.png").is_file()
    wait_for(lambda: not Path(f"/proc/{child}").exists())


def wait_for(condition, process=None):
    end = time.monotonic() + 240  # machines may be busy
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batches": (0,)}, "batches must lie in 1"),
        ({"batches": (1.5,)}, "batches must be a whole number"),
        ({"batches": ()}, "at least one number"),
        ({"threads": (0,)}, "threads must lie in 1"),
        ({"threads": (-1,)}, "threads must lie in 1"),
        ({"repeats": 0}, "repeats must lie in 1"),
        ({"geant4_showers": 0}, "geant4_showers must lie in 1"),
        ({"max_seconds": 0.0}, "max_seconds must be positive"),
        ({"max_seconds": float("nan")}, "max_seconds must be positive"),
        ({"seed": -1}, "seed must lie in 0"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(CaloForgeError, match=message):
        BenchmarkSettings(**settings)
