"""From a calorimeter to a fast, validated shower simulator.

>>> import caloforge
>>> showers = caloforge.read("eplus.h5")  # doctest: +SKIP
>>> model = caloforge.load_model("caloflow-eplus")  # doctest: +SKIP
>>> model.sample([50_000.0] * 10, seed=1)  # doctest: +SKIP

Names are loaded at first use, so that ``import caloforge`` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caloforge.generation import load_model
    from caloforge.io import read, write
    from caloforge.showers import Showers

__version__ = "0.1.0"

__all__ = ["Showers", "__version__", "load_model", "read", "write"]

_HOME = {
    "Showers": "caloforge.showers",
    "load_model": "caloforge.generation",
    "read": "caloforge.io",
    "write": "caloforge.io",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'caloforge' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
