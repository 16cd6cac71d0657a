"""Generative models of showers behind one interface, and the files that hold them.

A family is one line here, its module, and a recipe.
"""

import importlib
from collections.abc import Mapping
from typing import Any, Final

from caloforge.errors import ConfigError, UnknownNameError
from caloforge.geometry import Geometry
from caloforge.models.base import Batch, DistillationConfig, ShowerModel, Stage

__all__ = [
    "FAMILIES",
    "MAX_PARAMETERS",
    "Batch",
    "DistillationConfig",
    "ShowerModel",
    "Stage",
    "build_model",
    "family_class",
]

FAMILIES: Final = {
    "caloflow": "caloforge.models.caloflow:CaloFlow",
    "caloman": "caloforge.models.caloman:CaloMan",
    "blockwise": "caloforge.models.blockwise:Blockwise",
    "groupwise": "caloforge.models.groupwise:Groupwise",
}


MAX_PARAMETERS: Final = 2_000_000_000
"""More are taken for a mistake: 8 GB of float32 weights, and four times as much while training."""


def family_class(family: str) -> type[ShowerModel]:
    """The class of a family.

    Raises:
        UnknownNameError: No such family.
    """
    if family not in FAMILIES:
        raise UnknownNameError("model family", family, FAMILIES)
    module, _, name = FAMILIES[family].partition(":")
    found: type[ShowerModel] = getattr(importlib.import_module(module), name)
    return found


def build_model(
    family: str, settings: Mapping[str, Any], geometry: Geometry, *, max_parameters: int = MAX_PARAMETERS
) -> ShowerModel:
    """An untrained model of a family.

    Args:
        family: Key of :data:`FAMILIES`.
        settings: The ``[model]`` table.
        geometry: The calorimeter.
        max_parameters: A model with more is refused before anything is allocated.

    Raises:
        UnknownNameError: No such family, or a setting that it does not have.
        ConfigError: A value that makes no sense, or a model that is too large.
    """
    model_class = family_class(family)
    n_parameters = model_class.count_parameters(settings, geometry)
    if n_parameters > max_parameters:
        raise ConfigError(
            f"The model would have {_large(n_parameters)} parameters ({_large(4 * n_parameters)} bytes in float32), "
            f"at most {_large(max_parameters)} are allowed here; choose smaller sizes in [model]."
        )
    return model_class.build(settings, geometry)


def _large(number: int) -> str:
    return f"{number:,}" if number < 10**12 else f"about 10^{len(str(number)) - 1}"
