"""Copies are found among like energies and in shape; other energies, other sizes and typical showers are none."""

import functools

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from caloforge import Showers
from caloforge.errors import GeometryMismatchError, ValueRangeError
from caloforge.evaluation.copies import COPY, LIKE_ENERGY, check_copies
from caloforge.evaluation.shapes import has_shape, shower_shapes
from support.toys import cartesian, geometry_of, polar, toy_showers

GEOMETRY = geometry_of(cartesian(4, 5), polar(6, 4))


@functools.cache
def sample(name, n=600):
    found = toy_showers(GEOMETRY, n + 50, seed=["training", "reference", "other"].index(name))
    return found[has_shape(found)][:n]


def of(showers, voxels, e_inc=None):
    return Showers(e_inc=showers.e_inc if e_inc is None else e_inc, voxels=voxels, geometry=showers.geometry)


def relative_noise(showers, size):
    return of(
        showers, showers.voxels * (1 + size * np.random.default_rng(5).normal(size=showers.voxels.shape))
    )


def images(showers):
    """Cartesian layer mirrored in both axes, polar layer turned and mirrored."""
    first, second = (showers.voxels[:, where] for where in GEOMETRY.layer_slices)
    first = first.reshape(-1, 4, 5)[:, ::-1, ::-1]
    second = np.roll(second.reshape(-1, 6, 4), 2, axis=1)[:, ::-1]
    return of(showers, np.concatenate([x.reshape(len(showers), -1) for x in (first, second)], axis=1))


COPIED = {
    "exact": lambda s: s,
    "noise of 1 %": lambda s: relative_noise(s, 0.01),
    "scaled to another energy": lambda s: of(s, 1.02 * s.voxels, 1.02 * s.e_inc),
    "scaled alone": lambda s: of(s, 1.02 * s.voxels),
    "energy alone": lambda s: of(s, s.voxels, 1.02 * s.e_inc),
    "mirrored and turned": images,
    "mirrored, scaled and noisy": lambda s: relative_noise(
        of(images(s), 0.97 * s.voxels, 0.97 * s.e_inc), 0.01
    ),
}


@pytest.mark.parametrize("change", COPIED.values(), ids=COPIED.keys())
def test_copies_of_training_showers(change):
    copies = change(sample("training")[:300])
    found = check_copies(copies, sample("reference"), [sample("training")])
    assert found.training.alarm
    assert found.training.copies == 1
    assert found.training.natural == 0
    assert found.training.n_originals == 600
    assert not found.reference.alarm
    assert not found.generated.alarm
    assert check_copies(copies, sample("reference")).training is None


def test_some_copies():
    some = Showers.concatenate([sample("training")[:30], sample("other")[:470]])
    found = check_copies(some, sample("reference"), [sample("training")]).training
    assert found.alarm
    assert found.copies == pytest.approx(30 / 500)
    few = Showers.concatenate([sample("training")[:2], sample("other")[:498]])
    assert not check_copies(few, sample("reference"), [sample("training")]).training.alarm


def test_copies_of_the_reference():
    found = check_copies(sample("reference")[100:400], sample("reference"))
    assert found.reference.copies == 1
    assert found.reference.alarm
    assert not found.generated.alarm


def test_repeated_showers():
    few = sample("other")[:30]
    for change in (lambda s: s, lambda s: relative_noise(s, 0.01)):
        repeated = change(few[np.repeat(np.arange(30), 20)])
        found = check_copies(repeated, sample("reference"), [sample("training")])
        assert found.generated.copies == 1
        assert found.generated.alarm
        assert not found.reference.alarm
        assert not found.training.alarm


def energies(showers, kind):
    """Some of the showers: with other energies, and the same physics at each."""
    e_inc, rng = showers.e_inc, np.random.default_rng(7)
    if kind == "the upper half":
        return showers[e_inc > 1e4]
    if kind == "uniform, not log-uniform":
        return showers[rng.choice(len(e_inc), 150, replace=False, p=e_inc / e_inc.sum())]
    distinct = np.array([2e3, 1e4, 5e4])
    nearest = distinct[np.abs(np.log(e_inc[:, None] / distinct)).argmin(axis=1)]
    like = np.abs(np.log(nearest / e_inc)) < 0.2
    scale = (nearest / e_inc)[like, None]
    return of(showers[like], scale * showers.voxels[like], nearest[like])


@pytest.mark.parametrize("kind", ["the upper half", "uniform, not log-uniform", "three energies"])
def test_another_spectrum_is_no_copy(kind):
    other = energies(sample("other", 1200), kind)
    for generated, reference in (
        (other, sample("reference")),
        (sample("reference"), other),
    ):
        found = check_copies(generated, reference, [sample("training")])
        for check in (found.training, found.reference, found.generated):
            assert not check.alarm
            assert check.copies == 0
            assert 0.85 < np.median(check.generated) / np.median(check.reference) < 1.15


def test_showers_of_energies_that_the_reference_lacks_are_not_judged():
    low, high = (
        sample("other")[mask] for mask in (sample("other").e_inc < 1e4, sample("other").e_inc >= 1e4)
    )
    reference = sample("reference")[sample("reference").e_inc >= 1e4]
    found = check_copies(sample("other"), reference).reference
    beyond = np.count_nonzero(low.e_inc < 1e4 / LIKE_ENERGY)
    assert beyond <= found.n_not_judged < len(low)
    assert len(found.generated) == len(sample("other")) - found.n_not_judged
    with pytest.raises(ValueRangeError, match=r"^0 of \d+ generated showers .* factor 1.25"):
        check_copies(low[low.e_inc < 7e3], reference)
    assert len(check_copies(high, reference).reference.generated) > 0.9 * len(high)


def test_typical_showers_are_no_copies():
    """Showers all like the mean of the training showers copy none of these, but each other."""
    training = sample("training")
    one = of(training, training.voxels, np.full(len(training), 1e4))
    reference = of(sample("reference"), sample("reference").voxels, np.full(600, 1e4))
    mean = (training.voxels / training.voxels.sum(axis=1, keepdims=True)).mean(axis=0)
    noise = 1 + 0.2 * np.random.default_rng(0).normal(size=(300, len(mean)))
    typical = of(one[:300], np.abs(noise) * mean)
    found = check_copies(typical, reference, [one])
    assert found.training.copies == found.reference.copies == 0
    assert found.generated.alarm


def test_against_all_distances():
    """By brute force, with distances in the open."""
    mine, right = sample("other", 200), sample("reference")
    found = check_copies(mine, right)
    shapes = {name: shower_shapes(s).astype(np.float64) for name, s in (("mine", mine), ("right", right))}
    like = {
        pair: np.abs(np.log(a.e_inc[:, None] / b.e_inc)) <= np.log(LIKE_ENERGY)
        for pair, a, b in ((("mine", "right"), mine, right), (("right", "right"), right, right))
    }
    nearest = {}
    for pair, mask in like.items():
        away = np.where(mask, cdist(shapes[pair[0]], shapes[pair[1]]), np.inf)
        if pair[0] == pair[1]:
            np.fill_diagonal(away, np.inf)
        nearest[pair] = away.min(axis=1)
    expected = []
    for k in np.argsort(mine.e_inc):
        near = np.flatnonzero(like["mine", "right"][k])
        if len(near) < 20:
            continue
        assert len(near) <= 200, "else the nearest 200 in energy would count"
        scale = np.quantile(nearest["right", "right"][near], 0.01)
        expected.append(nearest["mine", "right"][k] / scale)
    np.testing.assert_allclose(found.reference.generated, expected, rtol=1e-4)
    assert found.reference.copies == np.mean(np.array(expected) < COPY)


def test_parts_blocks_and_draws(monkeypatch):
    whole = check_copies(sample("other"), sample("reference"), [sample("training")])
    monkeypatch.setattr("caloforge.evaluation.copies._BLOCK_BYTES", 1.0)  # blocks of 16
    parts = [sample("training")[k : k + 37] for k in range(0, 600, 37)]
    again = check_copies(sample("other"), sample("reference"), iter(parts))
    for name in ("training", "reference", "generated"):
        np.testing.assert_allclose(
            getattr(whole, name).generated, getattr(again, name).generated, rtol=1e-4, atol=1e-4
        )
    few = [
        check_copies(sample("training"), sample("reference"), [sample("training")], max_showers=200, seed=s)
        for s in (1, 1, 2)
    ]
    assert len(few[0].training.generated) + few[0].training.n_not_judged == 200
    assert few[0].training.copies == 1, "those drawn are searched among all"
    assert (few[0].generated.generated == few[1].generated.generated).all()
    assert (
        len(few[0].generated.generated) != len(few[2].generated.generated)
        or (few[0].generated.generated != few[2].generated.generated).any()
    )


def test_many_generated_showers_in_few_dimensions_are_no_repeats():
    """Nearest distances shrink with the number of candidates, in three to a quarter for 60 times as many."""
    geometry = geometry_of(cartesian(1, 4))

    def draw(n, seed):
        voxels = np.random.default_rng(seed).uniform(1, 2, (n, 4))
        voxels[:, 3] = 6  # no room for mirror images
        return Showers(e_inc=np.full(n, 1e4), voxels=voxels, geometry=geometry)

    found = check_copies(draw(6000, 1), draw(100, 3), max_showers=1000).generated
    assert not found.alarm
    assert found.copies < 0.02


def test_showers_of_few_hits_are_left_out():
    def partly(showers):
        voxels = showers.voxels.copy()
        voxels[::3] = 0
        voxels[::3, :2] = 1
        return of(showers, voxels)

    found = check_copies(partly(sample("other")), partly(sample("reference")), [partly(sample("training"))])
    for check in (found.training, found.reference, found.generated):
        assert not check.alarm
        assert check.n_not_judged >= 200


def test_other_calorimeters_are_refused():
    other = toy_showers(geometry_of(cartesian(3, 3)), 50)
    with pytest.raises(GeometryMismatchError, match="generated"):
        check_copies(other, sample("reference"))
    with pytest.raises(GeometryMismatchError, match="training"):
        check_copies(sample("other"), sample("reference"), [other])
