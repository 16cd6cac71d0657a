"""Geant4 showers beside the repository, for tests whose answer only real showers can give."""

from pathlib import Path

import pytest

from caloforge import Showers, read

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "showers"


def geant4_showers(particle: str, start: int, stop: int) -> Showers:
    """Some showers in the CaloGAN calorimeter, above 1 keV; skips the test where there are none."""
    path = FOLDER / f"{particle}.h5"
    if not path.exists():
        pytest.skip(f"needs Geant4 showers in {FOLDER}")
    return read(path, start=start, stop=stop).above(1e-3)
