"""A file in another layout holds the same showers."""

import h5py
import numpy as np
import pytest

from caloforge.errors import FileFormatError, GeometryMismatchError, OutputError, ValueRangeError
from caloforge.io import LAYOUTS, convert, detect_layout, read, write


@pytest.mark.parametrize("old", LAYOUTS)
@pytest.mark.parametrize("new", LAYOUTS)
def test_every_layout_to_every_other(tmp_path, cube, make_showers, old, new, monkeypatch):
    showers = make_showers(cube, 50, dtype=np.float64, particle="e-")
    write(showers, tmp_path / "a.h5", layout=old)
    monkeypatch.setattr("caloforge.io.reading._BLOCK_BYTES", 48 * 8 * 7)  # seven showers at a time
    done = []
    n = convert(
        tmp_path / "a.h5", tmp_path / "b.h5", layout=new, start=2, stop=45, progress=lambda *x: done.append(x)
    )
    assert n == 43
    assert done[0] == (7, 43)
    assert done[-1] == (43, 43)
    assert detect_layout(tmp_path / "b.h5") == new
    found = read(tmp_path / "b.h5")
    np.testing.assert_array_equal(found.voxels, showers.voxels[2:45])
    np.testing.assert_allclose(found.e_inc, showers.e_inc[2:45], rtol=1e-15)
    step = {"action": "convert", "file": "a.h5", "layout": old, "showers": [2, 45]}
    assert found.provenance == {"particle": "e-", "history": [step]}


def test_the_threshold_empties_what_is_below_and_is_written_down(tmp_path, mixed, make_showers):
    showers = make_showers(mixed, 30)
    threshold = float(np.median(showers.voxels[showers.voxels > 0]))
    write(showers, tmp_path / "a.h5", layout="calogan")
    with h5py.File(tmp_path / "a.h5", "r+") as f:
        f["overflow"] = np.zeros((30, 3))
    convert(tmp_path / "a.h5", tmp_path / "b.h5", layout="calochallenge", threshold=threshold)
    convert(tmp_path / "b.h5", tmp_path / "c.h5", layout="calochallenge", threshold=0.0)
    found = read(tmp_path / "c.h5")
    expected = np.where(showers.voxels < np.float32(threshold), 0, showers.voxels)
    np.testing.assert_array_equal(found.voxels, expected)
    first, second = found.provenance["history"]
    assert first["threshold_MeV"] == threshold
    assert first["left_out"] == ["overflow"]
    assert second["threshold_MeV"] == 0


@pytest.mark.parametrize("threshold", [-1.0, np.nan, np.inf])
def test_thresholds_that_make_no_sense(tmp_path, mixed, make_showers, threshold):
    write(make_showers(mixed), tmp_path / "a.h5")
    with pytest.raises(ValueRangeError, match="threshold"):
        convert(tmp_path / "a.h5", tmp_path / "b.h5", layout="calogan", threshold=threshold)


def test_nothing_is_left_of_a_conversion_that_fails(tmp_path, mixed, make_showers, monkeypatch):
    path, target = tmp_path / "a.h5", tmp_path / "b.h5"
    write(make_showers(mixed, 50), path)
    write(make_showers(mixed, 3), target)
    with h5py.File(path, "r+") as f:
        f["showers"][49, 0] = -1
    monkeypatch.setattr("caloforge.io.reading._BLOCK_BYTES", 25 * 4 * 7)
    with pytest.raises(FileFormatError, match="in shower 49"):
        convert(path, target, layout="calogan", overwrite=True)
    with pytest.raises(GeometryMismatchError):
        convert(path, target, layout="ild", overwrite=True)
    with pytest.raises(OutputError, match="exists already"):
        convert(path, target, layout="calogan")
    assert len(read(target)) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "b.h5"]
