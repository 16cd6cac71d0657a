"""The models that are timed: trained weights, or the untrained network of a recipe."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, final

import numpy as np
from jaxtyping import Float

from caloforge.errors import ConfigError, UnknownNameError
from caloforge.geometry import Geometry, get_geometry
from caloforge.units import GeV

if TYPE_CHECKING:
    from caloforge.generation import Precision, ShowerGenerator

__all__ = [
    "Subject",
    "check_generation",
    "find_subjects",
    "open_subject",
    "paper_networks",
    "spread_energies",
]

_UNTRAINED_RANGE: Final = (1 * GeV, 100 * GeV)
"""Of networks that saw no showers; CaloGAN's."""
_PAPERS: Final = ("caloflow-v1", "caloflow-v2")
_PHYSICS: Final = {"G4EmStandardPhysics": "em"}
"""What showers made elsewhere call a list that has another name here."""


@final
@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model by its name, with what Geant4 must be told to make the showers that it makes."""

    name: str
    """As it was asked for."""
    kind: Literal["weights", "recipe"]
    family: str
    geometry: Geometry
    e_inc_range: tuple[float, float]
    """Least and greatest incident energy of the requests, MeV; they are spread evenly in between."""
    particle: str | None = None
    physics: str | None = None
    """Physics list of the training showers, if it is one of ours."""
    production_cut: float | None = None
    """Geant4's cut in the training showers, mm."""
    weights_id: str | None = None
    precision: "Precision" = "float32"
    """Of large matrix products, as in :func:`caloforge.generation.load_model`."""
    compiled: bool = False
    """Whether generation is compiled first."""

    @property
    def label(self) -> str:
        """Name for tables."""
        remarks = [
            *(["untrained"] if self.kind == "recipe" else []),
            *([self.precision] if self.precision != "float32" else []),
            *(["compiled"] if self.compiled else []),
        ]
        return f"{self.name} ({', '.join(remarks)})" if remarks else self.name


def paper_networks() -> list[str]:
    """Recipes of the papers' networks, which peers are compared in."""
    from caloforge.recipes import recipe_names

    return [name for name in _PAPERS if name in recipe_names()]


def find_subjects(
    names: Iterable[str], *, precision: "Precision" = "float32", compiled: bool = False
) -> list[Subject]:
    """What the names mean.

    Args:
        names: As they are asked for.
        precision: In which they are to generate.
        compiled: Whether they are to be compiled.

    Raises:
        UnknownNameError: Neither weights nor a recipe.
        CheckpointError: Weights that cannot be read.
        ConfigError: A path where nothing is.
    """
    found = [_find(name) for name in dict.fromkeys(names)]
    return [replace(subject, precision=precision, compiled=compiled) for subject in found]


def check_generation(subjects: Iterable[Subject]) -> None:
    """Fail before anything is measured if models cannot generate as they are asked to.

    It depends on the family, so one model of each is looked at.

    Raises:
        ConfigError: A family has no such precision, or cannot be compiled.
        CheckpointError: Weights that cannot be read.
    """
    families: dict[str, list[Subject]] = {}
    for subject in subjects:
        if subject.precision != "float32" or subject.compiled:
            families.setdefault(subject.family, []).append(subject)
    for found in families.values():
        try:
            generator = open_subject(found[0], device="cpu")
            if found[0].compiled:
                generator.model.compile_for((1,))
        except ConfigError as err:
            names = ", ".join(subject.name for subject in found)
            raise ConfigError(f"{names}: {err} Other models are chosen with --models.") from err


def _find(name: str) -> Subject:
    from caloforge.models.zoo import shipped_weights
    from caloforge.recipes import load_recipe, recipe_names

    path = Path(name)
    if path.suffix == ".toml" or (not path.exists() and name in recipe_names()):
        return _of_recipe(name, load_recipe(name))
    if not path.exists() and name not in shipped_weights() and path.suffix != ".safetensors":
        if len(path.parts) > 1:
            raise ConfigError(f"There is no weights file, run folder or recipe {name}.")
        raise UnknownNameError("model", name, [*shipped_weights(), *recipe_names()])
    return _of_weights(name)


def _of_weights(name: str) -> Subject:
    from safetensors import safe_open

    from caloforge.models.checkpoint import read_header
    from caloforge.models.zoo import find_weights

    path = find_weights(name)
    header = read_header(path)
    with safe_open(path, framework="pt") as file:
        low, high = file.get_tensor("e_inc_range").tolist()
    known = header.provenance
    source = known.get("source")
    physics, cut = _simulation(source if isinstance(source, dict) else {})
    return Subject(
        name=name,
        kind="weights",
        family=header.family,
        geometry=header.geometry,
        e_inc_range=(low, high),
        particle=known.get("particle"),
        physics=physics,
        production_cut=cut,
        weights_id=known.get("weights_id"),
    )


def _simulation(source: dict[str, Any]) -> tuple[str | None, float | None]:
    """Physics list and production cut in the provenance of training showers, where they are known here."""
    from caloforge.simulation import PHYSICS_LISTS

    attributes = source.get("attributes")
    facts = {**(attributes if isinstance(attributes, dict) else {}), **source}
    physics = _PHYSICS.get(str(facts.get("physics")), str(facts.get("physics")))
    cut = facts.get("production_cut_mm", facts.get("cut_mm"))
    known_cut = isinstance(cut, int | float) and not isinstance(cut, bool)
    return (physics if physics in PHYSICS_LISTS else None), (float(cut) if known_cut else None)  # type: ignore[arg-type]


def _of_recipe(name: str, recipe: dict[str, Any]) -> Subject:
    from caloforge.training import RunConfig

    config = RunConfig.from_dict(recipe)
    return Subject(
        name=name,
        kind="recipe",
        family=config.family,
        geometry=get_geometry(config.geometry),
        e_inc_range=_UNTRAINED_RANGE,
    )


def open_subject(subject: Subject, *, device: str) -> "ShowerGenerator":
    """The model in memory, ready to generate in the subject's precision; compiling is left to the caller."""
    from caloforge.generation import load_model

    if subject.kind == "weights":
        return load_model(subject.name, device=device, precision=subject.precision)
    return _untrained(subject, device=device)


def _untrained(subject: Subject, *, device: str) -> "ShowerGenerator":
    import torch

    from caloforge.generation import ShowerGenerator
    from caloforge.models.checkpoint import CheckpointHeader
    from caloforge.recipes import completed, load_recipe
    from caloforge.training import RunConfig, initial_model

    config = completed(RunConfig.from_dict(load_recipe(subject.name)))
    model = initial_model(config, subject.geometry)
    model.e_inc_range.copy_(torch.tensor(subject.e_inc_range, dtype=torch.float64))
    header = CheckpointHeader(
        family=config.family,
        settings=model.settings,
        geometry=subject.geometry,
        provenance={"recipe": subject.name, "untrained": True},
    )
    model = model.to(device).eval().requires_grad_(requires_grad=False)
    return ShowerGenerator(model, header, precision=subject.precision)


def spread_energies(e_inc_range: tuple[float, float], n: int) -> Float[np.ndarray, " n"]:
    """``n`` incident energies of a flat spectrum, evenly spread, MeV.

    Their mean is that of the spectrum however few they are, so the mean time of a few Geant4 showers, which is
    about proportional to the energy, is that of many.
    """
    low, high = e_inc_range
    return low + (high - low) * (np.arange(n) + 0.5) / n
