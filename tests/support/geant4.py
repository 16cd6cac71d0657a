"""Tests that need Geant4 itself."""

import importlib.util
from collections.abc import Callable

import pytest

__all__ = ["needs_geant4"]


def needs_geant4(test: Callable[..., object]) -> Callable[..., object]:
    """Mark a test, and skip it where the extra is missing."""
    missing = importlib.util.find_spec("geant4_pybind") is None
    skip = pytest.mark.skipif(missing, reason='needs pip install "caloforge[geant4]"')
    return pytest.mark.geant4(skip(test))
