"""Incident energies alone are those that `read` gives, and are checked as it checks them."""

import h5py
import numpy as np
import pytest

from caloforge.errors import FileFormatError, GeometryMismatchError, ValueRangeError
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


def test_bad_energies_and_files(tmp_path, make_showers, cube):
    path = tmp_path / "showers.h5"
    write(make_showers(cube, 20), path)
    with pytest.raises(ValueRangeError, match="holds 20 showers"):
        read_energies(path, stop=21)
    with pytest.raises(GeometryMismatchError, match="other voxels"):
        read_energies(path, geometry="calogan")
    with h5py.File(path, "r+") as file:
        file["incident_energies"][3] = -1.0
        file["incident_energies"][5] = np.nan
    with pytest.raises(FileFormatError, match=r"2 of 20 values are not, first in shower 3: -1\.0"):
        read_energies(path)
    with h5py.File(path, "r+") as file:
        del file["showers"]
    with pytest.raises(FileFormatError, match="'showers' is missing"):
        read_energies(path)
    with pytest.raises(FileFormatError, match="no such file"):
        read_energies(tmp_path / "other.h5")
