"""`caloforge info` says what is in a file, or in one line why it cannot."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from caloforge import Showers
from caloforge.cli.main import app
from caloforge.geometry import get_geometry
from caloforge.io import write
from caloforge.models.zoo import find_weights
from support.tiny_runs import command_line


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "showers.h5"
    rng = np.random.default_rng(0)
    voxels = rng.random((10, 504), dtype=np.float32) * 100
    showers = Showers(
        e_inc=np.linspace(2e4, 5e4, 10),
        voxels=voxels,
        geometry=get_geometry("calogan"),
        provenance={"seed": 7},
    )
    write(showers, path, layout="calogan")
    return path


def test_tables(path):
    with h5py.File(path, "r+") as f:
        f.attrs["energy_unit"] = "GeV [x]"  # rich would take brackets for markup
        f["overflow"] = np.zeros((10, 3))
    done = CliRunner().invoke(app, ["info", str(path)])
    assert done.exit_code == 0, done.output
    for text in (
        "calogan: 3 layers, 504 voxels",
        "20 to 50 GeV, uniform",
        "50 %:",
        "overflow",
        "288",
        "seed",
    ):
        assert text in done.output
    assert "GeV [x]" in done.output


def test_json(path):
    done = CliRunner().invoke(app, ["info", str(path), "--geometry", "calogan", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["layout"], found["geometry"], found["n_showers"]) == ("calogan", "calogan", 10)
    assert found["e_inc_range_MeV"] == [20e3, 50e3]
    assert found["provenance"] == {"seed": 7}


def test_no_showers(tmp_path):
    geometry = get_geometry("calogan")
    write(Showers(e_inc=np.empty(0), voxels=np.empty((0, 504)), geometry=geometry), tmp_path / "a.h5")
    done = CliRunner().invoke(app, ["info", str(tmp_path / "a.h5")])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("break_it", ["missing", "text", "voxels", "geometry"])
def test_one_line_and_exit_code_2(path, break_it):
    args = [str(path)]
    if break_it == "missing":
        path.rename(path.with_name("other.h5"))
    elif break_it == "text":
        path.write_text("no")
    elif break_it == "voxels":
        with h5py.File(path, "r+") as f:
            f["layer_0"][3] = -1
    else:
        args += ["--geometry", "calochallenge_2"]
    command = [sys.executable, "-m", "caloforge", "info", *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert path.name in done.stderr


def test_a_wrong_unit_is_a_warning_of_one_line(path):
    with h5py.File(path, "r+") as f:
        f["energy"][...] *= 1000
    command = [sys.executable, "-m", "caloforge", "info", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr.startswith("warning: ")
    assert done.stderr.count("\n") == 1


def test_physics_of_a_file(path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert "physics" in command_line(["info", path], capsys, monkeypatch)[1]
    with h5py.File(path, "r+") as f:
        f.attrs["physics"], f.attrs["particle"] = "FTFP_BERT", "e+"
    code, out, _ = command_line(["info", path, "--reference", "groupwise-eplus"], capsys, monkeypatch)
    assert code == 0
    assert "FTFP_BERT, cut, Geant4 version, data and incidence unknown" in out
    assert f"showers of {path} were made with FTFP_BERT; those of groupwise-eplus learned em: " in out


def test_weights_beside_a_file_of_showers(path, tmp_path, capsys, monkeypatch):
    """Before anything is generated: would that reference do?"""
    monkeypatch.setenv("COLUMNS", "120")
    code, out, _ = command_line(["info", "groupwise-eplus", "--reference", path], capsys, monkeypatch)
    assert code == 0
    assert "em, cut 0.7 mm, Geant4 11.4.1, reduced tables, perpendicular centred" in out
    assert "digests of showers" in out, "not the digests themselves"
    assert f"Nothing is known that differs between the physics of groupwise-eplus and of {path}." in out
    with h5py.File(path, "r+") as f:
        f.attrs["physics"] = "FTFP_BERT"
    command = ["info", find_weights("groupwise-eplus"), "--reference", path, "--json"]
    code, out, _ = command_line(command, capsys, monkeypatch)
    assert code == 0
    found = json.loads(out)
    assert found["family"] == "groupwise"
    assert found["physics"]["list"] == "em"
    assert "--physics em" in found["physics_difference"]


@pytest.mark.parametrize("wrong", ["folder", "damaged", "geometry", "reference"])
def test_weights_that_are_none(tmp_path, path, capsys, monkeypatch, wrong):
    (tmp_path / "w.safetensors").write_bytes(b"no")
    args = {
        "folder": [tmp_path],
        "damaged": [tmp_path / "w.safetensors"],
        "geometry": ["groupwise-eplus", "--geometry", "calogan"],
        "reference": [path, "--reference", tmp_path / "missing.h5"],
    }[wrong]
    code, out, err = command_line(["info", *args], capsys, monkeypatch)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: ")
