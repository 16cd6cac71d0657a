"""The picture of a stack is whole, for few slabs and for many, and needs no Geant4."""

import numpy as np
import pytest
from matplotlib.image import imread

from caloforge.errors import ConfigError, OutputError
from caloforge.geometry import Box, CartesianGrid, Geometry, Layer, Section, Slab, Stack, get_geometry
from caloforge.plotting import plot_stack
from caloforge.plotting.stack import _colours, _spread

MANY = tuple(
    Slab(material=material, thickness=thickness, active=material == "G4_Si")
    for material, thickness in zip(
        ("G4_Fe", "G4_AIR", "G4_Al", "G4_Cu", "G4_KAPTON", "G4_Si", "G4_MYLAR", "G4_PLASTIC_SC_VINYLTOLUENE"),
        (16.0, 0.5, 0.2, 0.1, 0.1, 0.3, 0.01, 3.0),
        strict=True,
    )
)


def own(*sections: Section) -> Geometry:
    stack = Stack(outline=Box(width_x=9, width_y=9), sections=sections, deposits="all")
    grid = CartesianGrid(x_edges=(-1.0, 1.0), y_edges=(-1.0, 1.0))
    layers = (Layer(name="a", grid=grid), Layer(name="b", grid=grid, z_min=0.0, z_max=stack.depth / 2))
    return Geometry(name="own", layers=layers, stack=stack)


GEOMETRIES = {
    **{name: get_geometry(name) for name in ("calogan", "ild_ecal", "calochallenge_2")},
    "one slab": own(Section(slabs=MANY[:1])),
    "two sections of many": own(Section(slabs=MANY, repeat=9), Section(slabs=MANY)),
    "six sections": own(*(Section(slabs=MANY[:k], repeat=k) for k in range(1, 7))),
    "hundreds in one section": own(Section(slabs=MANY * 30)),
}


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES.keys())
def test_picture(geometry, tmp_path):
    edges = np.linspace(0, 30, len(geometry.stack.z_edges)).tolist()
    plot_stack(geometry, tmp_path / "stack.png", radiation_length_edges=edges)
    image = imread(tmp_path / "stack.png")
    assert 1300 < image.shape[1] < 1600
    assert 600 < image.shape[0] < 1100
    assert image[..., :3].std() > 0.05


def test_without_radiation_lengths(tmp_path):
    plot_stack(GEOMETRIES["calogan"], tmp_path / "stack.svg")
    assert "<svg" in (tmp_path / "stack.svg").read_text()


def test_refusals(tmp_path):
    with pytest.raises(ConfigError, match="nothing to draw"):
        plot_stack(get_geometry("calochallenge_1_pions"), tmp_path / "x.png")
    with pytest.raises(OutputError, match="no format for pictures"):
        plot_stack(GEOMETRIES["calogan"], tmp_path / "x.foo")
    assert not list(tmp_path.iterdir())


def test_materials_differ_in_colour():
    colours = _colours(GEOMETRIES["ild_ecal"].stack)
    assert len(set(colours.values())) == len(colours) == 6
    assert colours["G4_W"] == _colours(GEOMETRIES["calochallenge_2"].stack)["G4_W"]


def test_labels_do_not_overlap():
    sizes = np.array([1.0, 2.0, 1.0, 1.0])
    places = _spread(np.array([0.1, 4.8, 4.9, 5.0]), sizes, 6.0)
    assert (np.diff(places) >= (sizes[1:] + sizes[:-1]) / 2 - 1e-9).all()
    assert places[0] >= 0.5 - 1e-9
    assert places[-1] <= 5.5 + 1e-9
    assert _spread(np.array([1.0, 3.0]), np.ones(2), 6.0).tolist() == [1.0, 3.0]
