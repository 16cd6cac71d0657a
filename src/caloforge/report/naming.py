"""What to call samples, from their files and from what these say about their origin."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

__all__ = ["reference_name", "sample_names"]


def reference_name(provenance: Mapping[str, Any]) -> str:
    """``"Geant4"`` where the showers say so, ``"the reference"`` otherwise."""
    return "Geant4" if _maker(provenance) == "Geant4" else "the reference"


def sample_names(samples: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Names that tell samples apart, by role: the file, its folder or the part of it, who made it, the particle.

    Args:
        samples: Entry ``samples`` of a report.

    Example:
        >>> made = {"name": "e.h5", "file": "e.h5", "provenance": {"recipe": "caloflow-small"}}
        >>> right = {"name": "e.h5", "file": "/data/e.h5", "provenance": {"generator": "geant4", "particle": "e+"}}
        >>> list(sample_names({"generated": made, "reference": right}).values())
        ['e.h5 (caloflow-small)', 'data/e.h5 (Geant4, e+)']
    """
    names = {role: sample["name"] for role, sample in samples.items()}
    names |= {role: _with_folder(samples[role]) for role in _alike(names) if samples[role]["file"]}
    names |= {
        role: f"{names[role]}[{samples[role]['start']}:{samples[role]['stop']}]" for role in _alike(names)
    }
    for role, sample in samples.items():
        known = _flat(sample["provenance"])
        said = [str(word) for word in (_maker(sample["provenance"]), known.get("particle")) if word]
        names[role] += f" ({', '.join(said)})" if said else ""
    return names


def _alike(names: Mapping[str, str]) -> list[str]:
    """Roles whose name another has, too."""
    found = list(names.values())
    return [role for role, name in names.items() if found.count(name) > 1]


def _with_folder(sample: Mapping[str, Any]) -> str:
    return "/".join(PurePath(sample["file"]).parts[-2:]).replace("//", "/")


def _flat(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of a file of somebody else's are kept apart in what we read."""
    return {**provenance, **(provenance.get("attributes") or {})}


def _maker(provenance: Mapping[str, Any]) -> str | None:
    known = _flat(provenance)
    if "geant4" in known or "geant4" in str(known.get("generator", "")).lower():
        return "Geant4"
    made = next((known[key] for key in ("recipe", "family", "generator") if known.get(key)), None)
    return None if made is None else str(made)
