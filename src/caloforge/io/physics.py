"""The physics of a sample, read from its provenance: physics list, cut, Geant4 and its data, incidence.

Files of this package, other people's attributes and weights say it in different words; here they become comparable.
What is not said, or not understood, is ``None``: unknown, which never differs from anything.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, final

from caloforge.errors import CaloForgeError
from caloforge.geometry import Incidence

__all__ = ["EM_ONLY", "REDUCED", "Physics"]

REDUCED: Final = "reduced tables"
"""Data of Geant4 that were cut down for tests, not the official sets."""

EM_ONLY: Final = "em"
"""Name of ``G4EmStandardPhysics`` alone: no photonuclear reactions, and no hadrons."""

_TAG: Final = re.compile(r"geant4-(\d+)-(\d+)(?:-patch-(\d+))?", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(?<![\d.])(?:4\.(?=\d+\.))?([1-9]\d*)\.(\d+)(?:\.p?(\d+))?")
"""The "4." that some write first is part of the name."""
_LIST: Final = re.compile(r"\b(?:FTFP?|QGSP?|QBBC)(?:_\w+)?\b")
_LONGEST: Final = 40
"""Characters of a name; anything longer is a description, which cannot be compared."""


@final
@dataclass(frozen=True, kw_only=True)
class Physics:
    """How Geant4 made some showers, or those that a model learned."""

    particle: str | None = None
    physics_list: str | None = None
    """As :data:`caloforge.simulation.PHYSICS_LISTS` calls it; ``"em"`` is ``G4EmStandardPhysics`` alone."""
    cut: float | None = None
    """Production cut, mm."""
    geant4: str | None = None
    """Version, ``"11.4.1"``."""
    data: str | None = None
    """Geant4's data sets: :data:`REDUCED`, or names with versions, ``"G4EMLOW8.8, G4PARTICLEXS4.2"``."""
    incidence: Incidence | None = None
    learned: bool = False
    """The showers, or weights, are a model's, and this is the physics of those that trained it."""

    @classmethod
    def of(cls, provenance: Mapping[str, Any]) -> "Physics":
        """What a provenance says: that of showers, in a file or in memory, or that of weights.

        Example:
            >>> Physics.of({"attributes": {"physics": "G4EmStandardPhysics", "cut_mm": 0.7}}).describe()
            'em, cut 0.7 mm, Geant4 version, data and incidence unknown'
        """
        known = {**_table(provenance.get("attributes")), **provenance}
        particle = _text(known.get("particle"))
        if isinstance(known.get("physics"), Mapping):  # weights, and showers made with them
            return replace(_read(known["physics"], name="list"), particle=particle, learned=True)
        if isinstance(known.get("source"), Mapping):  # weights of a version that had no such table
            origin = {**_table(known["source"].get("attributes")), **known["source"]}
            return replace(_read(origin, name="physics"), particle=particle, learned=True)
        found = _read(known, name="physics")
        return replace(found, particle=particle, learned=known.get("generator") == "caloforge")

    @property
    def known(self) -> bool:
        """Whether anything is, beside the particle."""
        return self.table() is not None

    def table(self) -> dict[str, Any] | None:
        """``physics`` in the provenance of weights and of generated showers, JSON types; ``None`` if all is unknown."""
        found = {
            "list": self.physics_list,
            "cut_mm": self.cut,
            "geant4": self.geant4,
            "data": self.data,
            "incidence": None if self.incidence is None else self.incidence.to_dict(),
        }
        return None if all(value is None for value in found.values()) else found

    def words(self) -> dict[str, str]:
        """What is known, by what it is, in words that can stand beside each other."""
        found = {
            "particle": None if self.particle is None else f"incident {self.particle}",
            "physics list": self.physics_list,
            "cut": None if self.cut is None else f"cut {self.cut:g} mm",
            "incidence": None if self.incidence is None else _incidence_words(self.incidence),
            "data": self.data,
            "Geant4 version": None if self.geant4 is None else f"Geant4 {self.geant4}",
        }
        return {name: words for name, words in found.items() if words is not None}

    def describe(self) -> str:
        """One line without the particle; names what is unknown."""
        if not self.known:
            return "unknown"
        names = ("physics list", "cut", "Geant4 version", "data", "incidence")
        words = self.words()
        unknown = [name for name in names if name not in words]
        if unknown:
            listed = f"{', '.join(unknown[:-1])} and {unknown[-1]}" if unknown[1:] else unknown[0]
            words[""] = f"{listed} unknown"
        return ", ".join(words[name] for name in (*names, "") if name in words)


def _read(known: Mapping[str, Any], *, name: str) -> Physics:
    """From entries as ``simulate`` writes them, or the few names for them that others' files use."""
    cut = known.get("production_cut_mm", known.get("cut_mm"))
    sets = known.get("geant4_data", known.get("data"))
    return Physics(
        physics_list=_list_name(known.get(name, known.get("physics_list"))),
        cut=float(cut) if isinstance(cut, int | float) and 0 < cut < math.inf else None,
        geant4=_version(known.get("geant4")),
        data=_data(sets.get("versions") if isinstance(sets, Mapping) else sets),
        incidence=_incidence(known.get("incidence")),
    )


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    """A short name, or nothing that could be compared."""
    text = " ".join(value.split()) if isinstance(value, str) else ""
    return text if 0 < len(text) <= _LONGEST else None


def _list_name(value: Any) -> str | None:
    """The list's own name, also out of a sentence that names one; two would be a riddle."""
    found = set(_LIST.findall(value)) if isinstance(value, str) else set()
    name = found.pop() if len(found) == 1 else _text(value)
    return EM_ONLY if name == "G4EmStandardPhysics" else name


def _version(value: Any) -> str | None:
    """``"11.4.1"`` from ``"geant4-11-04-patch-01 [MT]"`` or ``"11.4.1 (geant4-pybind 0.1.3)"``."""
    if not isinstance(value, str):
        return None
    if tag := _TAG.search(value):  # without a patch it is the release itself
        return ".".join(str(int(part or 0)) for part in tag.groups())
    number = _NUMBER.search(value)
    return None if number is None else ".".join(str(int(part)) for part in number.groups() if part)


def _data(value: Any) -> str | None:
    """Reduced tables are called so; of the official sets the versions count, if all are known."""
    if isinstance(value, Mapping):
        versions = {str(name): str(version) for name, version in value.items()}
        if "reduced" in versions.values():
            return REDUCED
        if not versions or "unknown" in versions.values():
            return None
        return ", ".join(f"{name}{versions[name]}" for name in sorted(versions))
    if isinstance(value, str):  # an attribute called "data" can say anything
        is_list = re.fullmatch(r"G4EMLOW[\d.]+(?:, [A-Z]\w*[\d.]+)*", value)
        return REDUCED if value.startswith("reduced") else value if is_list else None
    return None


def _incidence(value: Any) -> Incidence | None:
    try:
        return Incidence.from_dict(value) if isinstance(value, Mapping) else None
    except CaloForgeError:
        return None


def _incidence_words(incidence: Incidence) -> str:
    azimuth = f" towards {incidence.azimuth:g}" if incidence.azimuth else ""
    parts = [f"{incidence.angle:g} degrees{azimuth}" if incidence.angle else "perpendicular"]
    centred = incidence.x == incidence.y == 0
    parts.append("centred" if centred else f"at ({incidence.x:g}, {incidence.y:g}) mm")
    if incidence.spread:
        parts.append(f"spread ±{incidence.spread:g} mm")
    return " ".join(parts)
