"""Generative models of showers behind one interface, and the files that hold them.

A family is one line here, its module, and a recipe.
"""

import importlib
from collections.abc import Mapping
from typing import Any, Final

from caloforge.errors import UnknownNameError
from caloforge.geometry import Geometry
from caloforge.models.base import Batch, ShowerModel, Stage

__all__ = ["FAMILIES", "Batch", "ShowerModel", "Stage", "build_model"]

FAMILIES: Final = {
    "caloflow": "caloforge.models.caloflow:CaloFlow",
}


def build_model(family: str, settings: Mapping[str, Any], geometry: Geometry) -> ShowerModel:
    """An untrained model of a family.

    Raises:
        UnknownNameError: No such family, or a setting that it does not have.
    """
    if family not in FAMILIES:
        raise UnknownNameError("model family", family, FAMILIES)
    module, _, name = FAMILIES[family].partition(":")
    model_class: type[ShowerModel] = getattr(importlib.import_module(module), name)
    return model_class.build(settings, geometry)
