"""Small samples of Geant4 showers that come with the package; no shipped weights were trained on them."""

from importlib import resources
from pathlib import Path
from typing import Any

from caloforge import io
from caloforge.errors import UnknownNameError
from caloforge.showers import Showers

__all__ = ["reference_names", "reference_sample", "sample_of_particle"]

_FOLDER = Path(str(resources.files("caloforge"))) / "zoo" / "reference"
_PARTICLES = {"e+": "eplus", "gamma": "gamma", "pi+": "piplus"}


def reference_names() -> tuple[str, ...]:
    """Names of the shipped samples."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.h5")))


def reference_sample(name_or_path: str | Path) -> Showers:
    """A shipped sample by its name, or the showers of a file.

    The shipped ones are 400 showers each in the CaloGAN calorimeter from Geant4 11.4, incident energy uniform
    in 1-100 GeV, from the part of the simulated sample that is kept for tests.

    Raises:
        UnknownNameError: No shipped sample has this name and there is no such file.
        FileFormatError: The file holds no showers.
    """
    path = Path(name_or_path)
    if path.is_file():
        return io.read(path)
    if str(name_or_path) not in reference_names():
        raise UnknownNameError("reference sample", str(name_or_path), reference_names())
    return io.read(_FOLDER / f"{name_or_path}.h5")


def sample_of_particle(particle: Any, *, default: str = "eplus") -> str:
    """Name of the shipped sample of a particle as provenance calls it (``"e+"``), or ``default``."""
    return _PARTICLES.get(str(particle), default)
