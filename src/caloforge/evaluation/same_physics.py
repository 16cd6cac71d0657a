"""Whether two samples have the same physics, so that what differs is the model's doing.

Geant4 with another physics list, production cut or angle makes other showers, and every test blames the model for it.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from caloforge.io.physics import EM_ONLY, Physics

__all__ = ["PhysicsDifference", "physics_difference"]

_SUBTLE: Final = {"Geant4 version"}
"""Alone, nothing that a sample of usual size would show."""


@final
@dataclass(frozen=True, kw_only=True)
class PhysicsDifference:
    """How the physics of two samples differs, for people."""

    names: tuple[str, ...]
    """What differs, as :meth:`~caloforge.io.physics.Physics.words` calls it."""
    clause: str
    """``"they learned em and the reference showers were made with FTFP_BERT"``."""
    message: str
    """One line: what differs, what that means, and what to do."""

    @property
    def matters(self) -> bool:
        """Whether it can explain that showers are told apart."""
        return not _SUBTLE.issuperset(self.names)


def physics_difference(
    first_provenance: Mapping[str, Any],
    second_provenance: Mapping[str, Any],
    *,
    name: str = "the generated showers",
    other_name: str = "the reference showers",
) -> PhysicsDifference | None:
    """What is known of both samples and differs; ``None`` if nothing is.

    Args:
        first_provenance: Of the sample in question, or of the weights that would make it.
        second_provenance: Of the one it is compared with.
        name: What the first are called.
        other_name: What the second are called.

    Example:
        >>> learned = {"particle": "e+", "physics": {"list": "em", "cut_mm": 0.7}}
        >>> physics_difference(learned, {"particle": "e+", "physics": "FTFP_BERT"}).names
        ('physics list',)
        >>> physics_difference(learned, {"particle": "e+"})
    """
    first, second = Physics.of(first_provenance), Physics.of(second_provenance)
    mine, theirs = first.words(), second.words()
    names = tuple(key for key in mine if key in theirs and _differ(key, first, second))
    if not names:
        return None
    origin = f"{_verb(first)} {_listed(mine, theirs, names)}"
    other = f"{other_name} {_verb(second)} {_listed(theirs, mine, names)}"
    return PhysicsDifference(
        names=names,
        clause=f"they {origin} and {other}",
        message=f"{name[0].upper()}{name[1:]} {origin}; {other}: {_effect(first, second, names)}. "
        f"{_advice(first, second, names)}",
    )


def _differ(name: str, first: Physics, second: Physics) -> bool:
    if name == "cut":
        assert first.cut is not None
        assert second.cut is not None
        return not math.isclose(first.cut, second.cut, rel_tol=1e-6)
    if name == "Geant4 version":
        # "11.4" of one file is no other version than "11.4.1" of another.
        pairs = zip(str(first.geant4).split("."), str(second.geant4).split("."), strict=False)
        return any(a != b for a, b in pairs)
    if name == "incidence":
        assert first.incidence is not None
        assert second.incidence is not None
        one, other = ((*i.direction, i.x, i.y, i.spread) for i in (first.incidence, second.incidence))
        return math.dist(one, other) > 1e-6  # an azimuth means nothing for perpendicular incidence
    return first.words()[name] != second.words()[name]


def _verb(physics: Physics) -> str:
    return "learned" if physics.learned else "were made with"


def _effect(first: Physics, second: Physics, names: tuple[str, ...]) -> str:
    whose = "the physics', not the model's" if first.learned else "those of the physics"
    lists = {first.physics_list, second.physics_list}
    if names[0] == "physics list" and EM_ONLY in lists:
        return (
            f"{EM_ONLY} has no photonuclear reactions, which cost some per mille of e_dep/e_inc; such differences are "
            f"{whose}"
        )
    return f"differences for that reason are {whose}"


def _listed(mine: dict[str, str], theirs: dict[str, str], names: tuple[str, ...]) -> str:
    """The words for what differs; of long lists of data sets only those that do."""
    words = []
    for name in names:
        if name == "data":
            common = set(mine[name].split(", ")) & set(theirs[name].split(", "))
            words.append(
                ", ".join(part for part in mine[name].split(", ") if part not in common) or "fewer data sets"
            )
        else:
            words.append(mine[name])
    return ", ".join(words)


def _advice(first: Physics, second: Physics, names: tuple[str, ...]) -> str:
    if "particle" in names:
        return "Compare showers of one particle."
    if not first.learned:
        return (
            "Simulate both alike."
            if not second.learned
            else "Compare with showers of the physics it learned."
        )
    options = _simulate_options(first, names)
    if second.learned or not options:
        return "Train on showers made like the reference."
    nearer = " to come nearer" if len(options) < len(names) else ""
    return f"Simulate the reference with {' '.join(options)}{nearer}, or train on showers made like it."


def _simulate_options(physics: Physics, names: tuple[str, ...]) -> list[str]:
    """Options of ``caloforge simulate`` for what it can be told: not for Geant4's version and data."""
    found, aim = [], physics.incidence
    if "physics list" in names and re.fullmatch(r"\w+", str(physics.physics_list)):
        found.append(f"--physics {physics.physics_list}")
    if "cut" in names:
        found.append(f"--cut {physics.cut:g}")
    if "incidence" in names and aim is not None and aim.x == aim.y == aim.azimuth == 0:
        found.append(f"--angle {aim.angle:g} --spread {aim.spread:g}")
    return found
