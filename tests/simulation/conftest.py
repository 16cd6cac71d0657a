"""Geant4's data sets: those of this machine, else the reduced ones kept beside the repository."""

import os
import subprocess
from pathlib import Path

import pytest

from caloforge.simulation.data import Geant4DataError, find_data

REDUCED = Path(__file__).resolve().parents[3] / "shared" / "geant4-reduced-data" / "env.sh"


@pytest.fixture(scope="session")
def _data_variables() -> dict[str, str]:
    try:
        return find_data().environment
    except Geant4DataError:
        if not REDUCED.is_file():
            pytest.skip("neither official Geant4 data nor the reduced sets beside the repository")
    command = ["bash", "-c", f'source "{REDUCED}" && env -0']
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    pairs = (line.partition("=") for line in text.split("\0") if line)
    return {name: value for name, _, value in pairs if name.startswith("G") and "DATA" in name}


@pytest.fixture
def geant4_data(_data_variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Environment with data for Geant4; the variables, for other processes."""
    for name, value in _data_variables.items():
        monkeypatch.setenv(name, value)
    return dict(os.environ)
