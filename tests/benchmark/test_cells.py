"""Single figures: requests to models, and the same networks elsewhere."""

import inspect
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from caloforge.benchmark.cells import CELLS
from caloforge.benchmark.peers import LIBRARIES, PeerNetwork, build_peer, peer_network
from caloforge.benchmark.references import plan_geant4
from caloforge.benchmark.requests import Requests
from caloforge.benchmark.settings import BenchmarkSettings
from caloforge.benchmark.subjects import find_subjects, open_subject, paper_networks, spread_energies
from caloforge.errors import CaloForgeError, ConfigError
from caloforge.flows import MADE
from caloforge.generation import load_model
from caloforge.geometry import get_geometry
from caloforge.recipes import load_recipe
from caloforge.training import RunConfig, initial_model
from support.geant4 import data_variables, needs_geant4

QUICK = {"device": "cpu", "repeats": 2, "max_seconds": 20.0, "seed": 3}


def test_energies_have_the_mean_of_the_spectrum():
    for n in (1, 2, 7, 100):
        e_inc = spread_energies((1e3, 1e5), n)
        assert len(e_inc) == n
        assert e_inc.mean() == pytest.approx(50_500)
        assert 1e3 <= e_inc.min() <= e_inc.max() <= 1e5


def test_requests_are_showers_of_the_engine(run):
    """The same ones on several threads, each request from a block of its own."""
    generator = load_model(run)
    n = 2 * generator.block + 100
    e_inc = spread_energies(generator.e_inc_range, n)
    before = torch.get_num_threads()
    requests = Requests(generator, e_inc, threads=2, seed=3)
    assert requests.path == "blocks"
    found = [requests(k) for k in range(2)]
    assert torch.get_num_threads() == before
    for k, showers in enumerate(found):
        expected = generator.sample(e_inc, seed=3, start=3 * k * generator.block).voxels
        np.testing.assert_array_equal(showers.voxels, expected)


def test_small_requests_are_answered_alone(run):
    generator = load_model(run)
    seen = []
    generate = generator.model.generate
    generator.model.generate = lambda e, noise: seen.append(len(e)) or generate(e, noise)
    requests = Requests(generator, np.full(3, 5e4), threads=2, seed=3)
    assert requests.path == "unpadded"
    first, second = requests(0), requests(1)
    assert seen == [3, 3]
    assert not np.array_equal(first.voxels, second.voxels)


def test_a_model(run):
    found = CELLS["model"](name=str(run), batch=20, threads=1, describe=True, **QUICK)
    assert (found["batch"], found["path"]) == (20, "unpadded")
    assert len(found["seconds"]) == 2
    assert 0 < min(found["seconds"]) <= max(found["seconds"]) < found["first_call_s"] + 20
    assert found["peak_MB"] > 50
    model = load_model(run).model
    described = found["model"]
    assert described["n_parameters"] == model.n_parameters()
    assert described["dtype"] == "float32"
    assert 0 < described["mflop_per_shower"] < 2 * model.n_parameters() / 1e6
    network = described["network"]
    assert network["direction"] == "feature by feature"
    assert (network["blocks"], network["features"], network["hidden"], network["depth"]) == (2, 6, 8, 1)


def test_precision_and_compiling_are_those_of_the_model(groupwise_run, monkeypatch):
    """Compiling is counted apart from loading and from the first request; here it only wraps what is called."""
    seen = []

    def compiled(call, **options):
        def wrapped(u_moments, u_voxels, e_inc):
            seen.append(len(e_inc))
            return call(u_moments, u_voxels, e_inc)

        return wrapped

    monkeypatch.setattr(torch, "compile", compiled)
    model = {"name": str(groupwise_run), "batch": 1, "threads": 1, "describe": True} | QUICK
    plain = CELLS["model"](**model)
    assert (plain["precision"], plain["compiled"], plain["model"]["dtype"]) == ("float32", False, "float32")
    assert "compile_s" not in plain
    assert seen == []
    found = CELLS["model"](precision="bfloat16", compiled=True, **model)
    assert (found["precision"], found["compiled"], found["model"]["dtype"]) == ("bfloat16", True, "bfloat16")
    assert found["compile_s"] > 0
    assert "not_compiled" not in found
    block = load_model(groupwise_run).block
    assert seen[:2] == [1, block]
    assert len(seen) > 2
    assert set(seen[2:]) == {1}
    assert found["model"]["mflop_per_shower"] == plain["model"]["mflop_per_shower"] > 0


def test_a_machine_that_cannot_compile(groupwise_run, monkeypatch):
    def compiled(call, **options):
        def fails(*arguments):
            raise RuntimeError("no working C++ compiler")

        return fails

    monkeypatch.setattr(torch, "compile", compiled)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = CELLS["model"](
            name=str(groupwise_run), batch=1, threads=1, describe=False, compiled=True, **QUICK
        )
    assert found["compiled"] is False
    assert "no working C++ compiler" in found["not_compiled"]
    assert found["seconds"]


def test_networks_of_the_papers():
    config = RunConfig.from_dict(load_recipe("caloflow-v1"))
    model = initial_model(config, get_geometry("calogan")).eval()
    network = peer_network(model)
    assert network == PeerNetwork(
        direction="feature by feature", blocks=8, features=504, context=4, hidden=378, depth=1,
        residual=False, bins=8, bound=14.0,
    )  # fmt: skip
    assert paper_networks()[0] == "caloflow-v1"


def test_a_model_that_runs_its_networks_at_once_is_seen(monkeypatch):
    """By what it does where its settings do not say."""
    config = RunConfig.from_dict(load_recipe("caloflow-small"), ["model.shape.hidden=16"])
    model = initial_model(config, get_geometry("calogan")).eval()
    assert peer_network(model).direction == "feature by feature"
    generate = type(model).generate

    def dense(self, e_inc, noise):
        for module in self.modules():
            if isinstance(module, MADE):
                module(torch.zeros(1, module.n_features), torch.zeros(1, module.context.in_features))
        return generate(self, e_inc, noise)

    monkeypatch.setattr(type(model), "generate", dense)
    assert peer_network(model).direction == "one pass"


SIZES = {"blocks": 2, "features": 5, "context": 3, "hidden": 16, "depth": 1, "residual": False, "bins": 4}


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("library", LIBRARIES)
def test_peers_draw(library, residual):
    """Both directions: finite, autoregressive, and the identity outside the splines."""
    for direction in ("feature by feature", "one pass"):
        network = PeerNetwork(direction=direction, bound=6.0, **(SIZES | {"residual": residual}))
        draw = build_peer(library, network, device="cpu")
        with torch.inference_mode():
            z, context = torch.randn(4, 5), torch.randn(4, 3)
            x = draw(z, context)
            assert x.shape == z.shape
            assert x.isfinite().all()
            moved = z.clone()
            moved[:, -1] += 0.5  # nothing comes after the last feature
            assert torch.equal(draw(moved, context)[:, 0], x[:, 0])
            far = torch.full((1, 5), 9.0)  # outside the splines
            torch.testing.assert_close(draw(far, context[:1]), far)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_peer_is_timed(library):
    network = {"direction": "feature by feature", "bound": 6.0, **SIZES}
    cell = {"library": library, "batch": 4, "threads": 1, "describe": True, **QUICK}
    slow = CELLS["peer"](network=network, **cell)
    fast = CELLS["peer"](network=network | {"direction": "one pass"}, **cell)
    assert slow["version"] == fast["version"]
    ratio = slow["model"]["mflop_per_shower"] / fast["model"]["mflop_per_shower"]
    assert 4.9 < ratio < 6.1  # one pass per feature against one
    assert min(slow["seconds"]) > min(fast["seconds"])


def test_an_untrained_network():
    (subject,) = find_subjects(["caloflow-small"])
    assert (subject.kind, subject.label, subject.particle) == ("recipe", "caloflow-small (untrained)", None)
    generator = open_subject(subject, device="cpu")
    assert generator.e_inc_range == (1e3, 1e5)
    assert generator.sample([5e4], seed=1).voxels.shape == (1, 504)


def test_what_weights_say_to_geant4():
    (subject,) = find_subjects(["caloflow-piplus"])
    assert (subject.particle, subject.physics, subject.production_cut) == ("pi+", "FTFP_BERT", 0.7)
    (subject,) = find_subjects(["caloflow-eplus"])
    assert (subject.particle, subject.physics) == ("e+", "em")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("caloflow-eplsu", "Unknown model 'caloflow-eplsu'. Did you mean 'caloflow-eplus'"),
        ("runs/nothing", "no weights file, run folder or recipe runs/nothing"),
        ("no.safetensors", "no such weights file"),
        ("no.toml", "cannot be read"),
    ],
)
def test_unknown_models(name, message):
    with pytest.raises(CaloForgeError, match=message):
        find_subjects([name])


def test_a_process_that_runs_geant4_loads_no_torch():
    """What it holds would count as Geant4's memory."""
    code = "import sys, caloforge.benchmark.child; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_arguments_of_figures_are_named():
    for cell in CELLS.values():
        assert {p.kind.name for p in inspect.signature(cell).parameters.values()} == {"KEYWORD_ONLY"}


@needs_geant4
def test_models_that_share_a_geant4_sample(run, monkeypatch):
    """By calorimeter, particle and spectrum; those that have none are noted unless that is all."""
    for name, value in data_variables().items():
        monkeypatch.setenv(name, value)
    names = ["caloflow-v1", "caloflow-piplus", str(run), "caloflow-eplus"]
    samples, notes = plan_geant4(find_subjects(names), BenchmarkSettings(geant4=True))
    assert [(s["particle"], s["physics"], s["models"]) for s in samples] == [
        ("pi+", "FTFP_BERT", ["caloflow-piplus", "caloflow-v1"]),
        ("e+", "em", ["caloflow-eplus"]),
    ]
    assert len(notes) == 1
    assert "'toy' cannot be simulated, as it has no material stack" in notes[0]
    settings = BenchmarkSettings(geant4=True, particle="e+", physics="QBBC")
    samples, _ = plan_geant4(find_subjects(["caloflow-v1", "caloflow-eplus"]), settings)
    assert [(s["physics"], s["models"]) for s in samples] == [("QBBC", ["caloflow-eplus", "caloflow-v1"])]
    with pytest.raises(ConfigError, match="does not say which particle"):
        plan_geant4(find_subjects(["caloflow-v1"]), BenchmarkSettings(geant4=True))
