"""read(write(s)) = s in every layout; range and chunk size change nothing."""

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from caloforge import Showers
from caloforge.errors import ConfigError, GeometryMismatchError, UnknownNameError, ValueRangeError
from caloforge.geometry import catalogue, get_geometry
from caloforge.io import (
    LAYOUTS,
    ShowerWriter,
    detect_layout,
    get_layout,
    read,
    read_chunks,
    read_energies,
    write,
)
from caloforge.io.source import open_source


def assert_same(a: Showers, b: Showers, *, layout: str) -> None:
    np.testing.assert_array_equal(a.voxels, b.voxels)
    assert a.voxels.dtype == b.voxels.dtype
    # GeV in a file and back can cost the last bit.
    np.testing.assert_array_max_ulp(a.e_inc, b.e_inc, maxulp=0 if layout == "calochallenge" else 1)
    assert b.e_inc.dtype == np.float64
    assert a.geometry == b.geometry
    assert a.provenance == b.provenance


NAMES = st.text(max_size=20).filter(lambda text: text.isprintable())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.filterwarnings("ignore::caloforge.errors.ImplausibleEnergyWarning")
@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), dtype=st.sampled_from([np.float32, np.float64]), n=st.integers(0, 5))
def test_every_layout_gives_back_what_was_written(tmp_path, cube, layout, data, dtype, n):
    width = np.dtype(dtype).itemsize * 8
    energies = st.floats(1e-3, 1e7)
    deposits = st.floats(0, 2.0**20, width=width)
    showers = Showers(
        e_inc=data.draw(hnp.arrays(np.float64, n, elements=energies)),
        voxels=data.draw(hnp.arrays(dtype, (n, cube.n_voxels), elements=deposits)),
        geometry=cube,
        provenance=data.draw(
            st.dictionaries(NAMES.filter(lambda name: name != "attributes"), JSON, max_size=3)
        ),
    )
    path = tmp_path / "showers.h5"
    write(showers, path, layout=layout, overwrite=True, compression=data.draw(st.sampled_from([0, 1])))
    assert detect_layout(path) == layout
    assert_same(showers, read(path), layout=layout)


@pytest.mark.parametrize("name", catalogue())
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_geometry_of_the_catalogue_in_every_layout(tmp_path, make_showers, name, layout):
    geometry = get_geometry(name)
    showers = make_showers(geometry, 3, particle="e-")
    path = tmp_path / "showers.h5"
    if layout == "ild" and name != "ild_ecal":
        with pytest.raises(
            GeometryMismatchError, match=r"Layout 'ild' holds equal square layers.*calochallenge"
        ):
            write(showers, path, layout=layout)
        assert list(tmp_path.iterdir()) == []
        return
    write(showers, path, layout=layout)
    assert_same(showers, read(path), layout=layout)


@pytest.mark.parametrize("layout", ["calochallenge", "calogan"])
@pytest.mark.parametrize("chunk_size", [1, 7, 1000, None])
def test_chunk_size_changes_nothing(tmp_path, mixed, make_showers, layout, chunk_size):
    showers = make_showers(mixed, 50)
    path = tmp_path / "showers.h5"
    write(showers, path, layout=layout)
    chunks = list(read_chunks(path, chunk_size=chunk_size, start=3, stop=48))
    assert all(len(chunk) == chunk_size for chunk in chunks[:-1])
    assert_same(showers[3:48], Showers.concatenate(chunks), layout=layout)
    assert_same(showers[3:48], read(path, start=3, stop=48), layout=layout)


@pytest.mark.parametrize("layout", ["calochallenge", "calogan"])
def test_batch_size_when_writing_changes_nothing(tmp_path, mixed, make_showers, layout):
    showers = make_showers(mixed, 50)
    write(showers, tmp_path / "whole.h5", layout=layout)
    with ShowerWriter(tmp_path / "parts.h5", mixed, layout=layout) as writer:
        for start in range(0, 50, 7):
            writer.append(showers[start : start + 7])
    assert writer.n_showers == 50
    assert_same(read(tmp_path / "whole.h5"), read(tmp_path / "parts.h5"), layout=layout)


def test_the_same_showers_make_the_same_bytes(tmp_path, mixed, make_showers):
    for name in ("a.h5", "b.h5"):
        write(make_showers(mixed), tmp_path / name)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_units_in_the_file_are_those_of_the_layout(tmp_path, cube):
    showers = Showers(e_inc=np.array([5000.0]), voxels=np.full((1, 48), 7.0), geometry=cube)
    for layout in LAYOUTS:
        write(showers, tmp_path / f"{layout}.h5", layout=layout)
    with h5py.File(tmp_path / "calochallenge.h5") as f:
        assert f["incident_energies"][...].tolist() == [[5000.0]]
        assert f["showers"].shape == (1, 48)
        assert f["showers"][0, 0] == 7
    with h5py.File(tmp_path / "calogan.h5") as f:
        assert f["energy"][...].tolist() == [[5.0]]
        assert sorted(f) == ["energy", "layer_0", "layer_1", "layer_2"]
        assert f["layer_2"].shape == (1, 4, 4)
        assert f["layer_2"][0, 0, 0] == 7
        assert (f["energy"].attrs["unit"], f["layer_0"].attrs["unit"]) == ("GeV", "MeV")
    with h5py.File(tmp_path / "ild.h5") as f:
        assert f["4x4/energy"][...].tolist() == [[5.0]]
        assert f["4x4/layers"].shape == (1, 3, 4, 4)


def test_voxel_order_is_the_same_in_all_layouts(tmp_path, cube):
    showers = Showers(
        e_inc=np.array([1000.0]), voxels=np.arange(48, dtype=np.float32)[None] + 1, geometry=cube
    )
    for layout in LAYOUTS:
        write(showers, tmp_path / f"{layout}.h5", layout=layout)
    with h5py.File(tmp_path / "calogan.h5") as f:
        assert f["layer_1"][0, 2, 3] == 1 + 16 + 2 * 4 + 3
    with h5py.File(tmp_path / "ild.h5") as f:
        assert f["4x4/layers"][0, 1, 2, 3] == 1 + 16 + 2 * 4 + 3


def test_no_showers_at_all(tmp_path, mixed, make_showers):
    write(make_showers(mixed, 0), tmp_path / "a.h5")
    with ShowerWriter(tmp_path / "b.h5", mixed, layout="calogan"):
        pass
    for name in ("a.h5", "b.h5"):
        assert len(read(tmp_path / name)) == 0
        assert list(read_chunks(tmp_path / name)) == []


def test_foreign_attributes_survive_in_the_provenance_alone(tmp_path, make_showers):
    geometry = get_geometry("calogan")
    write(make_showers(geometry), tmp_path / "a.h5", layout="calogan")
    with h5py.File(tmp_path / "a.h5", "r+") as f:
        del f.attrs["caloforge"]
        f.attrs.update(
            {"energy_unit": "GeV", "cut": 0.7, "ids": [1, 2], "raw": np.bytes_(b"x"), "bad": np.nan}
        )
    showers = read(tmp_path / "a.h5")
    expected = {"energy_unit": "GeV", "cut": 0.7, "ids": [1, 2], "raw": "x", "bad": "nan"}
    assert showers.provenance == {"attributes": expected}
    write(showers, tmp_path / "b.h5")
    with h5py.File(tmp_path / "b.h5") as f:
        assert list(f.attrs) == ["caloforge"]  # energies are MeV there
    assert read(tmp_path / "b.h5").provenance == showers.provenance


def test_numpy_and_paths_in_the_provenance_become_plain(tmp_path, mixed, make_showers):
    showers = make_showers(mixed, 2, seed_used=np.int64(3), file=tmp_path, bins=np.arange(2))
    write(showers, tmp_path / "a.h5")
    assert read(tmp_path / "a.h5").provenance == {"seed_used": 3, "file": str(tmp_path), "bins": [0, 1]}


def test_a_long_provenance_fits(tmp_path, mixed, make_showers):
    showers = make_showers(mixed, 2, log="x" * 300_000)  # HDF5's attributes proper end at 64 kB
    write(showers, tmp_path / "a.h5")
    assert read(tmp_path / "a.h5").provenance == showers.provenance


def test_provenance_that_is_no_json_is_refused_before_anything_is_written(tmp_path, mixed, make_showers):
    with pytest.raises(ConfigError, match=r"plain JSON data: .* is a object"):
        write(make_showers(mixed, 2, what=object()), tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []


def test_other_number_types_are_taken(tmp_path, make_showers):
    showers = make_showers(get_geometry("calogan"), 4)
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["incident_energies"] = showers.e_inc.astype(">f4")  # (n,) instead of (n, 1), big-endian
        f["showers"] = np.rint(showers.voxels).astype(np.int32)
    found = read(tmp_path / "a.h5")
    assert found.voxels.dtype == np.float64
    np.testing.assert_array_equal(found.voxels, np.rint(showers.voxels))
    np.testing.assert_allclose(found.e_inc, showers.e_inc, rtol=1e-6)


def test_float64_after_float32_is_refused(tmp_path, mixed, make_showers):
    with ShowerWriter(tmp_path / "a.h5", mixed) as writer:
        writer.append(make_showers(mixed, 2))
        with pytest.raises(ConfigError, match="float32, these are float64"):
            writer.append(make_showers(mixed, 2, dtype=np.float64))


def test_other_voxels_are_refused(tmp_path, mixed, cube, make_showers):
    with (
        pytest.raises(GeometryMismatchError, match=r"mixed.*cube"),
        ShowerWriter(tmp_path / "a.h5", mixed) as writer,
    ):
        writer.append(make_showers(cube))
    assert list(tmp_path.iterdir()) == []


def test_unknown_layouts_and_levels(tmp_path, mixed, make_showers):
    with pytest.raises(UnknownNameError, match=r"Unknown layout 'calogn'. Did you mean 'calogan'\?"):
        write(make_showers(mixed), tmp_path / "a.h5", layout="calogn")
    with pytest.raises(ConfigError, match="0 to 9, got 10"):
        write(make_showers(mixed), tmp_path / "a.h5", compression=10)
    assert get_layout("ild").name == "ild"


@pytest.mark.parametrize(("start", "stop"), [(-1, None), (3, 2), (0, 21), (21, None)])
def test_ranges_that_the_file_does_not_have(tmp_path, mixed, make_showers, start, stop):
    write(make_showers(mixed, 20), tmp_path / "a.h5")
    for reader in (read, read_chunks, read_energies):
        with pytest.raises(ValueRangeError, match="holds 20 showers"):
            reader(tmp_path / "a.h5", start=start, stop=stop)
    with pytest.raises(ValueRangeError, match="chunk_size"):
        read_chunks(tmp_path / "a.h5", chunk_size=0)


def test_a_row_of_chunks_cut_across_showers_fits_in_the_cache(tmp_path, make_showers):
    """Otherwise each block read would unpack every chunk of the row again."""
    showers = make_showers(get_geometry("calogan"), 4000, dtype=np.float64)
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["incident_energies"] = showers.e_inc[:, None]
        f.create_dataset("showers", data=showers.voxels, chunks=(1000, 20), compression="gzip")
    with open_source(tmp_path / "a.h5", geometry=None, layout=None) as source:
        slots, n_bytes, _ = source.columns[1][1].id.get_access_plist().get_chunk_cache()
    assert n_bytes >= 1000 * 520 * 8
    assert slots > 26


@pytest.mark.parametrize("layout", LAYOUTS)
def test_energies_alone(tmp_path, cube, make_showers, layout):
    write(make_showers(cube, 30), tmp_path / "a.h5", layout=layout)
    energies = read_energies(tmp_path / "a.h5", start=3, stop=20)
    np.testing.assert_array_equal(energies, read(tmp_path / "a.h5").e_inc[3:20])
    assert energies.dtype == np.float64
