"""Compiled generation, and machines without a compiler; in processes of their own, without runtime type checks."""

import numpy as np
import pytest

from caloforge import io
from caloforge.models import build_model
from caloforge.models.checkpoint import save_model
from support.tiny_runs import python
from support.toys import cartesian, geometry_of, toy_showers

SETTINGS = {
    "moments": {"hidden": 8, "components": 2, "depth": 0},
    "voxels": {"groups": 2, "hidden": 8, "depth": 0},
}


def toy_weights(family, settings, geometry, path):
    model, showers = build_model(family, settings, geometry), toy_showers(geometry, 50)
    model.fit_range(showers)
    for stage in model.stages.values():
        stage.fit(showers, seed=1)
    save_model(model, path, family=family, provenance={})
    return path


@pytest.fixture
def weights(tmp_path):
    return toy_weights("groupwise", SETTINGS, geometry_of(cartesian(2, 2)), tmp_path / "toy.safetensors")


def generate(weights, output, *options):
    words = ["-m", "caloforge", "generate", weights, "-n", 600, "--energies", "50", "--allow-extrapolation"]
    process = python(*words, "-o", output, *options)
    _, err = process.communicate()
    assert process.returncode == 0, err
    return io.read(output), err


@pytest.mark.slow
def test_compiled_showers_are_the_same_up_to_rounding(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(
        "TORCHINDUCTOR_CACHE_DIR", raising=False
    )  # torch sets it where other tests have compiled
    plain, _ = generate(weights, tmp_path / "plain.h5")
    compiled, err = generate(weights, tmp_path / "compiled.h5", "--compile")
    assert "could not be compiled" not in err
    assert compiled.provenance["compiled"] is True
    np.testing.assert_allclose(compiled.voxels, plain.voxels, rtol=1e-3, atol=1e-3 * plain.voxels.max())
    assert any((tmp_path / "cache" / "caloforge" / "compiled").iterdir())


def test_without_a_compiler_generation_goes_on(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", "/nowhere/g++")
    plain, _ = generate(weights, tmp_path / "plain.h5")
    same, err = generate(weights, tmp_path / "same.h5", "--compile")
    assert "warning: Generation could not be compiled and runs uncompiled" in err
    assert "Traceback" not in err
    assert same.provenance["compiled"] is False
    np.testing.assert_array_equal(plain.voxels, same.voxels)


SINGLE = """
import sys
import numpy as np
from caloforge.generation import load_model

plain, compiled = load_model(sys.argv[1]), load_model(sys.argv[1], compiled=True)
assert compiled.compiled
for i in range(20):
    a, b = (g.sample([5e4], seed=1, start=i, allow_extrapolation=True, padded=False) for g in (plain, compiled))
    np.testing.assert_allclose(b.voxels, a.voxels, rtol=1e-3, atol=1e-3 * a.voxels.max())
"""


@pytest.mark.slow
@pytest.mark.parametrize("moments", [True, False])
def test_compiled_single_showers_of_a_manifold(moments, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    geometry = geometry_of(cartesian(2, 2))
    settings = {
        "energies": {"blocks": 1, "hidden": 4},
        "moments": {"hidden": 8, "components": 2, "depth": 0},
        "manifold": {"latent": 2, "hidden": 8, "depth": 1, "likelihood": "hits", "moments": moments},
        "density": {"conditioner": "coupling", "blocks": 1, "hidden": 4, "depth": 1},
    }
    process = python("-c", SINGLE, toy_weights("caloman", settings, geometry, tmp_path / "toy.safetensors"))
    _, err = process.communicate()
    assert process.returncode == 0, err
