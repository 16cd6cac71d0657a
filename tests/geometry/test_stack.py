import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caloforge.errors import ConfigError, UnknownNameError
from caloforge.geometry import Box, Cylinder, Mixture, Section, Slab, Stack

LEAD = Slab(material="G4_Pb", thickness=2.0)
SILICON = Slab(material="G4_Si", thickness=0.3, active=True)
BOX = Box(width_x=480, width_y=240)
AIR = Mixture(name="ThinAir", density=1e-3, fractions=(("G4_AIR", 0.9), ("Ar", 0.1)))


def stack(**changes):
    fields = {"outline": BOX, "sections": (Section(slabs=(LEAD, SILICON), repeat=3),), "deposits": "active"}
    return Stack(**(fields | changes))


def plain(**changes):
    data = {
        "shape": "box",
        "width": [480, 240],
        "deposits": "all",
        "sections": [{"repeat": 2, "slabs": [{"material": "G4_Pb", "thickness": 2}]}],
    }
    return {key: value for key, value in (data | changes).items() if value is not None}


def test_depth_slabs_and_edges():
    built = stack()
    assert built.depth == pytest.approx(6.9)
    assert built.slabs == (LEAD, SILICON) * 3
    assert built.z_edges == (0.0, 2.0, 2.3, 4.3, 4.6, 6.6, 6.9)
    assert Section(slabs=(LEAD,), repeat=80).depth == 160


thicknesses = st.floats(1e-3, 100)
slabs = st.builds(
    Slab, material=st.sampled_from(["G4_W", "G4_Si", "ThinAir"]), thickness=thicknesses, active=st.booleans()
)
sections = st.builds(
    Section, slabs=st.lists(slabs, min_size=1, max_size=4).map(tuple), repeat=st.integers(1, 5)
)
stacks = st.builds(
    Stack,
    outline=st.one_of(
        st.builds(Box, width_x=thicknesses, width_y=thicknesses), st.builds(Cylinder, radius=thicknesses)
    ),
    sections=st.lists(sections, min_size=1, max_size=3).map(tuple),
    deposits=st.just("all"),
    sampling_fraction=st.floats(1e-3, 1),
    mixtures=st.just((AIR,)),
)


@given(stacks)
def test_round_trip(built):
    assert Stack.from_dict(built.to_dict()) == built
    assert hash(built) == hash(Stack.from_dict(built.to_dict()))
    assert len(built.z_edges) == len(built.slabs) + 1
    assert built.z_edges[-1] == pytest.approx(built.depth, abs=1e-5)


@pytest.mark.parametrize("thickness", [0, -1.0, math.nan, math.inf, "2", None, True])
def test_bad_thickness(thickness):
    with pytest.raises(ConfigError, match="Slab of G4_Pb: thickness"):
        Slab(material="G4_Pb", thickness=thickness)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Slab(material="", thickness=1), "material must be a text"),
        (lambda: Slab(material="G4_Pb", thickness=1, active="yes"), "active must be true or false"),
        (lambda: Section(slabs=()), "no slabs"),
        (lambda: Section(slabs=(LEAD,), repeat=0), "repeat must be a whole number"),
        (lambda: Section(slabs=(LEAD,), repeat=10**9), "repeat must be a whole number"),
        (lambda: Box(width_x=0, width_y=1), "Box: width_x must be positive"),
        (lambda: Cylinder(radius=-1), "Cylinder: radius must be positive"),
        (lambda: Mixture(name="G4_x", density=1, fractions=(("Ar", 1),)), "belong to NIST"),
        (lambda: Mixture(name="x", density=0, fractions=(("Ar", 1),)), "density must be positive"),
        (lambda: Mixture(name="x", density=1, fractions=(("Ar", 0.5),)), "add up to 1, got 0.5"),
        (lambda: Mixture(name="x", density=1, fractions=()), "add up to 1, got 0"),
        (
            lambda: Mixture(name="x", density=1, fractions=(("Ar", 2), ("H", -1))),
            "fraction of H must be positive",
        ),
        (lambda: Mixture(name="x", density=1, fractions=(("argon", 1),)), "neither an element"),
        (lambda: stack(sections=()), "no sections"),
        (lambda: stack(sections=(Section(slabs=(LEAD,)),)), "no slab is active"),
        (lambda: stack(sampling_fraction=0), "sampling_fraction must be positive"),
        (lambda: stack(sampling_fraction=33), "must not exceed 1"),
        (lambda: stack(mixtures=(AIR, AIR)), "different names"),
    ],
)
def test_nonsense(build, message):
    with pytest.raises(ConfigError, match=message):
        build()


def test_unknown_names():
    with pytest.raises(UnknownNameError, match=r"material .*'Thinair'. Did you mean 'ThinAir'"):
        stack(
            sections=(Section(slabs=(Slab(material="Thinair", thickness=1),)),),
            deposits="all",
            mixtures=(AIR,),
        )
    with pytest.raises(UnknownNameError, match=r"stack deposits 'some'.*Known: active, all"):
        stack(deposits="some")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"shape": None}, ConfigError, "misses the key shape"),
        ({"shape": "cone"}, UnknownNameError, "stack shape 'cone'"),
        ({"shape": ["box"]}, UnknownNameError, "stack shape"),
        ({"width": None}, ConfigError, "misses the key width"),
        ({"width": 480}, ConfigError, "width must be a list of 2"),
        ({"shape": "cylinder"}, ConfigError, "misses the key radius"),
        ({"radius": 3}, UnknownNameError, "key in stack 'radius'"),
        ({"sections": None}, ConfigError, "misses the key sections"),
        ({"deposits": None}, ConfigError, "misses the key deposits"),
        ({"deposits": ["all"]}, UnknownNameError, "stack deposits"),
        ({"sections": 3}, ConfigError, "sections must be a list"),
        ({"sections": [3]}, ConfigError, "section 0 of the stack must be a table"),
        ({"sections": [{}]}, ConfigError, "section 0 of the stack misses the key slabs"),
        ({"sections": [{"slabs": [3]}]}, ConfigError, "slab 0 of section 0 of the stack must be a table"),
        (
            {"sections": [{"slabs": [{"material": "G4_W"}]}]},
            ConfigError,
            "slab 0 .* misses the key thickness",
        ),
        (
            {"sections": [{"slabs": [{"material": "G4_W", "thicknes_": 1}]}]},
            UnknownNameError,
            "key in slab 0 of section 0 of the stack 'thicknes_'. Did you mean 'thickness'",
        ),
        ({"sections": [{"slabs": [{"material": "G4_W", "thickness": "1 mm"}]}]}, ConfigError, "got '1 mm'"),
        ({"sections": [{"slabs": [], "repeat": 2}]}, ConfigError, "no slabs"),
        (
            {"mixtures": [{"name": "x"}]},
            ConfigError,
            "mixture 0 of the stack misses the keys density, fractions",
        ),
        (
            {"mixtures": [{"name": "x", "density": 1, "fractions": ["Ar"]}]},
            ConfigError,
            "fractions must be a table",
        ),
        (
            {"mixtures": [{"name": 3, "density": 1, "fractions": {}}]},
            ConfigError,
            "Mixture: name must be a text",
        ),
        ({"sampling_fraction": "x"}, ConfigError, "sampling_fraction must be a finite number"),
    ],
)
def test_bad_plain_data(changes, error, message):
    with pytest.raises(error, match=message):
        Stack.from_dict(plain(**changes))


def test_not_a_table():
    with pytest.raises(ConfigError, match="stack must be a table"):
        Stack.from_dict([])
