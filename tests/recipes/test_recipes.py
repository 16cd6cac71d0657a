"""Recipes of the package build the models they promise; others are files."""

import pytest

from caloforge.config import apply_settings
from caloforge.errors import ConfigError, FileFormatError, UnknownNameError
from caloforge.geometry import get_geometry
from caloforge.models import FAMILIES
from caloforge.recipes import load_recipe, recipe_facts, recipe_names
from caloforge.training import RunConfig, complete_config, initial_model
from support.toys import toy_showers

SMALLER = {
    "caloflow": ["model.shape.hidden=8", "model.shape.blocks=1", "model.energies.hidden=8"],
    "blockwise": ["model.moments.hidden=8", "model.voxels.hidden=8"],
    "groupwise": ["model.moments.hidden=8", "model.voxels.hidden=8"],
    "caloman": ["model.manifold.hidden=8", "model.density.hidden=8", "model.energies.hidden=8"],
}


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_complete(name):
    config = RunConfig.from_dict(load_recipe(name))
    assert config.family in FAMILIES
    assert name.startswith(config.family)
    assert config.summary
    assert RunConfig.from_dict(config.to_dict()) == config
    small = RunConfig.from_dict(load_recipe(name), SMALLER[config.family])
    geometry = get_geometry(config.geometry)
    complete = complete_config(small, toy_showers(geometry, 60))
    assert complete_config(complete, toy_showers(geometry, 60)) == complete
    model = initial_model(complete, geometry)
    assert set(config.training) <= set(model.stages)


def test_every_family_has_the_recipe_that_train_takes_by_default():
    assert {f"{family}-small" for family in FAMILIES} <= set(recipe_names())


def test_caloflow_v1_has_the_papers_settings():
    """Table 2 and section 3.2 of arXiv:2106.05285."""
    model = RunConfig.from_dict(load_recipe("caloflow-v1")).model
    assert model["energies"].get("blocks", 6) == 6
    assert model["energies"].get("hidden", 64) == 64
    assert model["shape"].get("blocks", 8) == 8
    assert model["shape"].get("hidden", 378) == 378


def test_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('family = "caloflow"\n[training.shape]\nepochs = 3\n')
    assert RunConfig.from_dict(load_recipe(path)).training["shape"].epochs == 3
    assert load_recipe(str(path)) == load_recipe(path)


def test_what_is_no_recipe(tmp_path):
    with pytest.raises(UnknownNameError, match=r"recipe 'caloflow-smal'\. Did you mean 'caloflow-small'"):
        load_recipe("caloflow-smal")
    with pytest.raises(FileFormatError, match="cannot be read"):
        load_recipe(tmp_path / "no.toml")
    path = tmp_path / "bad.toml"
    path.write_bytes(b"family = \n")
    with pytest.raises(FileFormatError, match=r"bad\.toml: is not valid TOML: .*line 1"):
        load_recipe(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(FileFormatError, match="is not valid TOML"):
        load_recipe(path)
    path.write_text("seed = 1")
    with pytest.raises(ConfigError, match="Missing setting 'family'"):
        RunConfig.from_dict(load_recipe(path))


def test_seeds_fix_the_initial_weights():
    recipe = apply_settings(load_recipe("caloflow-small"), ["model.shape.hidden=8"])
    config, geometry = RunConfig.from_dict(recipe), get_geometry("calogan")
    first, again, other = (
        dict(initial_model(c, geometry).named_parameters()) for c in (config, config, config.with_seed(2))
    )
    name = "shape.flow.bijection.blocks.0.made.last.weight"
    assert first[name].equal(again[name])
    assert not first[name].equal(other[name])


def test_facts_of_a_recipe_that_leaves_a_number_to_the_showers():
    facts = recipe_facts()
    assert set(facts) == set(recipe_names())
    assert facts["caloman-small"]["parameters"]["density"] > 0
