"""Incident energies alone are those that `read` gives, and are checked as it checks them."""

import h5py
import numpy as np
import pytest

from caloforge.errors import FileFormatError, ValueRangeError
from caloforge.geometry import get_geometry
from caloforge.io import LAYOUTS, read, read_energies, write


@pytest.mark.parametrize("layout", LAYOUTS)
def test_energies_are_those_of_read(tmp_path, make_showers, cube, layout):
    geometry = get_geometry("calogan") if layout == "calogan" else cube
    path = tmp_path / "showers.h5"
    write(make_showers(geometry, 20), path, layout=layout)
    e_inc = read_energies(path)
    assert e_inc.dtype == np.float64
    assert e_inc.shape == (20,)
    np.testing.assert_array_equal(e_inc, read(path).e_inc)
    np.testing.assert_array_equal(read_energies(path, start=3, stop=7), e_inc[3:7])
    assert read_energies(path, start=20).shape == (0,)


def test_voxels_are_not_read(tmp_path, make_showers):
    """Damaged voxel data do not matter, which shows that nobody looked."""
    path = tmp_path / "showers.h5"
    write(make_showers(get_geometry("calogan"), 20), path, layout="calogan")
    with h5py.File(path) as file:
        where = file["layer_1"].id.get_chunk_info(0).byte_offset
    data = bytearray(path.read_bytes())
    data[where + 50 : where + 90] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(FileFormatError, match="damaged"):
        read(path)
    assert len(read_energies(path)) == 20


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_geometry_is_needed(tmp_path, make_showers, cube, layout):
    """The file says no geometry, and none of the catalogue fits."""
    path = tmp_path / "showers.h5"
    showers = make_showers(cube, 20)
    write(showers, path, layout=layout)
    with h5py.File(path, "r+") as file:
        del file.attrs["caloforge"]
    with pytest.raises(FileFormatError, match="fits no geometry"):
        read(path)
    np.testing.assert_allclose(read_energies(path), showers.e_inc, rtol=1e-15)


def test_several_sets_of_showers(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for group in ("2x2", "3x3"):
            file[f"{group}/layers"], file[f"{group}/energy"] = np.ones((4, 1, 2, 2)), np.ones(4)
    with pytest.raises(FileFormatError, match="several sets of showers, with energies '2x2/energy', '3x3"):
        read_energies(tmp_path / "a.h5")


def test_bad_energies_and_files(tmp_path, make_showers, cube):
    path = tmp_path / "showers.h5"
    write(make_showers(cube, 20), path)
    with pytest.raises(ValueRangeError, match="holds 20 showers"):
        read_energies(path, stop=21)
    with h5py.File(path, "r+") as file:
        file["incident_energies"][3] = -1.0
        file["incident_energies"][5] = np.nan
    with pytest.raises(FileFormatError, match=r"2 of 20 values are not, first in shower 3: -1\.0"):
        read_energies(path)
    for shape, words in {(20, 2): r"has shape \(20, 2\), expected \(n, 1\)", (): r"has shape \(\)"}.items():
        with h5py.File(path, "r+") as file:
            del file["incident_energies"]
            file["incident_energies"] = np.ones(shape)
        with pytest.raises(FileFormatError, match=words):
            read_energies(path)
    with h5py.File(path, "r+") as file:
        del file["incident_energies"]
    with pytest.raises(FileFormatError, match="'incident_energies' is missing"):
        read_energies(path)
    with pytest.raises(FileFormatError, match="no such file"):
        read_energies(tmp_path / "other.h5")
