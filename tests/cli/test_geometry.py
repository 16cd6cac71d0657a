"""`caloforge geometry` says what a calorimeter is made of."""

import json
import sys

import pytest

from caloforge.errors import MissingExtraError
from caloforge.geometry import catalogue
from support.geant4 import needs_geant4
from support.tiny_runs import command_line

OWN = """
name = "own [x]"
[stack]
shape = "cylinder"
radius = 100
deposits = "active"
[[stack.sections]]
slabs = [{ material = "G4_Fe", thickness = 16 }, { material = "G4_POLYSTYRENE", thickness = 4, active = true }]
[[layers]]
name = "front [y]"
grid = "polar"
r_edges = [5, 10]
z = [0, 8]
[[layers]]
repeat = 3
grid = "cartesian"
x_edges = [-10, 10]
y_edges = [0, 10]
z = { thickness = 4 }
"""


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    def call(*words, code=0):
        got, out, err = command_line(["geometry", *words], capsys, monkeypatch)
        assert got == code, err
        assert "--json" in words or max((len(line) for line in out.splitlines()), default=0) <= 80
        return out, err

    return call


def test_list(run):
    out, _ = run("list")
    rows = {line.split()[0]: line.split()[1:4] for line in out.splitlines() if line.split()}
    assert rows["ild_ecal"] == ["30", "27,000", "yes"]
    assert rows["calochallenge_1_pions"] == ["7", "533", "no"]
    found = json.loads(run("list", "--json")[0])
    assert list(found) == list(catalogue())
    assert found["calogan"]["simulatable"]
    assert not found["calochallenge_1_photons"]["simulatable"]
    assert "arXiv:1712.10321" in found["calogan"]["source"]


@needs_geant4
def test_show(run):
    out, err = run("show", "calogan")
    for words in (
        "calogan: 3 layers, 504 voxels",
        "box, 480 x 480 mm",
        "480 mm = 30.78 X0 = 1.249 lambda",
        "24.75 % of a minimum-ionising particle's energy loss",
        "36.2 mm",
        "80 x 6 mm",
        "LiquidArgon *",
        "X0 [mm]",
        "3 x 96 in ±240",
        "0..90",
        "5.77..28.08",
    ):
        assert words in out
    assert "Cannot" not in out
    assert not err


@needs_geant4
@pytest.mark.parametrize("name", catalogue())
def test_all_fit_the_terminal(run, name):
    out, _ = run("show", name)
    assert len(out.splitlines()) < 60
    assert "..." not in out
    assert "…" not in out


@needs_geant4
def test_runs_of_equal_layers(run):
    out, _ = run("show", "ild_ecal")
    assert [line.split()[0] for line in out.splitlines() if " by " in line] == ["0..19", "20..29"]
    assert "119.7..200.55 by 8.085" in out
    assert "13.70..26.54 by 1.28" in out


@needs_geant4
def test_own_file(run, tmp_path):
    (tmp_path / "own.toml").write_text(OWN)
    out, _ = run("show", str(tmp_path / "own.toml"))
    for words in ("own [x]: 4 layers, 4 voxels", "cylinder, radius 100 mm", "front [y]", "once"):
        assert words in out
    rows = [line.split() for line in out.splitlines()]
    assert ["front", "[y]", "1", "r", "in", "5..10,", "1", "alpha", "1", "0..8", "0..0.46"] in rows
    assert ["1..3", "1", "x", "1", "in", "±10,", "0..10", "1", "8..20", "by", "4", "0.46..0.92", "by"] in [
        row[:-1] for row in rows
    ]


@needs_geant4
def test_json_and_picture(run, tmp_path):
    picture = tmp_path / "stack.png"
    out, err = run("show", "calochallenge_2", "--json", "-o", str(picture))
    found = json.loads(out)
    assert found["geometry"]["name"] == "calochallenge_2"
    assert found["not_simulatable_because"] is None
    assert found["material"]["radiation_lengths"] == pytest.approx(36.25, abs=0.01)
    assert found["material"]["materials"][0]["name"] == "G4_W"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "stack.png" in err


def test_no_stack(run, tmp_path):
    out, _ = run("show", "calochallenge_1_pions")
    assert "15 r < 2000, 10 alpha" in out
    assert "Cannot be simulated: no material stack." in out
    assert json.loads(run("show", "calochallenge_1_pions", "--json")[0])["material"] is None
    _, err = run("show", "calochallenge_1_pions", "-o", str(tmp_path / "x.png"), code=2)
    assert "'calochallenge_1_pions' has no material stack" in err
    assert not list(tmp_path.iterdir())


def test_without_the_extra(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "geant4_pybind", None)
    out, err = run("show", "calogan", "-o", str(tmp_path / "x.png"))
    assert "80 x 6 mm" in out
    assert "90..437" in out
    assert "sampling" not in out
    assert 'pip install "caloforge[geant4]"' in err
    assert (
        str(MissingExtraError("geant4-pybind", extra="geant4", purpose="the properties of materials")) in err
    )
    assert (tmp_path / "x.png").exists()


@needs_geant4
def test_errors(run, tmp_path):
    (tmp_path / "own.toml").write_text(OWN.replace("G4_POLYSTYRENE", "G4_POLYSTIRENE"))
    _, err = run("show", str(tmp_path / "own.toml"), code=2)
    assert "Did you mean 'G4_POLYSTYRENE'?" in err
    _, err = run("show", "calogna", code=2)
    assert "Did you mean 'calogan'?" in err
    _, err = run("show", "calogan", "-o", str(tmp_path / "x.foo"), code=2)
    assert "no format for pictures" in err
    assert "png" in err
    _, err = run("show", "calogan", "-o", str(tmp_path), code=2)
    assert "give the name of a file" in err


def test_a_picture_is_replaced_only_when_asked(run, tmp_path):
    picture = tmp_path / "x.png"
    picture.write_text("mine")
    _, err = run("show", "calogan", "-o", str(picture), code=2)
    assert "--overwrite" in err
    assert picture.read_text() == "mine"
    run("show", "calogan", "-o", str(picture), "--overwrite")
    assert picture.read_bytes().startswith(b"\x89PNG")
