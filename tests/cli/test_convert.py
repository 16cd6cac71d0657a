"""`caloforge convert` writes the same showers in another layout."""

import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from caloforge import Showers
from caloforge.cli.main import app
from caloforge.geometry import get_geometry
from caloforge.io import LAYOUTS, detect_layout, read, write


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "in.h5"
    voxels = np.random.default_rng(0).random((10, 504), dtype=np.float32) * 100
    write(Showers(e_inc=np.linspace(2e4, 5e4, 10), voxels=voxels, geometry=get_geometry("calogan")), path)
    return path


def run(*args: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "caloforge", "convert", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_convert(path, tmp_path):
    out = tmp_path / "out.h5"
    options = ["--layout", "calogan", "--start", 2, "--stop", 8, "--threshold", 50, "--geometry", "calogan"]
    done = run(path, out, *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}: 6 showers in layout calogan\n"
    assert done.stderr == ""  # no progress bar without a terminal
    before, after = read(path, start=2, stop=8), read(out)
    assert detect_layout(out) == "calogan"
    np.testing.assert_array_equal(after.voxels, np.where(before.voxels < 50, 0, before.voxels))
    assert run(path, out, *options).returncode == 2
    assert run(path, out, *options, "--overwrite").returncode == 0


@pytest.mark.parametrize(
    ("args", "match"),
    [
        (["{in}", "{in}", "--layout", "calogan", "--overwrite"], "the file to read as well"),
        (["{in}", "{out}", "--layout", "root"], "Unknown layout 'root'"),
        (["{in}", "{out}", "--layout", "ild"], "equal square layers"),
        (["{in}", "{out}", "--layout", "calogan", "--stop", "11"], "holds 10 showers"),
        (["{in}", "{out}", "--layout", "calogan", "--threshold", "-1"], "threshold"),
        (["{in}", "{in}/x.h5", "--layout", "calogan"], "does not exist"),
        (["{in}x", "{out}", "--layout", "calogan"], "Did you mean"),
        (["{in}", "{out}", "--layout", "calogan", "--geometry", "x.toml"], "x.toml"),
    ],
)
def test_one_line_and_exit_code_2(path, tmp_path, args, match):
    names = {"{in}": str(path), "{out}": str(tmp_path / "out.h5")}
    for key, value in names.items():
        args = [arg.replace(key, value) for arg in args]
    before = path.read_bytes()
    done = run(*args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert match in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_help_names_every_layout():
    done = CliRunner().invoke(app, ["convert", "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    for layout in LAYOUTS:
        assert layout in done.output
