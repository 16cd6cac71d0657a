"""The stack cut at the borders of layers."""

import itertools

import pytest

from caloforge.errors import ConfigError
from caloforge.geometry import Box, CartesianGrid, Geometry, Layer, Section, Slab, Stack, get_geometry
from caloforge.simulation.detector import check_outline
from caloforge.simulation.plates import plates

LEAD = Slab(material="G4_Pb", thickness=2.0)
ARGON = Slab(material="G4_lAr", thickness=4.0, active=True)
GRID = CartesianGrid(x_edges=(-10.0, 0.0, 10.0), y_edges=(-10.0, 10.0))


def geometry(*spans: tuple[float, float], deposits="all", width=20.0, grid=GRID):
    stack = Stack(
        outline=Box(width_x=width, width_y=width),
        sections=(Section(slabs=(LEAD, ARGON), repeat=2),),
        deposits=deposits,
    )
    layers = tuple(Layer(name=str(k), grid=grid, z_min=a, z_max=b) for k, (a, b) in enumerate(spans))
    return Geometry(name="two_cells", layers=layers, stack=stack)


def test_plates_fill_the_stack_without_gaps():
    for name in ("calogan", "ild_ecal", "calochallenge_2", "calochallenge_3"):
        whole = get_geometry(name)
        found = plates(whole)
        assert found[0].z_min == 0
        assert found[-1].z_max == pytest.approx(whole.stack.depth)
        assert all(a.z_max == b.z_min for a, b in itertools.pairwise(found))
        for plate in found:  # no plate crosses the border of a layer
            if plate.layer is not None:
                layer = whole.layers[plate.layer]
                assert layer.z_min <= plate.z_min + 1e-6
                assert plate.z_max <= layer.z_max + 1e-6


def test_a_slab_is_cut_where_a_layer_begins():
    found = plates(geometry((0.0, 4.0), (4.0, 12.0)))
    assert [(p.material, p.z_min, p.z_max, p.layer) for p in found] == [
        ("G4_Pb", 0.0, 2.0, 0),
        ("G4_lAr", 2.0, 4.0, 0),
        ("G4_lAr", 4.0, 6.0, 1),
        ("G4_Pb", 6.0, 8.0, 1),
        ("G4_lAr", 8.0, 12.0, 1),
    ]


def test_only_active_slabs_count_where_the_stack_says_so():
    assert [p.layer for p in plates(geometry((0.0, 12.0), deposits="active"))] == [None, 0, None, 0]


def test_deposits_outside_all_layers_are_not_kept():
    assert [p.layer for p in plates(geometry((0.0, 2.0)))] == [0, None, None, None]


def test_what_cannot_be_simulated_says_why():
    with pytest.raises(ConfigError, match="no material stack"):
        plates(get_geometry("calochallenge_1_photons"))
    flat = Geometry(name="flat", layers=(Layer(name="0", grid=GRID),), stack=geometry((0.0, 2.0)).stack)
    with pytest.raises(ConfigError, match="no extent in depth"):
        plates(flat)
    with pytest.raises(ConfigError, match="reach 1 mm beyond"):
        check_outline(geometry((0.0, 2.0), width=18.0))
