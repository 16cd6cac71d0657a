"""How a name or a path becomes a weights file, and what shipped weights say about themselves."""

import shutil

import pytest

from caloforge.errors import CheckpointError, UnknownNameError
from caloforge.models import zoo
from caloforge.models.checkpoint import load_checkpoint
from caloforge.models.zoo import find_weights, shipped_weights, weights_facts
from support.tiny_runs import train_tiny


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo") / "run"
    train_tiny(folder, "training.energies.epochs=1", "training.shape.epochs=1")
    return folder


def test_paths(run, tmp_path):
    best = run / "best.safetensors"
    for given in (run, str(run), best, str(best)):
        assert find_weights(given) == best
    with pytest.raises(CheckpointError, match=r"holds no best\.safetensors"):
        find_weights(tmp_path)
    for missing in (tmp_path / "no.safetensors", "no.safetensors", "runs/no"):
        with pytest.raises(CheckpointError, match="there is no such weights file or run folder"):
            find_weights(missing)


def test_names(run, tmp_path, monkeypatch):
    shutil.copy(run / "best.safetensors", tmp_path / "tiny-photons.safetensors")
    monkeypatch.setattr(zoo, "_FOLDER", tmp_path)
    assert list(shipped_weights()) == ["tiny-photons"]
    assert find_weights("tiny-photons") == tmp_path / "tiny-photons.safetensors"
    with pytest.raises(UnknownNameError, match=r"Unknown model 'tiny-photon'. Did you mean 'tiny-photons'"):
        find_weights("tiny-photon")
    facts = weights_facts()["tiny-photons"]
    assert (facts["family"], facts["geometry"], facts["recipe"]) == ("caloflow", "toy", "tiny")
    assert facts["bytes"] == (run / "best.safetensors").stat().st_size
    low, high = facts["e_inc_range"]
    assert (low, high) == tuple(load_checkpoint(run / "best.safetensors")[0].e_inc_range.tolist())


@pytest.mark.parametrize(
    "name", shipped_weights() or [pytest.param("none", marks=pytest.mark.skip("no weights"))]
)
def test_shipped_weights_load(name):
    model, header = load_checkpoint(find_weights(name))
    assert header.provenance["particle"]
    low, high = model.e_inc_range.tolist()
    assert 0 < low < high
    assert weights_facts()[name]["fidelity"]


@pytest.mark.skipif(not shipped_weights(), reason="no weights")
def test_shipped_weights_know_the_physics_that_they_learned():
    """``docs/weights.md`` says so of the showers; generated ones and ``caloforge models`` repeat it."""
    for name, facts in weights_facts().items():
        aim = {"angle": 0.0, "azimuth": 0.0, "x": 0.0, "y": 0.0, "spread": 0.0}
        assert facts["physics"] == {
            "list": "FTFP_BERT" if name.endswith("piplus") else "em",
            "cut_mm": 0.7,
            "geant4": "11.4.1",
            "data": "reduced tables",
            "incidence": aim,
        }
