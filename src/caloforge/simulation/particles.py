"""Primary particles by name."""

from typing import Final

from caloforge.errors import MissingExtraError, UnknownNameError

__all__ = ["PARTICLES", "pdg_id"]

PARTICLES: Final = ("e-", "e+", "gamma", "pi+", "pi-", "pi0", "K+", "K-", "p", "n", "mu-", "mu+")
"""Names as in the Review of Particle Physics and the package ``particle``."""


def pdg_id(name: str) -> int:
    """Number of a particle in the scheme of the Particle Data Group, which Geant4 knows, too.

    Raises:
        UnknownNameError: The particle is not among :data:`PARTICLES`.
        MissingExtraError: The extra ``geant4``, which brings the package ``particle``, is not installed.
    """
    if name not in PARTICLES:
        raise UnknownNameError("particle", name, PARTICLES)
    try:
        from particle import Particle
    except ModuleNotFoundError as err:
        if err.name != "particle":
            raise
        raise MissingExtraError("particle", extra="geant4", purpose="the names of particles") from err
    return int(Particle.from_name(name).pdgid)
