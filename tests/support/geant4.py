"""Tests that need Geant4, and its data sets: those of this machine, else the reduced ones beside the repository."""

import importlib.util
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from caloforge.simulation.data import Geant4DataError, find_data

__all__ = ["data_variables", "needs_geant4"]

REDUCED = Path(__file__).resolve().parents[3] / "shared" / "geant4-reduced-data" / "env.sh"


def needs_geant4(test: Callable[..., object]) -> Callable[..., object]:
    """Mark a test, and skip it where the extra is missing."""
    missing = importlib.util.find_spec("geant4_pybind") is None
    skip = pytest.mark.skipif(missing, reason='needs pip install "caloforge[geant4]"')
    return pytest.mark.geant4(skip(test))


def data_variables() -> dict[str, str]:
    """Variables that show Geant4 its data sets; skips the test where there are none."""
    try:
        return find_data().environment
    except Geant4DataError:
        if not REDUCED.is_file():
            pytest.skip("neither official Geant4 data nor the reduced sets beside the repository")
    command = ["bash", "-c", f'source "{REDUCED}" && env -0']
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    pairs = (line.partition("=") for line in text.split("\0") if line)
    return {name: value for name, _, value in pairs if name.startswith("G") and "DATA" in name}
