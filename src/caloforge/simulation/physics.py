"""Physics lists by name."""

from typing import Any, Final

from caloforge.errors import ConfigError, UnknownNameError
from caloforge.io.physics import EM_ONLY

__all__ = ["PHYSICS_LISTS", "build_physics", "check_physics"]

_HADRONIC: Final = (
    "FTFP_BERT",
    "FTFP_BERT_ATL",
    "FTFP_BERT_TRV",
    "FTFP_BERT_HP",
    "FTF_BIC",
    "QBBC",
    "QGSP_BERT",
    "QGSP_BERT_HP",
    "QGSP_BIC",
    "QGSP_FTFP_BERT",
)
PHYSICS_LISTS: Final = (EM_ONLY, *_HADRONIC)
"""Geant4's reference lists that need no data beyond those this package looks for, and :data:`EM_ONLY`."""

_EM_PARTICLES: Final = ("e-", "e+", "gamma")


def check_physics(name: str, particle: str) -> None:
    """Raise unless there is such a list and the particle interacts fully in it.

    Raises:
        UnknownNameError: There is no such list.
        ConfigError: The particle needs a list with hadrons or decays.
    """
    if name not in PHYSICS_LISTS:
        raise UnknownNameError("physics list", name, PHYSICS_LISTS)
    if name == EM_ONLY and particle not in _EM_PARTICLES:
        raise ConfigError(
            f"The physics list {EM_ONLY!r} is for {', '.join(_EM_PARTICLES)} only; {particle} needs one with "
            "hadrons and decays, such as FTFP_BERT."
        )


def build_physics(g4: Any, name: str) -> Any:
    """The list of this name, with its own production cut."""
    if name == EM_ONLY:
        physics = g4.G4VModularPhysicsList()
        physics.RegisterPhysics(g4.G4EmStandardPhysics())
    else:
        physics = getattr(g4, name)()  # G4PhysListFactory keeps what it makes, and Python cannot hand that on
    physics.SetVerboseLevel(0)
    return physics
