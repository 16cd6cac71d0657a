"""Materials along the shower axis, as plain data: what a simulation needs and the voxels do not show.

The stack starts at z = 0, the front face of the calorimeter, and is centred on the shower axis.
"""

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

from caloforge.errors import ConfigError, UnknownNameError
from caloforge.geometry.plain import check_keys, flag, integer, number, sequence, table, text

__all__ = ["Box", "Cylinder", "Mixture", "Section", "Slab", "Stack"]

MAX_REPEAT = 10_000
_THINNEST = 1e-5  # mm
_ELEMENT = re.compile(r"[A-Z][a-z]?")


def _positive(value: object, where: str, unit: str) -> float:
    found = number(value, where)
    if found <= 0:
        raise ConfigError(f"{where} must be positive, got {found:g} {unit}.")
    return found


@final
@dataclass(frozen=True, kw_only=True)
class Slab:
    """One plate of one material, perpendicular to the shower axis."""

    material: str
    """A NIST name of Geant4 (``"G4_Pb"``) or the name of a mixture of the stack."""
    thickness: float
    """Along the shower axis, mm."""
    active: bool = False
    """Whether deposits here are read out; matters where only active material counts."""

    def __post_init__(self) -> None:
        text(self.material, "Slab: material")
        thickness = _positive(self.thickness, f"Slab of {self.material}: thickness", "mm")
        if thickness < _THINNEST:
            raise ConfigError(
                f"Slab of {self.material}: thickness {thickness:g} mm is below {_THINNEST:g} mm, the least that can "
                "be simulated."
            )
        object.__setattr__(self, "thickness", thickness)
        flag(self.active, f"Slab of {self.material}: active")


@final
@dataclass(frozen=True, kw_only=True)
class Section:
    """Slabs in order from the front, the whole of them ``repeat`` times."""

    slabs: tuple[Slab, ...]
    repeat: int = 1

    def __post_init__(self) -> None:
        if not self.slabs:
            raise ConfigError("A section of the stack has no slabs.")
        integer(self.repeat, "Section: repeat", low=1, high=MAX_REPEAT)

    @property
    def depth(self) -> float:
        """Extent along the shower axis, mm."""
        return self.repeat * math.fsum(slab.thickness for slab in self.slabs)


@final
@dataclass(frozen=True, kw_only=True)
class Mixture:
    """A material that NIST does not list, or at another density."""

    name: str
    density: float
    """g/cm3."""
    fractions: tuple[tuple[str, float], ...]
    """Mass fraction of each element (``"Cu"``) or NIST material (``"G4_AIR"``); the sum is 1."""

    def __post_init__(self) -> None:
        if text(self.name, "Mixture: name").startswith("G4_"):
            raise ConfigError(
                f"Mixture {self.name!r}: names that start with G4_ belong to NIST; choose another."
            )
        where = f"Mixture {self.name!r}"
        object.__setattr__(self, "density", _positive(self.density, f"{where}: density", "g/cm3"))
        parts = tuple(
            (part, _positive(share, f"{where}: fraction of {part}", "")) for part, share in self.fractions
        )
        object.__setattr__(self, "fractions", parts)
        for part, _ in parts:
            if not (part.startswith("G4_") or _ELEMENT.fullmatch(part)):
                raise ConfigError(
                    f"{where}: {part!r} is neither an element such as 'Cu' nor a NIST name G4_..."
                )
        total = math.fsum(share for _, share in parts)
        if abs(total - 1) > 1e-6:
            raise ConfigError(f"{where}: mass fractions must add up to 1, got {total:.8g}.")


@final
@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangular outline across the shower axis."""

    kind: ClassVar[Literal["box"]] = "box"
    width_x: float
    """Full width, mm."""
    width_y: float
    """Full width, mm."""

    def __post_init__(self) -> None:
        for name in ("width_x", "width_y"):
            object.__setattr__(self, name, _positive(getattr(self, name), f"Box: {name}", "mm"))


@final
@dataclass(frozen=True, kw_only=True)
class Cylinder:
    """A round outline; the shower axis is the axis of the cylinder."""

    kind: ClassVar[Literal["cylinder"]] = "cylinder"
    radius: float
    """mm."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", _positive(self.radius, "Cylinder: radius", "mm"))


Outline = Box | Cylinder


@final
@dataclass(frozen=True, kw_only=True)
class Stack:
    """Sections of slabs behind each other, all with one outline.

    Example:
        >>> lead = Slab(material="G4_Pb", thickness=2.0)
        >>> argon = Slab(material="G4_lAr", thickness=4.0, active=True)
        >>> stack = Stack(
        ...     outline=Box(width_x=480.0, width_y=480.0),
        ...     sections=(Section(slabs=(lead, argon), repeat=80),),
        ...     deposits="all",
        ... )
        >>> stack.depth
        480.0
    """

    outline: Outline
    sections: tuple[Section, ...]
    deposits: Literal["all", "active"]
    """Which deposits the voxels hold: those in all materials, or in active slabs only."""
    sampling_fraction: float = 1.0
    """Deposits are divided by it when they are put into voxels; 1 leaves them as they are."""
    mixtures: tuple[Mixture, ...] = ()

    def __post_init__(self) -> None:
        if not self.sections:
            raise ConfigError("The stack has no sections.")
        if self.deposits not in ("all", "active"):
            raise UnknownNameError("stack deposits", str(self.deposits), ("all", "active"))
        fraction = _positive(self.sampling_fraction, "Stack: sampling_fraction", "")
        if fraction > 1:
            raise ConfigError(f"Stack: sampling_fraction must not exceed 1, got {fraction:g}.")
        object.__setattr__(self, "sampling_fraction", fraction)
        names = [mixture.name for mixture in self.mixtures]
        if len(set(names)) != len(names):
            raise ConfigError(f"Stack: mixtures must have different names, got {names}.")
        kinds = [slab for section in self.sections for slab in section.slabs]
        for slab in kinds:
            if not slab.material.startswith("G4_") and slab.material not in names:
                raise UnknownNameError("material (neither G4_... nor a mixture)", slab.material, names)
        if self.deposits == "active" and not any(slab.active for slab in kinds):
            raise ConfigError("Stack: only deposits in active slabs count, but no slab is active.")

    @property
    def depth(self) -> float:
        """Extent along the shower axis, mm."""
        return math.fsum(section.depth for section in self.sections)

    @property
    def slabs(self) -> tuple[Slab, ...]:
        """All slabs from front to back, repetitions written out."""
        return tuple(slab for section in self.sections for slab in section.slabs * section.repeat)

    @property
    def z_edges(self) -> tuple[float, ...]:
        """Front of the first slab (0), the boundaries, back of the last, mm; one more than ``slabs``."""
        edges = itertools.accumulate((slab.thickness for slab in self.slabs), initial=0.0)
        return tuple(round(edge, 6) for edge in edges)  # to a nanometre, so that sums do not drift

    def to_dict(self) -> dict[str, Any]:
        """Plain data (JSON and TOML types only); :meth:`from_dict` gives it back."""
        data: dict[str, Any] = {"shape": self.outline.kind}
        if isinstance(self.outline, Box):
            data["width"] = [self.outline.width_x, self.outline.width_y]
        else:
            data["radius"] = self.outline.radius
        data |= {"deposits": self.deposits, "sampling_fraction": self.sampling_fraction}
        if self.mixtures:
            data["mixtures"] = [
                {"name": m.name, "density": m.density, "fractions": dict(m.fractions)} for m in self.mixtures
            ]
        data["sections"] = [
            {
                "repeat": section.repeat,
                "slabs": [
                    {"material": slab.material, "thickness": slab.thickness, "active": slab.active}
                    for slab in section.slabs
                ],
            }
            for section in self.sections
        ]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Stack":
        """Build from plain data; unknown and missing keys raise.

        Raises:
            ConfigError: A key is missing, or a value has the wrong type or makes no sense.
            UnknownNameError: A key or a name is not known.
        """
        data = table(data, "stack")
        outline, keys = _outline_from_dict(data)
        allowed = {"shape", "deposits", "sampling_fraction", "mixtures", "sections"} | keys
        check_keys(data, "stack", allowed=allowed, required={"deposits", "sections"})
        mixtures = sequence(data.get("mixtures", []), "stack: mixtures")
        sections = sequence(data["sections"], "stack: sections")
        return cls(
            outline=outline,
            deposits=data["deposits"],
            sampling_fraction=number(data.get("sampling_fraction", 1.0), "stack: sampling_fraction"),
            mixtures=tuple(
                _mixture_from_dict(item, f"mixture {k} of the stack") for k, item in enumerate(mixtures)
            ),
            sections=tuple(
                _section_from_dict(item, f"section {k} of the stack") for k, item in enumerate(sections)
            ),
        )


def _outline_from_dict(data: Mapping[str, Any]) -> tuple[Outline, set[str]]:
    match data.get("shape"):
        case "box":
            check_keys(data, "stack", allowed=data, required={"width"})
            x, y = sequence(data["width"], "stack: width", length=2)
            return Box(width_x=x, width_y=y), {"width"}
        case "cylinder":
            check_keys(data, "stack", allowed=data, required={"radius"})
            return Cylinder(radius=data["radius"]), {"radius"}
        case None:
            raise ConfigError("stack misses the key shape ('box' or 'cylinder').")
        case other:
            raise UnknownNameError("stack shape", str(other), ("box", "cylinder"))


def _mixture_from_dict(item: object, where: str) -> Mixture:
    data = table(item, where)
    keys = {"name", "density", "fractions"}
    check_keys(data, where, allowed=keys, required=keys)
    fractions = table(data["fractions"], f"{where}: fractions")
    return Mixture(name=data["name"], density=data["density"], fractions=tuple(fractions.items()))


def _section_from_dict(item: object, where: str) -> Section:
    data = table(item, where)
    check_keys(data, where, allowed={"repeat", "slabs"}, required={"slabs"})
    slabs = []
    for index, entry in enumerate(sequence(data["slabs"], f"{where}: slabs")):
        slab = table(entry, f"slab {index} of {where}")
        keys = {"material", "thickness"}
        check_keys(slab, f"slab {index} of {where}", allowed=keys | {"active"}, required=keys)
        slabs.append(Slab(**slab))
    return Section(slabs=tuple(slabs), repeat=data.get("repeat", 1))
