"""Geant4's materials against the tables of the Review of Particle Physics."""

import os
import subprocess
import sys

import pytest

from caloforge.errors import ConfigError, UnknownNameError
from caloforge.geometry import (
    Box,
    CartesianGrid,
    Geometry,
    Layer,
    Mixture,
    Section,
    Slab,
    Stack,
    get_geometry,
)
from caloforge.simulation import material_budget
from caloforge.simulation.budget import moliere_radius
from caloforge.simulation.materials import material_facts
from support.geant4 import needs_geant4

# pdg.lbl.gov/AtomicNuclearProperties, 2024: X0 [mm], lambda [mm], R_M [mm], minimum dE/dx [MeV cm2/g], I [eV].
# Geant4's lambda is 35 g/cm2 A^(1/3), which is a few per cent off, and the critical energies of R_M are a fit.
TABLE = {
    "G4_Pb": (5.612, 175.9, 16.02, 1.122, 823.0),
    "G4_W": (3.504, 99.46, 9.327, 1.145, 727.0),
    "G4_Si": (93.70, 465.2, 49.44, 1.664, 173.0),
    "G4_lAr": (140.0, 857.7, 90.43, 1.508, 188.0),
    "G4_Cu": (14.36, 153.2, 15.68, 1.403, 322.0),
}


def stack_of(*slabs: Slab, repeat: int = 1, mixtures: tuple[Mixture, ...] = ()) -> Stack:
    return Stack(
        outline=Box(width_x=10.0, width_y=10.0),
        sections=(Section(slabs=slabs, repeat=repeat),),
        deposits="all",
        mixtures=mixtures,
    )


def geometry_of(stack: Stack | None) -> Geometry:
    grid = CartesianGrid(x_edges=(-1.0, 1.0), y_edges=(-1.0, 1.0))
    return Geometry(name="toy", layers=(Layer(name="0", grid=grid, z_min=0.0, z_max=1.0),), stack=stack)


def facts_of(name: str, *mixtures: Mixture):
    return material_facts(stack_of(Slab(material=name, thickness=1.0), mixtures=mixtures))[name]


@needs_geant4
@pytest.mark.parametrize("name", TABLE)
def test_published_values(name):
    x0, interaction_length, radius, loss, energy = TABLE[name]
    facts = facts_of(name)
    assert facts.radiation_length == pytest.approx(x0, rel=5e-3)
    assert facts.interaction_length == pytest.approx(interaction_length, rel=0.05)
    assert moliere_radius([(facts, 1.0)]) / facts.density * 10 == pytest.approx(radius, rel=0.05)
    assert facts.min_energy_loss == pytest.approx(loss, rel=0.01)
    assert facts.mean_excitation_energy == pytest.approx(energy, rel=0.01)
    assert sum(share.fraction for share in facts.elements) == pytest.approx(1)


@needs_geant4
@pytest.mark.parametrize("name", ["G4_Pb", "G4_W"])
def test_moliere_radius_of_absorbers(name):
    facts = facts_of(name)
    found = moliere_radius([(facts, 1.0)]) / facts.density * 10
    assert found == pytest.approx(TABLE[name][2], rel=0.03)


@needs_geant4
@pytest.mark.parametrize(
    ("name", "x0", "loss"), [("G4_POLYSTYRENE", 413.1, 1.936), ("G4_PbWO4", 8.904, 1.229)]
)
def test_published_values_of_compounds(name, x0, loss):
    facts = facts_of(name)
    assert facts.radiation_length == pytest.approx(x0, rel=5e-3)
    assert facts.min_energy_loss == pytest.approx(loss, rel=0.02)  # I by Bragg's rule where NIST has none


@needs_geant4
def test_radiation_lengths_of_elements_make_those_of_compounds():
    facts = facts_of("G4_PbWO4")
    inverse = sum(share.fraction / share.radiation_length for share in facts.elements)  # cm2/g
    assert 10 / (inverse * facts.density) == pytest.approx(facts.radiation_length, rel=1e-6)


@needs_geant4
def test_mixtures():
    argon = Mixture(name="Cold", density=1.390, fractions=(("Ar", 1.0),))
    facts, pure = facts_of("Cold", argon), facts_of("G4_lAr")
    assert facts.name == "Cold"
    assert facts.density == pytest.approx(1.390)
    assert facts.radiation_length == pytest.approx(pure.radiation_length * pure.density / 1.390, rel=1e-6)
    # Another mixture of that name, in the same process.
    air = Mixture(name="Cold", density=0.002, fractions=(("G4_AIR", 0.5), ("N", 0.5)))
    facts = facts_of("Cold", air)
    assert facts.state == "gas"
    symbols = [share.symbol for share in facts.elements]
    assert sorted(symbols) == ["Ar", "C", "N", "O"]
    nitrogen = facts.elements[symbols.index("N")]
    assert nitrogen.fraction == pytest.approx(0.5 + 0.5 * 0.7553, abs=1e-3)
    assert nitrogen.z == 7
    assert nitrogen.a == pytest.approx(14.007, abs=1e-3)


@needs_geant4
@pytest.mark.parametrize(
    ("slab", "fractions", "words"),
    [
        ("G4_PLASTIC_SC", {}, "'G4_PLASTIC_SC'. Did you mean 'G4_PLASTIC_SC_VINYLTOLUENE'"),
        ("G4_PB", {}, "'G4_Pb'"),
        ("Mine", {"G4_AIRR": 1.0}, "in mixture 'Mine' (elements by symbol: G4_Pb) 'G4_AIRR'"),
        ("Mine", {"Xx": 1.0}, "element in mixture 'Mine' 'Xx'"),
    ],
)
def test_unknown_names(slab, fractions, words):
    mixtures = [Mixture(name="Mine", density=1.0, fractions=tuple(fractions.items()))] if fractions else []
    with pytest.raises(UnknownNameError) as raised:
        facts_of(slab, *mixtures)
    assert words in str(raised.value)
    assert len(str(raised.value)) < 700


@needs_geant4
def test_budget_adds_up():
    lead, argon = facts_of("G4_Pb"), facts_of("G4_lAr")
    slabs = (
        Slab(material="G4_Pb", thickness=2.0),
        Slab(material="G4_lAr", thickness=4.0, active=True),
    )
    budget = material_budget(geometry_of(stack_of(*slabs, repeat=10)))
    assert budget.depth == 60
    assert budget.radiation_lengths == pytest.approx(10 * (2 / 5.6125 + 4 / argon.radiation_length), rel=1e-4)
    one = 2 / lead.interaction_length + 4 / argon.interaction_length
    assert budget.interaction_lengths == pytest.approx(10 * one)
    assert budget.density == pytest.approx((2 * 11.35 + 4 * 1.396) / 6)
    in_lead, in_argon = 2 * 11.35 * 1.122, 4 * 1.396 * 1.508
    assert budget.mip_sampling_fraction == pytest.approx(in_argon / (in_lead + in_argon), rel=5e-3)
    # w_j by hand: mass of lead and of argon; E_c and X0 from the review's formulas and table.
    inverse = (22.7 * 610 / 83.24 / 6.37 + 5.584 * 610 / 19.24 / 19.55) / 28.284 / 21.2
    assert budget.moliere_radius == pytest.approx(10 / inverse / budget.density, rel=5e-3)
    assert len(budget.radiation_length_edges) == 21
    assert budget.radiation_lengths_at(60.0) == pytest.approx(budget.radiation_lengths)
    assert budget.radiation_lengths_at(7.0) == pytest.approx(
        budget.radiation_lengths / 10 + 1 / 5.6125, rel=1e-4
    )


@needs_geant4
def test_one_material_thickness_does_not_matter():
    whole = material_budget(geometry_of(stack_of(Slab(material="G4_W", thickness=30.0, active=True))))
    cut = material_budget(geometry_of(stack_of(Slab(material="G4_W", thickness=1.0), repeat=30)))
    assert whole.mip_sampling_fraction == 1
    assert cut.mip_sampling_fraction is None
    assert whole.moliere_radius == pytest.approx(cut.moliere_radius)
    assert whole.radiation_lengths == pytest.approx(cut.radiation_lengths)


@needs_geant4
def test_gas_has_its_own_critical_energy():
    air = facts_of("G4_AIR")
    assert air.state == "gas"
    assert moliere_radius([(air, 2.0)]) == pytest.approx(
        21.2 / sum(s.fraction * 710 / (s.z + 0.92) / s.radiation_length for s in air.elements)
    )


@needs_geant4
@pytest.mark.parametrize(
    ("name", "x0", "fraction", "radius"),
    [
        ("calogan", 30.8, 0.2475, 36.2),
        ("ild_ecal", 26.5, 0.0245, 16.1),
        ("calochallenge_2", 36.2, 0.0362, 10.7),
        ("calochallenge_3", 36.2, 0.0362, 10.7),
    ],
)
def test_catalogue(name, x0, fraction, radius):
    budget = material_budget(get_geometry(name))
    assert budget.radiation_lengths == pytest.approx(x0, abs=0.1)
    assert budget.mip_sampling_fraction == pytest.approx(fraction, abs=1e-4)
    assert budget.moliere_radius == pytest.approx(radius, abs=0.1)


def test_no_stack():
    with pytest.raises(ConfigError, match="'toy' has no material stack"):
        material_budget(geometry_of(None))


@needs_geant4
def test_geant4_prints_nothing(tmp_path):
    """Not even where two mixtures have one name, or for names that do not exist."""
    code = (
        "from caloforge.geometry import get_geometry\n"
        "from caloforge.simulation import material_budget\n"
        "for name in ('calogan', 'ild_ecal', 'calogan'):\n"
        "    material_budget(get_geometry(name))"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("G4", "GEANT4"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
