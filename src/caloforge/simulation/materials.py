"""Materials of a stack, from Geant4's own database of NIST materials."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

from caloforge.errors import ConfigError, UnknownNameError
from caloforge.geometry import Mixture, Stack
from caloforge.simulation._geant4 import import_geant4
from caloforge.simulation.ionisation import DensityEffect, min_energy_loss

__all__ = ["ElementShare", "MaterialFacts", "build_materials", "material_facts"]


@final
@dataclass(frozen=True, kw_only=True)
class ElementShare:
    """One element of a material."""

    symbol: str
    z: int
    a: float
    """Molar mass, g/mol."""
    fraction: float
    """By mass, in the material."""
    radiation_length: float
    """Of the element alone, g/cm2."""


@final
@dataclass(frozen=True, kw_only=True)
class MaterialFacts:
    """What passing particles feel of a material."""

    name: str
    density: float
    """g/cm3."""
    state: Literal["solid", "liquid", "gas"]
    """To Geant4, which takes a mixture for solid or gas by its density."""
    radiation_length: float
    """X0, mm."""
    interaction_length: float
    """Nuclear interaction length lambda, mm, by Geant4's formula 35 g/cm2 A^(1/3): a few per cent off published
    values, a tenth where there is much hydrogen."""
    mean_excitation_energy: float
    """I, eV."""
    density_effect: DensityEffect
    elements: tuple[ElementShare, ...]

    @property
    def z_over_a(self) -> float:
        """Electrons per nuclear mass, mol/g."""
        return sum(share.fraction * share.z / share.a for share in self.elements)

    @property
    def min_energy_loss(self) -> float:
        """Of a minimum-ionising particle, MeV cm2/g."""
        return min_energy_loss(
            z_over_a=self.z_over_a,
            mean_excitation_energy=self.mean_excitation_energy,
            density_effect=self.density_effect,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, units in the keys."""
        return {
            "name": self.name,
            "state": self.state,
            "density_g_cm3": self.density,
            "radiation_length_mm": self.radiation_length,
            "interaction_length_mm": self.interaction_length,
            "mean_excitation_energy_eV": self.mean_excitation_energy,
            "min_energy_loss_MeV_cm2_g": self.min_energy_loss,
            "elements": {share.symbol: share.fraction for share in self.elements},
        }


def material_facts(stack: Stack) -> dict[str, MaterialFacts]:
    """Facts on every material of a stack, in the order in which a particle meets them.

    Raises:
        MissingExtraError: The extra ``geant4`` is not installed.
        UnknownNameError: Geant4 has no material or element of a name.
    """
    g4 = import_geant4("the properties of materials")
    return {name: _facts(g4, name, material) for name, material in build_materials(g4, stack).items()}


def build_materials(g4: Any, stack: Stack) -> dict[str, Any]:
    """Geant4's material for every name in a stack, mixtures included; built once in a process.

    Args:
        g4: The module ``geant4_pybind``.
        stack: Names and mixtures.

    Raises:
        UnknownNameError: Geant4 has no material or element of a name.
    """
    mixtures = {mixture.name: mixture for mixture in stack.mixtures}
    names = dict.fromkeys(slab.material for section in stack.sections for slab in section.slabs)
    return {
        name: _mixture(g4, mixtures[name]) if name in mixtures else _nist(g4, name, "in the stack")
        for name in names
    }


def _nist(g4: Any, name: str, where: str) -> Any:
    manager = g4.G4NistManager.Instance()
    known = list(manager.GetNistMaterialNames())
    if name not in known:  # Geant4 would also find a mixture of that name
        raise UnknownNameError(f"NIST material {where} (elements by symbol: G4_Pb)", name, known)
    return manager.FindOrBuildMaterial(name)


def _mixture(g4: Any, mixture: Mixture) -> Any:
    # Geant4 keeps materials for good and by name; two stacks may have different mixtures of one name.
    unique = f"{mixture.name} {mixture.density!r} {dict(mixture.fractions)}"
    if (known := g4.G4Material.GetMaterial(unique, False)) is not None:  # noqa: FBT003 - takes no keyword
        return known
    where = f"in mixture {mixture.name!r}"
    parts = [
        (_nist(g4, part, where) if part.startswith("G4_") else _element(g4, part, where), share)
        for part, share in mixture.fractions
    ]
    material = g4.G4Material(unique, mixture.density * g4.g / g4.cm3, len(parts))
    for part, share in parts:
        if isinstance(part, g4.G4Element):
            material.AddElementByMassFraction(part, share)
        else:
            material.AddMaterial(part, share)
    return material


def _element(g4: Any, symbol: str, where: str) -> Any:
    manager = g4.G4NistManager.Instance()
    known = [name for name in manager.GetNistElementNames() if name]
    if symbol not in known:
        raise UnknownNameError(f"element {where}", symbol, known)
    return manager.FindOrBuildElement(symbol)


def _facts(g4: Any, name: str, material: Any) -> MaterialFacts:
    if (state := _STATES.get(str(material.GetState()).rpartition("State")[2])) is None:
        raise ConfigError(f"Material {name!r} is neither solid, liquid nor gas to Geant4.")
    ionisation = material.GetIonisation()
    return MaterialFacts(
        name=name,
        density=material.GetDensity() * g4.cm3 / g4.g,
        state=state,
        radiation_length=material.GetRadlen() / g4.mm,
        interaction_length=material.GetNuclearInterLength() / g4.mm,
        mean_excitation_energy=ionisation.GetMeanExcitationEnergy() / g4.eV,
        density_effect=DensityEffect(
            x0=ionisation.GetX0density(),
            x1=ionisation.GetX1density(),
            a=ionisation.GetAdensity(),
            k=ionisation.GetMdensity(),
            c_bar=ionisation.GetCdensity(),
            delta0=ionisation.GetD0density(),
        ),
        elements=_shares(g4, material),
    )


_STATES: Mapping[str, Literal["solid", "liquid", "gas"]] = {
    "Solid": "solid",
    "Liquid": "liquid",
    "Gas": "gas",
}


def _shares(g4: Any, material: Any) -> tuple[ElementShare, ...]:
    elements = [material.GetElement(k) for k in range(material.GetNumberOfElements())]
    return tuple(
        ElementShare(
            symbol=element.GetSymbol(),
            z=element.GetZasInt(),
            a=element.GetA() * g4.mole / g4.g,
            fraction=fraction,
            # Per atom and area, as Geant4's own radiation lengths of materials are made of.
            radiation_length=element.GetA() / (g4.Avogadro * element.GetfRadTsai()) * g4.cm2 / g4.g,
        )
        for element, fraction in zip(elements, material.GetFractionVector(), strict=True)
    )
