"""The command ``benchmark``: what it prints, and bad input; what it measures is tested in tests/benchmark."""

import importlib.util
import json
import re
import shutil

import pytest

from caloforge.benchmark import load_benchmark
from caloforge.benchmark.processes import CellError
from caloforge.cli.benchmark import _print
from support.tiny_runs import command_line, train_tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark")
    train_tiny(folder / "run", "training.energies.epochs=1", "training.shape.epochs=1")
    (folder / "file").touch()
    (folder / "earlier").mkdir()
    (folder / "earlier" / "benchmark.json").write_text("{}")
    (folder / "empty").mkdir()
    return folder


def test_a_benchmark(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "with others").mkdir()
    (folder / "with others" / "thesis.tex").touch()
    command = ["benchmark", "--models", "run", "--batches", "7", "--repeats", "1", "-o", "with others"]
    code, out, err = command_line(command, capsys, monkeypatch)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    (header,) = (line for line in lines if "ms/shower" in line and "GFLOP/s" in line)
    (row,) = (line for line in lines if line.split()[:1] == ["run"])
    assert header.split()[:4] == ["model", "threads", "batch", "ms/shower"]
    assert row.split()[1:3] == ["1", "7"]
    assert lines[-1] == "Written: with others/benchmark.json, with others/benchmark.png"
    assert any(line.startswith("Matrix products, float32, threads 1: ") for line in lines)
    report = load_benchmark("with others")
    assert report["command"] == "caloforge benchmark --models run --batches 7 --repeats 1 -o 'with others'"
    assert f"{report['rows'][0]['ms_per_shower']['median']:.3g}"[:3] in row
    code, _, err = command_line(command, capsys, monkeypatch)
    assert (code, "exists already" in err) == (2, True)
    assert (folder / "with others" / "thesis.tex").exists()


def test_when_everything_fails(folder, capsys, monkeypatch):
    """One line, exit code 2, no file; where something works, the rest is a note."""
    monkeypatch.chdir(folder)

    def failing(what, *, batch=None, **arguments):
        if batch in worked:
            return {
                "batch": batch, "seconds": [1.0], "first_call_s": 1.0, "warmed_up": True, "processors": 1.0,
                "load_s": 1.0, "calls_per_repeat": 1,
            }  # fmt: skip
        raise CellError("Not finite.")

    worked = set()
    monkeypatch.setattr("caloforge.benchmark.run.measure", failing)
    command = ["benchmark", "--models", "run", "--batches", "7,8", "-o", "failed"]
    code, out, err = command_line(command, capsys, monkeypatch)
    assert (code, out) == (2, "")
    expected = "error: None of the 2 figures could be measured, so nothing is written: Not finite."
    assert err.splitlines()[-1] == expected
    assert not (folder / "failed").exists()
    worked = {8}
    code, out, err = command_line(command, capsys, monkeypatch)
    assert (code, err) == (0, "")
    assert "note: run, threads 1, batch 7: Not finite." in out
    assert "Written: failed/benchmark.json" in out
    assert [row["ms_per_shower"] is None for row in load_benchmark("failed")["rows"]] == [True, False]
    shutil.rmtree("failed")


def test_settings_arrive(capsys, monkeypatch):
    seen = []

    def run_benchmark(settings, output, **options):
        seen.append((settings, output, options))

    monkeypatch.setattr("caloforge.benchmark.run.run_benchmark", run_benchmark)
    command = (
        "benchmark --models a,b --geant4 --peers --threads 1,2 --batches 1,10 --device cuda:1 --repeats 7"
    )
    command += " --geant4-showers 5 --geant4-data here --physics em --particle e- --peer-showers 4 --seed 9"
    command += " --max-seconds 2.5 --overwrite --precision bfloat16 --compile"
    code, _, err = command_line(command.split(), capsys, monkeypatch)
    assert (code, err) == (0, "")
    ((settings, output, options),) = seen
    assert (settings.models, settings.threads, settings.batches) == (("a", "b"), (1, 2), (1, 10))
    assert (settings.geant4, settings.peers, settings.device, settings.repeats) == (True, True, "cuda:1", 7)
    assert (settings.geant4_showers, str(settings.geant4_data), settings.physics) == (5, "here", "em")
    assert (settings.particle, settings.peer_showers, settings.seed) == ("e-", 4, 9)
    assert (settings.precision, settings.compiled) == ("bfloat16", True)
    assert (settings.max_seconds, output, options["overwrite"]) == (2.5, None, True)


@pytest.mark.parametrize("width", [68, 80, 140])
def test_a_narrow_window_loses_columns_and_no_figures(width, capsys, monkeypatch):
    label = "caloflow-eplus (untrained)"
    times = {"median": 0.6634, "min": 0.6512, "max": 0.7013}
    row = {
        "label": label, "threads": 12, "batch": 10000, "requested_batch": 10000, "out_of_memory": [],
        "seconds": [1.0, 2.0], "ms_per_shower": times, "showers_per_s": 1507.0, "speedup_per_core": 12345.0,
        "gflops": 41.2, "peak_share": 0.351, "peak_MB": 523.0, "load_s": 0.31, "first_call_s": 0.72,
    }  # fmt: skip
    machine = {"cpu": "Abacus", "cores_allowed": 2, "torch": "2"}
    report = {
        "machine": machine, "geant4": [], "rows": [row], "peaks": [], "notes": [], "complete": True
    }  # fmt: skip
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    _print(report, None)
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in capsys.readouterr().out.splitlines()]
    header, line = (next(line for line in lines if word in line) for word in ("ms/shower", label))
    assert max(map(len, (header, line))) <= width
    assert "…" not in header + line
    assert line.split()[2:4] == ["12", "10000"]
    assert "0.663" in line
    assert "12345" in line
    assert ("35 %" in line) == (width > 68)
    assert ("0.651-0.701" in line) == (width == 140)


BAD = {
    "unknown model": ("--models caloflow-epluss", "Did you mean 'caloflow-eplus'"),
    "empty name": ("--models run,", "names with commas between them, got 'run,'"),
    "run without weights": ("--models empty", "holds no best.safetensors"),
    "batch 0": ("--models run --batches 10,0", "--batches must be whole numbers from 1"),
    "batch in words": ("--models run --batches ten", "--batches must be whole numbers from 1"),
    "no batch": ("--models run --batches ,", "--batches must be whole numbers from 1"),
    "threads 0": ("--models run --threads 0", "--threads must be whole numbers from 1"),
    "too many threads": ("--models run --threads 100000", "threads must lie in 1 .. 1024"),
    "negative threads": ("--models run --threads=-1", "--threads must be whole numbers from 1"),
    "no such precision": ("--models run --precision bf16", "Did you mean 'bfloat16'"),
    "precision of a family that has one": (
        "--models run --precision bfloat16",
        "leave the precision at float32",
    ),
    "a family that is not compiled": (
        "--models run --compile",
        "run: CaloFlow cannot be compiled; leave that out",
    ),
    "no repeats": ("--models run --repeats 0", "repeats"),
    "no time": ("--models run --max-seconds 0", "max_seconds must be positive"),
    "no such device": ("--models run --device nowhere", "Device 'nowhere' cannot be used"),
    "no such GPU": ("--models run --device cuda:77", "Device 'cuda:77' cannot be used"),
    "no folder above": ("--models run -o no/out", "does not exist; create it first"),
    "a file": ("--models run -o file", "exists and is no folder"),
    "below a file": ("--models run -o file/out", "file"),
    "an earlier one": ("--models run -o earlier", "earlier/benchmark.json: exists already"),
}


@pytest.mark.parametrize(("command", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input(command, message, folder, capsys, monkeypatch):
    check_error(command, message, folder, capsys, monkeypatch)


NEEDS_GEANT4 = {
    "no particle": ("--models caloflow-small --geant4", "caloflow-small does not say which particle"),
    "no such particle": ("--models caloflow-small --geant4 --particle tau", "Unknown particle 'tau'"),
    "no such list": ("--models caloflow-eplus --geant4 --physics FTFP", "Unknown physics list 'FTFP'"),
    "a list without hadrons": ("--models caloflow-piplus --geant4 --physics em", "is for e-, e+, gamma only"),
    "no data": ("--models caloflow-eplus --geant4 --geant4-data empty", "Geant4 data sets are missing"),
    "no stack": ("--models run --geant4 --particle e+", "toy"),
}


@pytest.mark.skipif(
    importlib.util.find_spec("geant4_pybind") is None, reason='needs pip install "caloforge[geant4]"'
)
@pytest.mark.parametrize(("command", "message"), NEEDS_GEANT4.values(), ids=NEEDS_GEANT4.keys())
def test_bad_input_to_geant4(command, message, folder, capsys, monkeypatch):
    check_error(command, message, folder, capsys, monkeypatch)


@pytest.mark.parametrize("library", ["nflows", "zuko"])
def test_a_peer_that_is_not_installed(library, folder, capsys, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == library else find_spec(name)
    )
    message = f"{library} is not installed, but needed for timing peers"
    check_error("--models run --peers", message, folder, capsys, monkeypatch)


def check_error(command, message, folder, capsys, monkeypatch):
    """One line, nothing measured, nothing written."""
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    monkeypatch.setattr("caloforge.benchmark.run.measure", lambda *_, **__: pytest.fail("measured"))
    code, out, err = command_line(["benchmark", *command.split()], capsys, monkeypatch)
    assert (code, out) == (2, "")
    assert message in err
    assert err.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in err
    assert sorted(folder.rglob("*")) == before
    assert json.loads((folder / "earlier" / "benchmark.json").read_text()) == {}
