"""What is wrong with a file is said with its name, the dataset, numbers, and what to do."""

import gzip
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

from caloforge.errors import (
    FileFormatError,
    GeometryMismatchError,
    ImplausibleEnergyWarning,
    UnknownNameError,
    ValueRangeError,
)
from caloforge.geometry import get_geometry
from caloforge.io import detect_layout, file_info, read, read_chunks, write


@pytest.fixture
def path(tmp_path, make_showers) -> Path:
    """A good file in the CaloGAN layout without our attribute, for a test to break."""
    path = tmp_path / "showers.h5"
    write(make_showers(get_geometry("calogan"), 20), path, layout="calogan")
    with h5py.File(path, "r+") as f:
        del f.attrs["caloforge"]
    return path


def expect(path: Path, match: str, **options) -> None:
    for reader in (read, file_info, lambda p, **o: list(read_chunks(p, **o))):
        with pytest.raises(FileFormatError, match=match) as caught:
            reader(path, **options)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


def test_a_missing_file_names_its_neighbour(path):
    expect(path.with_name("shower.h5"), r"no such file. Did you mean '.*showers.h5'\?")
    expect(path.parent / "nowhere" / "a.h5", "no such file")
    expect(path.parent, "is a folder")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is empty"),
        (b"hello", r"is not HDF5\.$"),
        (gzip.compress(b"x", mtime=0), "gzip-compressed; unpack"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html>", "download probably failed"),
        (b"PK\x03\x04", "npz"),
    ],
)
def test_no_hdf5(tmp_path, content, match):
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    expect(path, match)
    with pytest.raises(FileFormatError, match=match):
        detect_layout(path)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.99])
def test_truncated(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    expect(path, "truncated")


def test_damaged_data(path):
    with h5py.File(path) as f:
        where = f["layer_1"].id.get_chunk_info(0).byte_offset
    data = bytearray(path.read_bytes())
    data[where + 50 : where + 90] = bytes(40)
    path.write_bytes(data)
    expect(path, "dataset 'layer_1' cannot be read: its compressed data are damaged")


def test_every_flipped_byte_of_the_headers_is_read_or_refused(path):
    """Whatever is damaged, nothing but our errors comes out."""
    data = path.read_bytes()
    for where in range(0, 4000, 7):
        broken = bytearray(data)
        broken[where] ^= 0x5A
        path.write_bytes(broken)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ImplausibleEnergyWarning)
            try:
                read(path)
            except (FileFormatError, GeometryMismatchError):
                continue


def test_something_else_lists_what_it_holds_and_what_is_known(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as f:
        f["weights"] = np.zeros(3)
        f.create_group("optimizer")
    expect(path, "holds 'optimizer', 'weights'. Known are calochallenge: 'incident_energies'.*calogan:.*ild:")
    with h5py.File(path, "w"):
        pass
    expect(path, "it holds nothing")


def test_two_layouts_at_once(path):
    with h5py.File(path, "r+") as f:
        f["showers"] = np.zeros((20, 504))
    expect(path, "looks like layout calochallenge and calogan; name the one")
    assert len(read(path, layout="calogan")) == 20


def test_a_missing_dataset(path):
    with h5py.File(path, "r+") as f:
        del f["energy"]
    expect(path, "dataset 'energy' is missing. Layout calogan has", geometry="calogan")
    expect(path, r"'layer_0' \(20, 3, 96\).* fits no geometry")


def test_the_wrong_layout(path):
    expect(path, "dataset 'incident_energies' is missing", layout="calochallenge", geometry="calogan")
    with pytest.raises(UnknownNameError):
        read(path, layout="root")
    with pytest.raises(UnknownNameError):
        read(path, geometry="calogann")


def test_wrong_number_of_voxels(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as f:
        f["incident_energies"], f["showers"] = np.ones((4, 1)), np.ones((4, 368))
    message = r"'showers' has shape \(4, 368\), expected \(n, 533\).*fits calochallenge_1_photons"
    expect(path, message, geometry="calochallenge_1_pions")
    with h5py.File(path, "r+") as f:
        del f["showers"]
        f["showers"] = np.ones((4, 367))
    expect(path, r"'showers' \(4, 367\) fits no geometry of the catalogue \(.*calogan.*TOML")
    with h5py.File(path, "r+") as f:
        del f["showers"]
        f["showers"] = 3.0
    expect(path, r"has shape \(\)", geometry="calogan")


def test_a_layer_too_many_is_not_dropped(path):
    with h5py.File(path, "r+") as f:
        f["layer_3"] = np.ones((20, 2, 2))
    expect(path, "fits no geometry")
    expect(path, "holds 'layer_3', which geometry 'calogan'", geometry="calogan")


def test_unequal_lengths(path):
    with h5py.File(path, "r+") as f:
        f["layer_2"].resize(19, axis=0)
    expect(path, "different numbers of showers: 'energy' 20, 'layer_0' 20, 'layer_1' 20, 'layer_2' 19")


@pytest.mark.parametrize(
    "values",
    [
        np.array([["a"] * 1] * 20, dtype="S1"),
        np.ones((20, 1), dtype=bool),
        np.ones((20, 1), dtype=complex),
        np.ones((20, 1), dtype=[("e", "f4")]),
    ],
)
def test_energies_that_are_no_numbers(path, values):
    with h5py.File(path, "r+") as f:
        del f["energy"]
        f["energy"] = values
    expect(path, "dataset 'energy' has dtype .*, expected numbers")


def test_object_and_variable_length_types(path):
    with h5py.File(path, "r+") as f:
        del f["energy"]
        f.create_dataset("energy", (20, 1), dtype=h5py.vlen_dtype(np.float32))
    expect(path, "dataset 'energy' has dtype object")
    with h5py.File(path, "r+") as f:
        del f["energy"]
        f.create_group("energy")
    expect(path, "'energy' is a group, expected a dataset")


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_bad_voxels_are_counted(path, value):
    with h5py.File(path, "r+") as f:
        f["layer_1"][7, 2, 3] = f["layer_1"][12, 0, 0] = f["layer_1"][12, 0, 1] = value
    expect(path, rf"'layer_1' must be finite and not negative; 3 of 2880 .* in shower 7: {value}")
    assert len(read(path, stop=7)) == 7  # the showers before are good


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 0.0])
def test_bad_energies_are_counted(path, value):
    with h5py.File(path, "r+") as f:
        f["energy"][5:7] = value
    expect(path, rf"'energy' must be finite and positive; 2 of 20 values are not, first in shower 5: {value}")


@pytest.mark.parametrize("layout", ["calochallenge", "calogan", "ild"])
def test_links_to_other_files_are_not_followed(path, tmp_path, make_showers, cube, layout):
    other = tmp_path / "other.h5"
    write(make_showers(cube), other, layout=layout)
    names = {"calochallenge": "showers", "calogan": "layer_0", "ild": "4x4"}
    with h5py.File(other, "r+") as f, h5py.File(tmp_path / "outer.h5", "w") as g:
        f.copy(names[layout], g)
        del f[names[layout]]
        f[names[layout]] = h5py.ExternalLink("outer.h5", names[layout])
    expect(other, r"links to another file \(outer.h5\)")
    with h5py.File(other, "r+") as f:  # a soft link onto the external one
        f.move(names[layout], "away")
        f[names[layout]] = h5py.SoftLink("/away")
    expect(other, "links to another file")


def test_external_and_virtual_storage_is_not_followed(path, tmp_path):
    (tmp_path / "raw.bin").write_bytes(np.full(20, 5.0).tobytes())
    with h5py.File(path, "r+") as f:
        del f["energy"]
        f.create_dataset("energy", (20, 1), "f8", external=[("raw.bin", 0, 160)])
    expect(path, "'energy' takes its data from other files")
    with h5py.File(tmp_path / "outer.h5", "w") as f:
        f["energy"] = np.full((20, 1), 5.0)
    source = h5py.VirtualLayout(shape=(20, 1), dtype="f8")
    source[...] = h5py.VirtualSource(tmp_path / "outer.h5", "energy", shape=(20, 1))
    with h5py.File(path, "r+") as f:
        del f["energy"]
        f.create_virtual_dataset("energy", source)
    expect(path, "'energy' takes its data from other files")


def test_soft_links_inside_the_file_are_fine_but_not_in_circles(path):
    before = read(path)
    with h5py.File(path, "r+") as f:
        f.create_group("inner")
        f.move("layer_1", "inner/second")
        f["layer_1"] = h5py.SoftLink("inner/second")
    np.testing.assert_array_equal(read(path).voxels, before.voxels)
    with h5py.File(path, "r+") as f:
        del f["layer_1"]
        f["layer_1"] = h5py.SoftLink("/layer_1")
    expect(path, "circle of soft links")
    with h5py.File(path, "r+") as f:
        del f["layer_1"]
        f["layer_1"] = h5py.SoftLink("/nowhere")
    expect(path, "dataset 'layer_1' is missing", geometry="calogan")


def test_a_damaged_attribute(path):
    for text in ("{", "3", '{"geometry": {"name": "x"}}', '{"geometry": 3}', '{"provenance": [1]}', 7):
        with h5py.File(path, "r+") as f:
            f.attrs["caloforge"] = text
        expect(path, "root attribute 'caloforge' is damaged.*Delete it")
    for provenance in (
        '{"attributes": [1]}',
        '{"attributes": "abc"}',
        '{"history": 5}',
        '[["particle", "e+"]]',
    ):
        text = f'{{"provenance": {provenance}}}'
        with h5py.File(path, "r+") as f:
            f.attrs["caloforge"] = text
        expect(path, "root attribute 'caloforge' is damaged.*Delete it")


def test_another_geometry_than_the_file_says(tmp_path, mixed, cube, make_showers):
    path = tmp_path / "a.h5"
    write(make_showers(mixed), path)
    with pytest.raises(GeometryMismatchError, match=r"a.h5: the file says its geometry is 'mixed'.*'cube'"):
        read(path, geometry=cube)
    assert read(path, geometry=mixed).geometry is mixed


def test_several_geometries_that_fit(path, monkeypatch):
    monkeypatch.setattr("caloforge.io.source.catalogue", lambda: ("calogan", "calogan"))
    expect(path, "fits several geometries: calogan, calogan. Say which")
    assert len(read(path, geometry="calogan")) == 20


def test_more_showers_than_memory(tmp_path):
    path = tmp_path / "a.h5"
    n = 10**13  # nothing is stored: HDF5 gives the fill value
    with h5py.File(path, "w") as f:
        f.create_dataset("incident_energies", (n, 1), "f8", chunks=(1000, 1), fillvalue=1000.0)
        f.create_dataset("showers", (n, 504), "f4", chunks=(1000, 504), fillvalue=1.0)
    with pytest.raises(
        ValueRangeError, match=r"10000000000000 showers are .* MiB, more than there is memory"
    ):
        read(path)
    assert len(read(path, start=n - 10)) == 10
    assert len(next(iter(read_chunks(path)))) > 1000


@pytest.mark.parametrize(("factor", "times"), [(1e3, "0.001"), (1e-3, "1000"), (30, None)])
def test_a_wrong_unit_warns_once_with_numbers(path, factor, times):
    with h5py.File(path, "r+") as f:
        for layer in range(3):
            f[f"layer_{layer}"][...] = f[f"layer_{layer}"][...] * factor
    hint = f"would fit if the deposits were {times} times" if times else "calogan"
    for reader in (lambda: read(path), lambda: list(read_chunks(path, chunk_size=3))):
        with pytest.warns(
            ImplausibleEnergyWarning, match=rf"showers.h5: the median .*plausible.*{hint}"
        ) as seen:
            reader()
        assert len(seen) == 1
