"""Showers of real Geant4: energies, places, and that a shower depends on its seed and index alone."""

import subprocess
import sys

import numpy as np
import pytest

import caloforge
from caloforge.energies import DiscreteEnergies, Spectrum
from caloforge.evaluation import physics_difference
from caloforge.geometry import (
    Box,
    CartesianGrid,
    Cylinder,
    Geometry,
    Incidence,
    Layer,
    Mixture,
    PolarGrid,
    Section,
    Slab,
    Stack,
    get_geometry,
)
from caloforge.io.physics import Physics
from caloforge.production import run_job
from caloforge.simulation import SimulationJob
from support.geant4 import needs_geant4

pytestmark = pytest.mark.usefixtures("geant4_data")

TUNGSTEN = Slab(material="G4_W", thickness=1.75)
SILICON = Slab(material="G4_Si", thickness=0.5, active=True)


SQUARE = Box(width_x=200.0, width_y=200.0)


def stack(*, outline=SQUARE, deposits="all", repeat=30, **options):
    return Stack(
        outline=outline,
        sections=(Section(slabs=(TUNGSTEN, SILICON), repeat=repeat),),
        deposits=deposits,
        **options,
    )


def calorimeter(grid, *, n_layers=3, **options):
    whole = stack(**options)
    edges = np.linspace(0, whole.depth, n_layers + 1).round(6).tolist()
    layers = tuple(Layer(name=str(k), grid=grid, z_min=edges[k], z_max=edges[k + 1]) for k in range(n_layers))
    return Geometry(name="test_calorimeter", layers=layers, stack=whole)


def simulate(folder, geometry, *, n=4, particle="e-", e_kin=200.0, name="out", workers=1, **options):
    energies = options.pop("energies", DiscreteEnergies((e_kin,)))
    job = SimulationJob(
        geometry=geometry,
        particle=particle,
        n_showers=n,
        energies=energies,
        seed=options.pop("seed", 3),
        output=folder / f"{name}.h5",
        **options,
    )
    return caloforge.read(run_job(job, workers=workers), geometry=geometry)


CARTESIAN = CartesianGrid(
    x_edges=tuple(np.linspace(-100, 100, 21)),
    y_edges=(-100.0, -60.0, -30.0, -10.0, 0.0, 10.0, 30.0, 60.0, 100.0),
)
EQUAL_RINGS = PolarGrid(r_edges=tuple(np.linspace(0, 90, 10)), n_alpha=12)
UNEQUAL_RINGS = PolarGrid(r_edges=(5.0, 10.0, 20.0, 40.0, 90.0), n_alpha=8)
GRIDS = {"cartesian": CARTESIAN, "equal rings": EQUAL_RINGS, "unequal rings": UNEQUAL_RINGS}


@needs_geant4
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_deposits_are_in_the_voxel_they_belong_to(tmp_path, grid):
    """Electrons of low energy stop within a few mm of where they enter; the entry must lie in their voxel."""
    geometry = calorimeter(grid, n_layers=2)
    job_entries = {"incidence": Incidence(x=7.0, y=-13.0, spread=55.0)}
    showers = simulate(tmp_path, geometry, n=40, e_kin=30.0, **job_entries)
    job = SimulationJob(
        geometry=geometry,
        particle="e-",
        n_showers=40,
        energies=DiscreteEnergies((30.0,)),
        seed=3,
        output=tmp_path / "unused.h5",
        **job_entries,
    )
    entries = np.array([event.entry for event in job.events(0, 40, {})])
    assert np.ptp(entries, axis=0).min() > 60
    first = geometry.layer_voxels(showers.voxels, 0)
    for (x, y), voxels in zip(entries, first, strict=True):
        i, j = np.unravel_index(voxels.argmax(), voxels.shape)
        reach = 10.0  # mm that the brightest voxel may lie away from the entry
        if isinstance(grid, CartesianGrid):
            assert grid.x_edges[i] - reach <= x <= grid.x_edges[i + 1] + reach
            assert grid.y_edges[j] - reach <= y <= grid.y_edges[j + 1] + reach
        elif grid.r_edges[0] + reach < np.hypot(x, y) < grid.r_edges[-1] - reach:
            assert grid.r_edges[j] - reach <= np.hypot(x, y) <= grid.r_edges[j + 1] + reach
            alpha = (grid.alpha_edges[i] + grid.alpha_edges[i + 1]) / 2
            away = abs((np.arctan2(y, x) - alpha + np.pi) % (2 * np.pi) - np.pi)
            assert away <= np.pi / grid.n_alpha + reach / np.hypot(x, y)


@needs_geant4
def test_all_energy_is_kept_and_none_is_made(tmp_path):
    geometry = calorimeter(CARTESIAN, n_layers=1, repeat=60)
    ratio = simulate(tmp_path, geometry, n=10, e_kin=500.0).e_ratio
    assert ratio.max() <= 1 + 1e-6
    assert ratio.mean() > 0.93  # the rest leaves sideways and through the front


@needs_geant4
def test_rings_without_slices_and_a_hole_on_the_axis(tmp_path):
    grid = PolarGrid(r_edges=(0.0, 20.0, 90.0), n_alpha=1)
    geometry = calorimeter(grid, n_layers=1, outline=Cylinder(radius=100.0))
    showers = simulate(tmp_path, geometry, e_kin=500.0)
    assert (showers.voxels[:, 0] > showers.voxels[:, 1]).all()
    hole = calorimeter(PolarGrid(r_edges=(20.0, 90.0), n_alpha=1), n_layers=1, outline=Cylinder(radius=100.0))
    outside = simulate(tmp_path, hole, e_kin=500.0, name="hole")
    assert outside.e_dep == pytest.approx(showers.voxels[:, 1], rel=0.5)


@needs_geant4
def test_active_deposits_are_a_share_of_all_and_the_sampling_fraction_scales_them(tmp_path):
    def mean(name, **options):
        return simulate(
            tmp_path, calorimeter(CARTESIAN, **options), n=10, e_kin=500.0, name=name
        ).e_ratio.mean()

    active = mean("active", deposits="active")
    assert 0.02 < active < 0.15
    scaled = mean("scaled", deposits="active", sampling_fraction=0.05)
    assert scaled == pytest.approx(active / 0.05, rel=1e-6)  # the same random numbers, the same showers


@needs_geant4
def test_a_mixture_is_a_material(tmp_path):
    heavy = Mixture(name="Alloy", density=18.0, fractions=(("W", 0.93), ("G4_Cu", 0.07)))
    whole = Stack(
        outline=Box(width_x=200.0, width_y=200.0),
        sections=(Section(slabs=(Slab(material="Alloy", thickness=50.0),)),),
        deposits="all",
        mixtures=(heavy,),
    )
    layer = Layer(name="0", grid=CARTESIAN, z_min=0.0, z_max=50.0)
    showers = simulate(tmp_path, Geometry(name="block", layers=(layer,), stack=whole), e_kin=300.0)
    assert showers.e_ratio.mean() > 0.9


@needs_geant4
def test_oblique_showers_move_sideways_as_they_go_deeper(tmp_path):
    geometry = calorimeter(CARTESIAN)
    showers = simulate(tmp_path, geometry, n=20, e_kin=1000.0, incidence=Incidence(angle=30.0))
    x, _ = CARTESIAN.centres()
    front, back = (
        (showers.voxels[:, where] * x).sum() / showers.voxels[:, where].sum()
        for where in (geometry.layer_slices[0], geometry.layer_slices[2])
    )
    depth = geometry.stack.depth * 2 / 3
    # The energy of the first layer lies towards its back, that of the last towards its front.
    assert 0.5 < (back - front) / (depth * np.tan(np.radians(30.0))) < 1.0


@needs_geant4
def test_the_sample_does_not_depend_on_workers_or_on_what_went_before(tmp_path):
    geometry, energies = get_geometry("calogan"), Spectrum(low=200.0, high=500.0)
    options = {"n": 230, "particle": "pi+", "energies": energies}
    one = simulate(tmp_path, geometry, name="one", **options)
    three = simulate(tmp_path, geometry, name="three", workers=3, **options)
    np.testing.assert_array_equal(one.voxels, three.voxels)
    np.testing.assert_array_equal(one.e_inc, three.e_inc)
    fewer = simulate(tmp_path, geometry, name="fewer", **(options | {"n": 30}))
    np.testing.assert_array_equal(one.voxels[:30], fewer.voxels)
    other = simulate(tmp_path, geometry, name="other", seed=4, **(options | {"n": 30}))
    assert (other.voxels != fewer.voxels).any(axis=1).all()


CUT = """
import os
import sys
from caloforge.geometry import get_geometry
from caloforge.simulation._geant4 import import_geant4
from caloforge.simulation.geant4 import Event, Geant4

geant4 = Geant4(get_geometry("calogan"), particle="e-", physics=sys.argv[1], cut=float(sys.argv[2]))
list(geant4.showers([Event(index=0, e_kin=10.0, entry=(0, 0), seeds=(1, 2, 3, 4))]))
import_geant4().G4UImanager.GetUIpointer().ApplyCommand("/run/dumpCouples")
sys.stdout.flush()
os._exit(0)  # as the workers do: Geant4 and Python disagree about who takes down what
"""


@needs_geant4
@pytest.mark.parametrize("physics", ["em", "FTFP_BERT"])
@pytest.mark.parametrize(("cut", "words"), [(0.7, "700 um"), (3.0, "3 mm")])
def test_geant4_itself_says_the_production_cut_that_was_asked_for(geant4_data, physics, cut, words):
    script = [sys.executable, "-c", CUT, physics, str(cut)]
    text = subprocess.run(script, check=True, capture_output=True, text=True, env=geant4_data).stdout
    ranges = [" ".join(line.split()) for line in text.splitlines() if line.strip().startswith("Range cuts")]
    assert ranges
    assert set(ranges) == {f"Range cuts : gamma {words} e- {words} e+ {words} proton {words}"}


@needs_geant4
def test_the_production_cut_reaches_the_showers(tmp_path):
    geometry = calorimeter(CARTESIAN, deposits="active")
    fine, coarse = (
        simulate(tmp_path, geometry, n=20, e_kin=500.0, name=f"cut{cut}", production_cut=cut)
        for cut in (0.05, 10.0)
    )
    assert (fine.voxels != coarse.voxels).any()


@needs_geant4
def test_the_file_says_how_it_was_made(tmp_path):
    showers = simulate(tmp_path, get_geometry("calogan"), particle="gamma", physics="em", e_kin=50.0)
    known = showers.provenance
    assert known["generator"] == "geant4"
    assert known["geant4"].startswith("geant4-11-04")
    assert set(known["geant4_data"]["versions"]) >= {"G4EMLOW", "G4PARTICLEXS"}
    assert (known["particle"], known["physics"], known["production_cut_mm"]) == ("gamma", "em", 0.7)
    assert known["energies"] == {"values_MeV": [50.0]}
    assert 0 < known["cpu_seconds"] < 60


@needs_geant4
def test_pions_and_muons_that_only_pass_leave_what_minimum_ionising_particles_do(tmp_path):
    """A 2 GeV muon loses near the minimum everywhere; Bethe-Bloch for the stack gives the expectation."""
    from caloforge.simulation import material_budget

    geometry = calorimeter(CARTESIAN, n_layers=1)
    muons = simulate(tmp_path, geometry, particle="mu-", n=20, e_kin=2000.0)
    facts = material_budget(geometry).materials
    expected = sum(
        facts[slab.material].min_energy_loss * facts[slab.material].density * slab.thickness / 10
        for slab in geometry.stack.slabs
    )
    # 2 GeV is above the minimum (relativistic rise 10 to 25 %), and some delta rays leave.
    assert 1.0 < muons.e_dep.mean() / expected < 1.35


@needs_geant4
def test_samples_of_other_physics_are_known_by_what_simulate_wrote(tmp_path):
    """Whole files: list, cut and angle are named, one of the same settings and another seed is not."""
    geometry = calorimeter(CartesianGrid(x_edges=(-50.0, 0.0, 50.0), y_edges=(-50.0, 0.0, 50.0)))
    made = {
        "em": {"physics": "em"},
        "again": {"physics": "em", "seed": 4},
        "list": {},
        "cut": {"physics": "em", "production_cut": 0.1},
        "incidence": {"physics": "em", "incidence": Incidence(angle=20.0)},
    }
    for name, options in made.items():
        simulate(tmp_path, geometry, name=name, **options)
    files = {name: caloforge.read(tmp_path / f"{name}.h5", geometry=geometry).provenance for name in made}
    words = {"list": "physics list", "cut": "cut", "incidence": "incidence"}
    for name, provenance in files.items():
        found = physics_difference(files["em"], provenance)
        assert (found and found.names) == ((words[name],) if name in words else None)
    described = Physics.of(files["list"]).describe()
    assert described.startswith("FTFP_BERT, cut 0.7 mm, Geant4 11.4.1, ")
    assert described.endswith(", perpendicular centred")
