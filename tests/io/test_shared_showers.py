"""Real Geant4 showers, where they are there."""

from pathlib import Path

import numpy as np
import pytest

from caloforge.io import convert, detect_layout, file_info, read, read_chunks

FOLDER = Path(__file__).parents[2].parent / "shared" / "showers"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not (FOLDER / "eplus.h5").exists(), reason="no Geant4 showers beside the repository"),
]

# Mean layer energies, GeV, at 45-55 GeV, from the README beside the files.
MEANS = {"eplus": (8.39, 41.21, 0.083), "gamma": (6.19, 43.57, 0.111), "piplus": (0.61, 10.58, 1.27)}


@pytest.mark.parametrize("particle", MEANS)
def test_layer_energies_are_those_of_the_readme(particle):
    showers = read(FOLDER / f"{particle}.h5")
    near_50 = showers[(showers.e_inc > 45e3) & (showers.e_inc < 55e3)]
    np.testing.assert_allclose(near_50.e_layer.mean(axis=0) / 1e3, MEANS[particle], rtol=0.03)
    assert showers.voxels.dtype == np.float32
    assert showers.provenance["attributes"]["energy_unit"] == "GeV"


@pytest.mark.parametrize("particle", MEANS)
def test_summary(particle):
    info = file_info(FOLDER / f"{particle}.h5")
    assert detect_layout(info.path) == info.layout == "calogan"
    assert info.geometry.name == "calogan"
    assert info.spectrum == "uniform"
    assert 1e3 <= info.e_inc_range[0] < info.e_inc_range[1] <= 1e5


def test_conversion_and_back_changes_nothing(tmp_path):
    convert(FOLDER / "piplus.h5", tmp_path / "a.h5", layout="calochallenge")
    convert(tmp_path / "a.h5", tmp_path / "b.h5", layout="calogan")
    before = read(FOLDER / "piplus.h5")
    after = read(tmp_path / "b.h5")
    np.testing.assert_array_equal(after.voxels, before.voxels)
    np.testing.assert_allclose(after.e_inc, before.e_inc, rtol=1e-15)
    assert sum(len(chunk) for chunk in read_chunks(tmp_path / "b.h5", chunk_size=999)) == len(before)
    # gzip at level 9 with shuffle made the originals; ours is fast and not much larger.
    size = (FOLDER / "piplus.h5").stat().st_size
    assert (tmp_path / "b.h5").stat().st_size < 1.15 * size
