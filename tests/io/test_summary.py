"""The summary of a file agrees with the same numbers taken from all showers at once."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest

from caloforge import Showers
from caloforge.io import file_info, read, summary, write


def with_energies(showers: Showers, e_inc) -> Showers:
    scale = (e_inc / showers.e_inc)[:, None]
    return Showers(e_inc=e_inc, voxels=showers.voxels * scale, geometry=showers.geometry)


def test_numbers_agree_with_all_showers_at_once(tmp_path, mixed, make_showers, monkeypatch):
    showers = make_showers(mixed, 200, particle="e-")
    path = tmp_path / "a.h5"
    write(showers, path, layout="calogan")
    monkeypatch.setattr("caloforge.io.reading._BLOCK_BYTES", 700)  # seven showers at a time
    info = file_info(path)
    assert (info.layout, info.geometry, info.n_showers, info.dtype) == ("calogan", mixed, 200, "float32")
    assert info.n_bytes == path.stat().st_size
    assert info.e_inc_range == pytest.approx((showers.e_inc.min(), showers.e_inc.max()), rel=1e-14)
    for probability, value in info.e_ratio_quantiles.items():
        assert value == pytest.approx(np.quantile(showers.e_ratio, probability), rel=1e-12)
    mean = showers.e_layer.mean(axis=0)
    for index, (layer, where) in enumerate(zip(info.layers, mixed.layer_slices, strict=True)):
        assert layer.mean_energy == pytest.approx(mean[index], rel=1e-12)
        assert layer.sparsity == pytest.approx(np.mean(showers.voxels[:, where] == 0), rel=1e-12)
        assert layer.n_voxels == mixed.layers[index].n_voxels
    assert info.provenance == {"particle": "e-"}
    assert json.loads(json.dumps(info.to_dict()))["layers"][1]["name"] == "part1"


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (lambda rng, n: rng.uniform(1e3, 1e5, n), "uniform"),
        (lambda rng, n: np.exp(rng.uniform(np.log(1e3), np.log(1e6), n)), "log-uniform"),
        (lambda rng, n: rng.normal(5e4, 1e3, n), "neither uniform nor log-uniform"),
        (lambda rng, n: np.full(n, 5e4), "one energy"),
        (lambda rng, n: 256.0 * 2.0 ** rng.integers(0, 3, n), "3 energies: 0.256, 0.512, 1.024 GeV"),
    ],
)
@pytest.mark.parametrize("n", [300, 3000])
def test_spectra_are_recognised(tmp_path, mixed, make_showers, draw, expected, n):
    showers = with_energies(make_showers(mixed, n), draw(np.random.default_rng(1), n))
    write(showers, tmp_path / "a.h5")
    assert file_info(tmp_path / "a.h5").spectrum == expected


@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_showers(tmp_path, mixed, make_showers, n):
    write(make_showers(mixed, n), tmp_path / "a.h5")
    info = file_info(tmp_path / "a.h5")
    assert info.n_showers == n
    assert (info.e_inc_range is None) == (n == 0)
    assert info.spectrum == {0: "none", 1: "one energy", 2: "uniform"}[n]
    json.dumps(info.to_dict(), allow_nan=False)


def test_quantiles_of_a_large_file_come_from_a_sample(tmp_path, mixed, make_showers, monkeypatch):
    showers = make_showers(mixed, 3000)
    e_ratio = np.random.default_rng(0).random(3000) + 0.1
    scale = (e_ratio / showers.e_ratio)[:, None]
    write(replace(showers, voxels=(showers.voxels * scale).astype(np.float32)), tmp_path / "a.h5")
    monkeypatch.setattr(summary, "_MAX_KEPT", 500)
    monkeypatch.setattr("caloforge.io.reading._BLOCK_BYTES", 70_000)
    median = file_info(tmp_path / "a.h5").e_ratio_quantiles[0.5]
    assert abs(median - 0.6) < 5 * 0.5 / np.sqrt(250)


def test_the_sample_takes_every_nth_of_a_stream():
    sample = summary._Sample()
    rows = np.arange(20.0).repeat(2).reshape(20, 2)
    limit, summary._MAX_KEPT = summary._MAX_KEPT, 6
    try:
        for start in range(0, 20, 3):
            sample.add(rows[start : start + 3])
    finally:
        summary._MAX_KEPT = limit
    kept = sample.values()[:, 0]
    assert len(kept) <= 6
    assert set(np.diff(kept)) == {4.0}


def test_other_datasets_are_named(tmp_path, mixed, make_showers):
    path = tmp_path / "a.h5"
    write(make_showers(mixed), path, layout="calogan")
    with h5py.File(path, "r+") as f:
        f["overflow"] = np.zeros((20, 3))
        f.create_group("more")["x"] = 1
    assert file_info(path).left_out == ("more/x", "overflow")
    assert len(read(path)) == 20
