"""`caloforge demo` from weights to pictures; the tiny model is not trained, so its showers are bad."""

import numpy as np
import pytest
from typer.testing import CliRunner

from caloforge import io
from caloforge.cli.main import app
from caloforge.errors import EnergyRangeError, GeometryMismatchError, OutputError, UnknownNameError
from caloforge.evaluation import reference_sample
from caloforge.geometry import Geometry, get_geometry
from caloforge.models import build_model
from caloforge.models.checkpoint import save_model
from caloforge.models.zoo import shipped_weights
from support.toys import cartesian, geometry_of, toy_showers

FILES = {"showers.h5", "comparison.png", "average_showers.png"}


def save_tiny(path, geometry: Geometry, showers, particle: object = "pi+", **provenance) -> None:
    small = {"blocks": 1, "hidden": 8, "depth": 1, "standardize": True}
    model = build_model("caloflow", {"energies": small, "shape": small}, geometry)
    model.fit_range(showers)
    for stage in model.stages.values():
        stage.fit(showers, seed=1)
    save_model(model, path, family="caloflow", provenance={"particle": particle, **provenance})


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_tiny(path, get_geometry("calogan"), reference_sample("piplus"))
    return path


def run(*args: object):
    return CliRunner().invoke(app, ["demo", *map(str, args)])


def test_files_and_table(weights, tmp_path):
    output = tmp_path / "deep" / "demo"
    done = run("-o", output, "-n", 50, "--model", weights)
    assert done.exit_code == 0, done.output
    assert {entry.name for entry in output.iterdir()} == FILES
    for text in ("50 generated and 400 Geant4", "e_layer_2, MeV", "ms per shower", "Next:", "showers.h5"):
        assert text in done.output
    assert max(map(len, done.output.split("Geant4 took")[0].splitlines()[1:-1])) <= 80  # fits a terminal
    showers = io.read(output / "showers.h5")
    assert len(showers) == 50
    assert 1e3 <= showers.e_inc.min() < showers.e_inc.max() <= 1e5
    assert (output / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_only_our_own_files_are_replaced(weights, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    command = ("-o", tmp_path, "-n", 5, "--model", weights, "--reference", "eplus")
    assert run(*command).exit_code == 0
    (tmp_path / "comparison.png").write_text("old")
    assert run(*command, "--seed", 2).exit_code == 0  # the demo's own
    assert io.read(tmp_path / "showers.h5").provenance["seed"] == 2
    assert {entry.name for entry in tmp_path.iterdir()} == FILES | {"notes.txt"}
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", sorted(FILES))
def test_files_of_others_are_kept(weights, tmp_path, name):
    (tmp_path / name).write_text("mine")
    done = run("-o", tmp_path, "-n", 5, "--model", weights)
    assert isinstance(done.exception, OutputError)
    assert f"{name}: exists already and is not of an earlier demo" in str(done.exception)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_showers_of_others_are_kept(weights, tmp_path):
    io.write(reference_sample("piplus")[:10], tmp_path / "showers.h5")
    before = (tmp_path / "showers.h5").read_bytes()
    assert isinstance(run("-o", tmp_path, "-n", 5, "--model", weights).exception, OutputError)
    assert (tmp_path / "showers.h5").read_bytes() == before


def test_both_samples_have_the_energies_of_the_model(tmp_path):
    """And the particle in the weights may be anything."""
    sample = reference_sample("eplus")
    order = np.argsort(sample.e_inc)
    for count, code in ((60, 0), (40, 1)):
        some = sample[order[100 : 100 + count]]
        weights = tmp_path / f"{count}.safetensors"
        save_tiny(weights, get_geometry("calogan"), some, particle=["e+"])
        done = run("-o", tmp_path / str(count), "-n", 30, "--model", weights)
        assert done.exit_code == code, done.output
        if code:
            assert isinstance(done.exception, EnergyRangeError)
            assert "has 40 of its 400 showers; at least 50" in str(done.exception)
            continue
        low, high = some.e_inc.min() / 1e3, some.e_inc.max() / 1e3
        assert f"{low:.4g} to {high:.4g} GeV" in done.output
        assert "30 generated and 60 Geant4" in done.output
        e_inc = io.read_energies(tmp_path / "60" / "showers.h5")
        assert some.e_inc.min() <= e_inc.min() < e_inc.max() <= some.e_inc.max()


def test_refusals(weights, tmp_path):
    (tmp_path / "file").write_text("")
    assert isinstance(run("-o", tmp_path / "file", "-n", 5, "--model", weights).exception, OutputError)
    wrong = run("-o", tmp_path / "a", "--model", weights, "--reference", "muon")
    assert isinstance(wrong.exception, UnknownNameError)
    assert isinstance(run("-o", tmp_path / "a", "--model", "nobody").exception, UnknownNameError)
    geometry = geometry_of(cartesian(2, 2), cartesian(2, 1))
    save_tiny(tmp_path / "toy.safetensors", geometry, toy_showers(geometry, 50))
    other = run("-o", tmp_path / "a", "--model", tmp_path / "toy.safetensors")
    assert isinstance(other.exception, GeometryMismatchError)
    assert not (tmp_path / "a").exists()


@pytest.mark.skipif("caloflow-eplus" not in shipped_weights(), reason="weights are not in this build")
def test_shipped_weights(tmp_path):
    done = run("-o", tmp_path, "-n", 20)
    assert done.exit_code == 0, done.output


def test_physics(tmp_path):
    """What the reference is made with, and a line where the model learned something else."""
    weights = {"alike": {"list": "FTFP_BERT", "cut_mm": 0.7}, "other": {"list": "QBBC", "cut_mm": 0.7}}
    for name, physics in weights.items():
        path = tmp_path / f"{name}.safetensors"
        save_tiny(path, get_geometry("calogan"), reference_sample("piplus"), physics=physics)
        output = run("-o", tmp_path / name, "-n", 5, "--model", path).output
        assert "400 of Geant4 (piplus: FTFP_BERT, cut 0.7 mm, Geant4 11.4.1, reduced tables" in output
        line = "The generated showers learned QBBC; the reference showers were made with FTFP_BERT: "
        assert (line in output) == (name == "other")
