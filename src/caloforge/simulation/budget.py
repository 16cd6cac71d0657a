"""How much material a stack is: depth in radiation and interaction lengths, sampling fraction, Moliere radius."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from caloforge.errors import ConfigError
from caloforge.geometry import Geometry, Slab
from caloforge.simulation.materials import MaterialFacts, material_facts

__all__ = ["MaterialBudget", "SectionBudget", "material_budget", "moliere_radius", "why_not_simulatable"]

_SCALE_ENERGY = 21.2
"""E_s = m_e c^2 sqrt(4 pi / alpha), MeV (Review of Particle Physics, "Passage of particles through matter")."""


@final
@dataclass(frozen=True, kw_only=True)
class SectionBudget:
    """One section of a stack, all its repetitions."""

    depth: float
    """mm."""
    radiation_lengths: float
    """Depth in X0."""
    interaction_lengths: float
    """Depth in lambda."""


@final
@dataclass(frozen=True, kw_only=True)
class MaterialBudget:
    """Material along the shower axis of one geometry."""

    geometry: Geometry
    materials: Mapping[str, MaterialFacts]
    """In the order in which a particle meets them."""
    sections: tuple[SectionBudget, ...]
    mip_sampling_fraction: float | None
    """Share of a minimum-ionising particle's energy loss that falls in active slabs; ``None`` without any.

    Showers have less: in absorbers of high Z electrons and photons lose more of their energy than it says.
    """
    moliere_radius: float
    """R_M of the stack as if it were mixed, mm."""
    density: float
    """Mean over the stack, g/cm3."""

    @property
    def depth(self) -> float:
        """Extent along the shower axis, mm."""
        return math.fsum(section.depth for section in self.sections)

    @property
    def radiation_lengths(self) -> float:
        """Depth in X0."""
        return math.fsum(section.radiation_lengths for section in self.sections)

    @property
    def interaction_lengths(self) -> float:
        """Depth in lambda."""
        return math.fsum(section.interaction_lengths for section in self.sections)

    @property
    def radiation_length_edges(self) -> tuple[float, ...]:
        """Depth in X0 at each of the stack's ``z_edges``."""
        slabs = self.geometry.stack.slabs if self.geometry.stack else ()
        steps = [slab.thickness / self.materials[slab.material].radiation_length for slab in slabs]
        return tuple(np.concatenate([[0.0], np.cumsum(steps)]).tolist())

    def radiation_lengths_at(self, z: float) -> float:
        """Depth in X0 of the place ``z`` mm behind the front face."""
        edges = self.geometry.stack.z_edges if self.geometry.stack else (0.0,)
        return float(np.interp(z, edges, self.radiation_length_edges))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, units in the keys."""
        return {
            "depth_mm": self.depth,
            "radiation_lengths": self.radiation_lengths,
            "interaction_lengths": self.interaction_lengths,
            "mip_sampling_fraction": self.mip_sampling_fraction,
            "moliere_radius_mm": self.moliere_radius,
            "density_g_cm3": self.density,
            "sections": [
                {
                    "depth_mm": section.depth,
                    "radiation_lengths": section.radiation_lengths,
                    "interaction_lengths": section.interaction_lengths,
                }
                for section in self.sections
            ],
            "materials": [facts.to_dict() for facts in self.materials.values()],
        }


def why_not_simulatable(geometry: Geometry) -> str | None:
    """What a geometry lacks to be simulated; ``None`` if nothing."""
    if geometry.stack is None:
        return "no material stack"
    if missing := [layer.name for layer in geometry.layers if layer.z_min is None]:
        return f"no z for layer {', '.join(missing)}"
    return None


def material_budget(geometry: Geometry) -> MaterialBudget:
    """Add up the material of a geometry with a stack.

    Args:
        geometry: Its slabs count along the shower axis; voxels do not matter.

    Raises:
        ConfigError: The geometry has no stack.
        MissingExtraError: The extra ``geant4`` is not installed.
        UnknownNameError: Geant4 has no material or element of a name.
    """
    if (stack := geometry.stack) is None:
        raise ConfigError(f"Geometry {geometry.name!r} has no material stack.")
    facts = material_facts(stack)
    sections = tuple(
        SectionBudget(
            depth=section.depth,
            radiation_lengths=section.repeat
            * math.fsum(slab.thickness / facts[slab.material].radiation_length for slab in section.slabs),
            interaction_lengths=section.repeat
            * math.fsum(slab.thickness / facts[slab.material].interaction_length for slab in section.slabs),
        )
        for section in stack.sections
    )
    slabs = [(slab, section.repeat) for section in stack.sections for slab in section.slabs]
    masses: dict[str, float] = defaultdict(float)  # g/cm2 of each material along the axis
    for slab, repeat in slabs:
        masses[slab.material] += repeat * slab.thickness / 10 * facts[slab.material].density
    density = math.fsum(masses.values()) / (stack.depth / 10)
    return MaterialBudget(
        geometry=geometry,
        materials=facts,
        sections=sections,
        mip_sampling_fraction=_mip_sampling_fraction(slabs, facts),
        moliere_radius=moliere_radius([(facts[name], mass) for name, mass in masses.items()]) / density * 10,
        density=density,
    )


def _mip_sampling_fraction(
    slabs: Sequence[tuple[Slab, int]], facts: Mapping[str, MaterialFacts]
) -> float | None:
    losses = {name: found.min_energy_loss * found.density for name, found in facts.items()}
    active = math.fsum(n * losses[slab.material] * slab.thickness for slab, n in slabs if slab.active)
    total = math.fsum(n * losses[slab.material] * slab.thickness for slab, n in slabs)
    return active / total if active else None


def moliere_radius(masses: Sequence[tuple[MaterialFacts, float]]) -> float:
    r"""Moliere radius of materials that are mixed, g/cm2.

    .. math:: \frac{1}{R_M} = \frac{1}{E_s} \sum_j \frac{w_j E_{c,j}}{X_j}

    over the elements, with the critical energy of each, 610 MeV / (Z + 1.24) in solids and liquids and
    710 MeV / (Z + 0.92) in gases.

    Args:
        masses: Materials with their masses, in any one unit.

    References:
        Particle Data Group, Review of Particle Physics, "Passage of particles through matter",
        electromagnetic cascades.
    """
    total = math.fsum(mass for _, mass in masses)
    inverse = math.fsum(
        mass * share.fraction * _critical_energy(share.z, gas=facts.state == "gas") / share.radiation_length
        for facts, mass in masses
        for share in facts.elements
    )
    return _SCALE_ENERGY * total / inverse


def _critical_energy(z: int, *, gas: bool) -> float:
    """MeV, of electrons; fits of the Review of Particle Physics, in the figure of critical energies."""
    return 710 / (z + 0.92) if gas else 610 / (z + 1.24)
