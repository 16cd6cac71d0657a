"""A defect of one voxel is found and named, equal samples give no alarm, and what would be missed is said rightly."""

import dataclasses
import math

import numpy as np
import pytest

import caloforge.evaluation.sample
from caloforge import Showers
from caloforge.errors import GeometryMismatchError, ValueRangeError
from caloforge.evaluation import reference_sample
from caloforge.evaluation.voxel_comparison import VoxelComparison, compare_voxels, voxel_place
from caloforge.evaluation.voxel_sums import voxel_sums
from caloforge.geometry import get_geometry
from support.toys import cartesian, geometry_of, polar

RANGE = 1e3, 1e5
VOXEL = 288 + 6 * 12 + 3
PLACE = "voxel (6, 3) of layer 1 (centre x = 20 mm, y = -100 mm)"


@pytest.fixture(scope="module")
def geant4() -> Showers:
    return reference_sample("eplus").above(1e-3)


@pytest.fixture(scope="module")
def pair() -> tuple[Showers, Showers]:
    """Two samples of 2000 showers of one distribution, as like Geant4's as the package's own model makes them."""
    e_inc = np.random.default_rng(3).uniform(*RANGE, 4000)
    showers = caloforge.load_model("groupwise-eplus").sample(e_inc, seed=5).above(1e-3)
    return showers[:2000], showers[2000:]


def compared(generated: Showers, reference: Showers) -> VoxelComparison:
    energies = np.concatenate([generated.e_inc, reference.e_inc])
    span = float(energies.min()), float(energies.max())
    return compare_voxels(*(voxel_sums([s], e_inc_range=span) for s in (generated, reference)))


def changed(showers: Showers, change) -> Showers:
    voxels = showers.voxels.copy()
    change(voxels)
    return dataclasses.replace(showers, voxels=voxels)


def scaled(showers: Showers, voxel: int, factor: float) -> Showers:
    def change(voxels):
        voxels[:, voxel] *= factor

    return changed(showers, change)


@pytest.mark.parametrize("particle", ["eplus", "piplus"])
def test_equal_samples_give_no_alarm(particle):
    showers = reference_sample(particle).above(1e-3)
    found = []
    for seed in range(6):
        order = np.random.default_rng(seed).permutation(len(showers))
        found.append(compared(showers[order[:200]], showers[order[200:]]))
    assert not any(result.differs for result in found)
    largest, chance = (
        np.mean([getattr(r, name) for r in found]) for name in ("largest", "largest_by_chance")
    )
    assert chance - 0.6 < largest < chance + 0.4
    pulls = np.concatenate([np.concatenate([r.hits, r.share, r.energy]) for r in found])
    assert np.nanstd(pulls) == pytest.approx(1, abs=0.12)


def test_a_voxel_scaled_by_a_tenth(pair):
    assert not compared(*pair).differs
    found = compared(scaled(pair[0], VOXEL, 1.1), pair[1])
    worst = found.worst[0]
    assert found.n_beyond == 1
    assert (worst.voxel, worst.layer, worst.index, worst.place) == (VOXEL, 1, (6, 3), PLACE)
    assert worst.centre_mm == (20, -100)
    assert worst.quantity == "energy"
    assert worst.pull > found.alarm
    assert worst.energy_factor == pytest.approx(1.1, abs=3 * worst.energy_factor_error)
    assert worst.energy_factor_error < 0.02


def test_another_spectrum_gives_no_alarm(pair):
    """Every voxel has less energy and is hit less often in showers of less energy."""
    soft = pair[0][np.random.default_rng(0).random(2000) < 1e4 / pair[0].e_inc]
    assert soft.e_inc.mean() < 0.6 * pair[1].e_inc.mean()
    assert soft.voxels[:, VOXEL].mean() < 0.7 * pair[1].voxels[:, VOXEL].mean()
    assert not compared(soft, pair[1]).differs
    assert compared(scaled(soft, VOXEL, 1.3), pair[1]).worst[0].voxel == VOXEL


def test_a_dead_voxel(geant4):
    def kill(voxels):
        voxels[:, VOXEL] = 0

    for found, rate in (
        (compared(changed(geant4[:200], kill), geant4[200:]), 0),
        (compared(geant4[:200], changed(geant4[200:], kill)), 1),
    ):
        worst = found.worst[0]
        assert found.differs
        assert (worst.voxel, worst.quantity) == (VOXEL, "hits")
        assert worst.hit_rate[rate] == 0
        assert worst.hit_rate[1 - rate] > 0.9
        assert math.isnan(worst.energy_factor)


@pytest.mark.parametrize("voxel", [20, 100, 288 + 14, 432 + 8])
def test_a_voxel_that_is_hit_twice_as_often(pair, voxel):
    def double(voxels):
        rng = np.random.default_rng(1)
        hit = voxels[:, voxel] > 0
        more = ~hit & (rng.random(len(voxels)) < min(1, hit.mean() / (1 - hit.mean())))
        voxels[more, voxel] = rng.choice(voxels[hit, voxel], more.sum())

    found = compared(changed(pair[0], double), pair[1])
    worst = found.worst[0]
    assert (found.n_beyond, worst.voxel, worst.quantity) == (1, voxel, "hits")
    assert worst.hit_rate[0] > 1.4 * worst.hit_rate[1]


def test_what_would_be_seen_is_seen(pair):
    """The factor that is called visible moves a voxel's pull by five sigma with the look-elsewhere, and no more."""
    before = compared(*pair)
    energy = pair[1].voxels.mean(axis=0, dtype=float)
    carrying = np.argsort(-energy)[: before.n_carrying]
    assert energy[carrying[:-1]].sum() < 0.99 * energy.sum() <= energy[carrying].sum() * (1 + 1e-9)
    assert before.visible_factor_median == np.median(before.visible_factor[carrying])
    assert before.visible_factor_worst == before.visible_factor[carrying].max()
    assert 1.01 < before.visible_factor_median < 1.1 < before.visible_factor_worst < 6
    for voxel in (*carrying[:: len(carrying) // 12], 20, 302, 440):
        after = compared(scaled(pair[0], voxel, before.visible_factor[voxel]), pair[1])
        moved = [getattr(after, k)[voxel] - getattr(before, k)[voxel] for k in ("share", "energy")]
        assert np.nanmax(moved) == pytest.approx(6.25, abs=0.6), voxel


def test_a_regression_with_a_column_for_the_sample_says_the_same(geant4):
    """The difference at equal covariates is the coefficient of that column, its error that of least squares."""
    one, other = geant4[:150], scaled(geant4[150:], VOXEL, 0.9)
    found = compared(one, other)
    both = Showers.concatenate([one, other])
    hit = both.voxels[:, VOXEL] > 0
    e_inc, energy = (values[hit].astype(np.float64) for values in (both.e_inc, both.voxels[:, VOXEL]))
    u, w = np.log(e_inc), np.log10(both.e_layer[hit, 1] / e_inc + 1e-4)
    sample = (np.arange(len(both)) < 150)[hit]
    design = np.stack([sample, np.ones_like(u), u, u**2, u**3, w, w**2], axis=1)
    design[:, 3:5] = np.stack([(u - u.mean()) ** 2, (u - u.mean()) ** 3], axis=1)
    y = np.log(energy / e_inc)
    solution, rest, _, _ = np.linalg.lstsq(design, y, rcond=None)
    error = math.sqrt(rest[0] / (len(y) - 7) * np.linalg.inv(design.T @ design)[0, 0])
    worst = next(w for w in found.worst if w.voxel == VOXEL)
    assert math.log(worst.energy_factor) == pytest.approx(solution[0], rel=1e-5)
    assert found.energy[VOXEL] == pytest.approx(solution[0] / error, rel=0.1)


@pytest.mark.parametrize("sizes", [(1,) * 30, (0, 20, 0, 7), (52,)], ids=["ones", "some empty", "nearly all"])
def test_chunks_do_not_matter(make_showers, monkeypatch, sizes):
    monkeypatch.setattr(caloforge.evaluation.sample, "_BLOCK", 4000)
    showers = make_showers(get_geometry("calogan"), 53)
    parts = np.split(np.arange(53), np.cumsum(sizes))
    options = {"e_inc_range": (1.0, 100.0), "threshold": 0.2}
    whole, cut = voxel_sums([showers], **options), voxel_sums((showers[part] for part in parts), **options)
    for field in dataclasses.fields(whole):
        np.testing.assert_array_equal(getattr(whole, field.name), getattr(cut, field.name))
    np.testing.assert_allclose(whole.energy, showers.above(0.2).voxels.sum(axis=0, dtype=float), rtol=1e-12)
    np.testing.assert_array_equal(whole.hit_products[:, 0, 0], (showers.voxels >= 0.2).sum(axis=0))


def test_few_showers_and_odd_calorimeters(make_showers):
    """One voxel in a layer, one energy in all showers, fewer showers than covariates: finite numbers or none."""
    geometry = geometry_of(cartesian(1, 1), polar(3, 4), polar(1, 2))
    for n in (2, 5, 40):
        one, other = (make_showers(geometry, n, seed=seed) for seed in (1, 2))
        same = (
            dataclasses.replace(one, e_inc=np.full(n, 50.0)),
            dataclasses.replace(other, e_inc=np.full(n, 50.0)),
        )
        for mine, theirs in ((one, other), same):
            found = compared(mine, theirs)
            assert np.isfinite(found.largest)
            assert not found.differs
    assert not compared(make_showers(geometry, 2000, seed=1), make_showers(geometry, 2000, seed=2)).differs
    single = compared(
        scaled(make_showers(geometry, 2000, seed=1), 0, 2.0), make_showers(geometry, 2000, seed=2)
    )
    assert (single.worst[0].voxel, single.n_beyond) == (0, 1), (
        "the layer's energy does not explain its only voxel"
    )
    assert single.worst[0].energy_factor == pytest.approx(2, rel=0.3)
    nothing = compared(make_showers(geometry, 2, seed=1), make_showers(geometry, 2, seed=2))
    assert nothing.visible_factor_worst == math.inf


def test_places():
    geometry = get_geometry("calochallenge_1_pions")
    where = geometry.layer_slices
    assert voxel_place(geometry, where[6].start + 2) == "voxel (0, 2) of layer 14 (r = 100 to 150 mm)"
    assert voxel_place(geometry, where[1].start + 11) == (
        "voxel (1, 1) of layer 1 (alpha = -126°, r = 1 to 4 mm)"
    )


def test_refusals(squares, rings, make_showers):
    a, b = make_showers(squares), make_showers(rings)
    sums = voxel_sums([a], e_inc_range=(1.0, 100.0))
    with pytest.raises(GeometryMismatchError):
        compare_voxels(sums, voxel_sums([b], e_inc_range=(1.0, 100.0)))
    with pytest.raises(ValueRangeError, match="e_inc_range"):
        compare_voxels(sums, voxel_sums([a], e_inc_range=(1.0, 90.0)))
    with pytest.raises(ValueRangeError, match="threshold"):
        compare_voxels(sums, voxel_sums([a], e_inc_range=(1.0, 100.0), threshold=0.1))
    with pytest.raises(ValueRangeError, match="0 < low <= high"):
        voxel_sums([a], e_inc_range=(0.0, 1.0))
    with pytest.raises(ValueRangeError, match="no showers"):
        voxel_sums([a[:0]], e_inc_range=(1.0, 2.0))
