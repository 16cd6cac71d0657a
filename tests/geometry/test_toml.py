import os
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caloforge.errors import ConfigError, FileFormatError, OutputError
from caloforge.geometry import (
    Cylinder,
    Geometry,
    Layer,
    Mixture,
    PolarGrid,
    Section,
    Slab,
    Stack,
    catalogue,
    get_geometry,
    read_geometry,
    toml,
    write_geometry,
)

GRID = PolarGrid(r_edges=(0, 1), n_alpha=1)


def write(tmp_path, text):
    path = tmp_path / "toy.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", catalogue())
def test_catalogue_survives_a_round_trip(name, tmp_path):
    path = tmp_path / "copy.toml"
    write_geometry(get_geometry(name), path)
    assert read_geometry(path) == get_geometry(name)
    assert [entry.name for entry in tmp_path.iterdir()] == ["copy.toml"]


@given(
    st.text(min_size=1),
    st.text(),
    st.floats(1e-300, 1e300),
    st.text(min_size=1).filter(lambda n: n[:3] != "G4_"),
)
def test_any_text_and_number_survives(name, source, radius, mixture):
    air = Mixture(name=mixture, density=radius, fractions=(("Ar", 0.25), ("N", 0.75)))
    stack = Stack(
        outline=Cylinder(radius=radius),
        sections=(Section(slabs=(Slab(material=mixture, thickness=1),)),),
        deposits="all",
        mixtures=(air,),
    )
    built = Geometry(name=name, source=source, layers=(Layer(name=name, grid=GRID),), stack=stack)
    text = "\n".join(toml._lines(built.to_dict(), prefix=""))
    assert Geometry.from_dict(tomllib.loads(text)) == built


def test_keys_that_are_not_bare_are_quoted():
    assert tomllib.loads("\n".join(toml._lines({"a b": {'"': 1}}, prefix=""))) == {"a b": {'"': 1}}


def test_compact_form(tmp_path):
    text = """
        name = "toy"
        [[layers]]
        repeat = 3
        grid = "cartesian"
        x = { low = -1, high = 1, n = 2 }
        y_edges = [0, 1, 5]
        z = { start = 0.0, thickness = 3.4 }
    """
    built = read_geometry(str(write(tmp_path, text)))
    assert (built.n_layers, built.n_voxels, built.layers[-1].z_max) == (3, 12, 10.2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = \nsource = 3", r"toy.toml: not valid TOML: .*line 1, column 8"),
        ('name = "a"\nname = "b"\nx = 1', r"toy.toml: not valid TOML: .*line 2"),
        ("a = " + "[" * 5000, r"toy.toml: (not a geometry: nested too deeply|not valid TOML)"),
    ],
)
def test_not_toml(text, message, tmp_path):
    with pytest.raises(FileFormatError, match=message):
        read_geometry(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "toy.toml: the geometry misses the keys layers, name"),
        (
            'name = "a"\nlayers = []\nsourze = ""',
            "toy.toml: Unknown key in the geometry 'sourze'. Did you mean 'source'",
        ),
        (
            'name = "a"\n[[layers]]\ngrid = "polar"\nr_edges = "0"',
            "toy.toml: layer 0: r_edges must be a list, got '0'",
        ),
        (
            'name = "a"\n[[layers]]\ngrid = "polar"\nr_edges = [1, 0]',
            "toy.toml: r_edges must be at least two",
        ),
        ('name = "a"\nlayers = 1979-05-27', "toy.toml: layers must be a list"),
    ],
)
def test_sound_toml_but_no_calorimeter(text, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        read_geometry(write(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileFormatError, match=r"none.toml: no such file"):
        read_geometry(tmp_path / "none.toml")
    with pytest.raises(FileFormatError, match="cannot be read: Is a directory"):
        read_geometry(tmp_path)
    with pytest.raises(FileFormatError, match="cannot be read: embedded null"):
        read_geometry("a\0b.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"name = '\xff'")
    with pytest.raises(FileFormatError, match=r"not a text file in UTF-8 \(byte 8\)"):
        read_geometry(binary)
    os.truncate(binary, 20_000_000)
    with pytest.raises(FileFormatError, match="larger than 10 MB"):
        read_geometry(binary)


def test_write_to_a_missing_folder(tmp_path):
    with pytest.raises(OutputError, match="cannot be written: No such file or directory"):
        write_geometry(get_geometry("calogan"), tmp_path / "none" / "a.toml")
