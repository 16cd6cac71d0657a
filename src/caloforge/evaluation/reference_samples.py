"""Small samples of Geant4 showers that come with the package; no shipped weights were trained on them."""

from importlib import resources
from pathlib import Path
from typing import Final

from caloforge import io
from caloforge.errors import UnknownNameError
from caloforge.showers import Showers
from caloforge.units import GeV

__all__ = ["REFERENCE_E_INC", "reference_names", "reference_sample", "sample_of_particle"]

REFERENCE_E_INC: Final = (1.0 * GeV, 100.0 * GeV)
"""Limits of the uniform incident energies of every shipped sample, MeV."""

_FOLDER = Path(str(resources.files("caloforge"))) / "zoo" / "reference"
_PARTICLES = {"e+": "eplus", "gamma": "gamma", "pi+": "piplus"}


def reference_names() -> tuple[str, ...]:
    """Names of the shipped samples."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.h5")))


def reference_sample(name: str) -> Showers:
    """A shipped sample: 400 Geant4 11.4 showers in the CaloGAN calorimeter, energies uniform in 1-100 GeV.

    They are from the part of the simulated showers that is kept for tests; where they come from in detail is
    in their provenance.

    Raises:
        UnknownNameError: No shipped sample has this name.

    Example:
        >>> reference_sample("eplus")
        Showers(n=400, geometry='calogan' (3 layers, 504 voxels))
    """
    if name not in reference_names():
        raise UnknownNameError("reference sample", name, reference_names())
    return io.read(_FOLDER / f"{name}.h5")


def sample_of_particle(particle: object) -> str:
    """Name of the shipped sample of a particle, ``"e+"`` say.

    That of e+ for every other particle, and for whatever a provenance may hold in its place.
    """
    return _PARTICLES.get(particle, "eplus") if isinstance(particle, str) else "eplus"
