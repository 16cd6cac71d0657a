"""Complete runs as TOML files, named for family and purpose; each holds exactly a ``RunConfig``."""

from importlib import resources
from pathlib import Path
from typing import Any

from caloforge.config import read_toml
from caloforge.errors import UnknownNameError
from caloforge.evaluation import reference_sample
from caloforge.geometry import get_geometry
from caloforge.training import RunConfig, complete_config, initial_model

__all__ = ["completed", "load_recipe", "recipe_facts", "recipe_names"]

_STAND_IN = "gamma"
_FOLDER = Path(str(resources.files(__name__)))


def recipe_names() -> tuple[str, ...]:
    """Names of the recipes that come with the package."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def load_recipe(name_or_path: str | Path) -> dict[str, Any]:
    """Plain data of a recipe of the package, or of a user's TOML file.

    Raises:
        UnknownNameError: Neither a recipe nor a file.
        FileFormatError: The file is no TOML.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" or path.is_file():
        return read_toml(path)
    if str(name_or_path) not in recipe_names():
        raise UnknownNameError("recipe", str(name_or_path), recipe_names())
    return read_toml(_FOLDER / f"{name_or_path}.toml")


def completed(config: RunConfig) -> RunConfig:
    """The run with what a recipe leaves to the training showers found from those that come with the package.

    Where these have other voxels than the recipe's calorimeter, it is returned as it is.
    """
    showers = reference_sample(_STAND_IN)
    same = get_geometry(config.geometry).same_voxels(showers.geometry)
    return complete_config(config, showers) if same else config


def recipe_facts() -> dict[str, dict[str, Any]]:
    """Family, purpose, source and parameters per stage of every recipe, on the geometry it was made for."""
    facts = {}
    for name in recipe_names():
        config = RunConfig.from_dict(load_recipe(name))
        model = initial_model(completed(config), get_geometry(config.geometry))
        facts[name] = {
            "family": config.family,
            "geometry": config.geometry,
            "parameters": {stage: model.n_parameters(stage) for stage in model.stages},
            "summary": config.summary,
            "source": config.source,
        }
    return facts
