"""FPD and KPD against a second derivation from the published definitions, and against known answers."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import linalg, optimize
from sklearn.metrics.pairwise import polynomial_kernel

from caloforge.errors import ConfigError, ShapeError, UnknownNameError, ValueRangeError
from caloforge.evaluation.fpd import frechet_distance, frechet_physics_distance
from caloforge.evaluation.kpd import kernel_physics_distance, squared_mmd
from caloforge.evaluation.physics_distance import PHYSICS_DISTANCE_SETTINGS, PhysicsDistanceSettings

QUICK = PhysicsDistanceSettings(min_samples=200, max_samples=500, kernel_batch_size=300)


@pytest.fixture
def samples():
    """Generated, reference: features of very different scales, one of them 0 in the reference."""
    rng = np.random.default_rng(8)
    mixing = rng.normal(size=(5, 5))
    reference = rng.normal(size=(700, 5)) @ mixing * [1e4, 1.0, 1e-3, 1.0, 0.0]
    generated = (rng.normal(size=(600, 5)) ** 3 / 4 + 0.3) @ mixing * [1e4, 1.0, 1e-3, 1.0, 1e-2]
    return generated, reference


def scaled(generated, reference):
    largest = np.abs(reference).max(axis=0)
    largest = np.where(largest == 0, 1, largest)
    return reference / largest, generated / largest


def fpd_again(generated, reference, s):
    x, y = scaled(generated, reference)
    sizes = [int(1 / q) for q in np.linspace(1 / s.min_samples, 1 / s.max_samples, s.n_points)]
    rng = np.random.default_rng(s.seed)
    means = []
    for size in sizes:
        found = []
        for _ in range(s.n_batches):
            a, b = x[rng.choice(len(x), size=size)], y[rng.choice(len(y), size=size)]
            c, d = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
            live = np.diag(c) > 0  # sqrtm finds no root of a singular matrix; the empty feature adds nothing
            root = linalg.sqrtm(c[np.ix_(live, live)] @ d[np.ix_(live, live)])
            away = a.mean(axis=0) - b.mean(axis=0)
            found.append(away @ away + np.trace(c + d) - 2 * np.trace(root).real)
        means.append(np.mean(found))
    straight = np.polyfit(1 / np.array(sizes), means, 1)
    assert (straight > 0).all()  # so that the bounds below change nothing
    fitted, covariance = optimize.curve_fit(
        lambda q, start, slope: start + slope * q, 1 / np.array(sizes), means, bounds=([0, 0], np.inf)
    )
    assert fitted[0] == pytest.approx(straight[1], rel=1e-4)  # it stops early
    return straight[1], math.sqrt(covariance[0, 0])


def kpd_again(generated, reference, s):
    x, y = scaled(generated, reference)
    found = []
    for batch in range(s.kernel_batches):
        rng = np.random.default_rng(s.seed + 1000 * batch)
        a, b = (v[rng.choice(len(v), size=s.kernel_batch_size)] for v in (x, y))
        inside = 0.0
        for v in (a, b):
            kernel = polynomial_kernel(v, degree=4, gamma=1 / v.shape[1], coef0=1)
            inside += kernel[~np.eye(len(v), dtype=bool)].mean()
        found.append(inside - 2 * polynomial_kernel(a, b, degree=4, gamma=1 / a.shape[1], coef0=1).mean())
    low, high = np.quantile(found, [0.16275, 0.83725])
    return np.median(found), (high - low) / 2


@pytest.mark.parametrize("shift", [0.0, 0.3], ids=["near", "far"])
def test_fpd_derived_again(samples, shift):
    generated, reference = samples
    generated = generated + shift * reference.std(axis=0)
    found = frechet_physics_distance(generated, reference, settings=QUICK, draws=2)
    value, error = fpd_again(generated, reference, QUICK)
    assert found.value == pytest.approx(value, rel=1e-9)
    assert found.error == pytest.approx(error, rel=1e-3)


@pytest.mark.parametrize("batch", [300, 1000], ids=["smaller", "larger than the sample"])
def test_kpd_derived_again(samples, batch):
    settings = replace(QUICK, kernel_batch_size=batch, kernel_batches=5, seed=7)
    found = kernel_physics_distance(*samples, settings=settings, draws=2)
    value, error = kpd_again(*samples, settings)
    assert found.value == pytest.approx(value, rel=1e-9)
    assert found.error == pytest.approx(error, rel=1e-9)


def test_settings_are_the_published_ones():
    for name, smallest, batch in (("jetnet", 20_000, 5_000), ("calochallenge", 10_000, 10_000)):
        s = PHYSICS_DISTANCE_SETTINGS[name]
        assert (s.min_samples, s.max_samples, s.n_points, s.n_batches) == (smallest, 50_000, 10, 20)
        assert (s.kernel_batch_size, s.kernel_batches, s.seed) == (batch, 10, 42)


def test_both_published_settings_with_a_small_sample(samples):
    generated, reference = (values[:100] for values in samples)
    for name, settings in PHYSICS_DISTANCE_SETTINGS.items():
        found = frechet_physics_distance(generated, reference, settings=name, draws=2)
        assert found.settings == settings
        assert "100 generated and 100 reference" in found.notes[0]
        assert "with replacement" in found.notes[1]
        # Batches without end of these samples have the samples' own moments.
        x, y = scaled(generated, reference)
        plain = frechet_distance(x.mean(0), np.cov(x.T, ddof=0), y.mean(0), np.cov(y.T, ddof=0))
        assert found.value == pytest.approx(plain, abs=5 * found.error)
        kernel = kernel_physics_distance(generated, reference, settings=name, draws=2)
        assert kernel.settings == settings
        assert f"up to {settings.kernel_batch_size} were drawn with replacement" in kernel.notes[1]


def test_frechet_distance_of_known_gaussians():
    one = np.eye(1)
    assert frechet_distance(np.zeros(1), 4 * one, np.ones(1), 9 * one) == pytest.approx(1 + (3 - 2) ** 2)
    commuting = np.diag([1.0, 4.0, 0.0]), np.diag([9.0, 1.0, 1.0])
    assert frechet_distance(np.zeros(3), commuting[0], np.zeros(3), commuting[1]) == pytest.approx(4 + 1 + 1)
    rng = np.random.default_rng(1)
    a, b = (m @ m.T for m in rng.normal(size=(2, 4, 4)))
    expected = np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)
    assert frechet_distance(np.zeros(4), a, np.zeros(4), b) == pytest.approx(expected)
    assert frechet_distance(np.zeros(4), a, np.zeros(4), a) == pytest.approx(0, abs=1e-12)


def test_squared_mmd_by_hand():
    x, y = np.array([[0.0], [1.0]]), np.array([[2.0], [0.0], [1.0]])
    # Kernel (x y + 1)^4: within x 1; within y 1, 81, 1; across 1, 1, 1, 81, 1, 16
    assert squared_mmd(x, y) == pytest.approx(1 + 83 / 3 - 2 * 101 / 6)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 1500, 3))
    counts = rng.integers(3, size=1500)
    assert squared_mmd(x, y, x_counts=counts) == pytest.approx(squared_mmd(np.repeat(x, counts, axis=0), y))


def test_known_answer_of_the_fpd():
    """Two Gaussians of known distance, in units in which the largest reference value is 1."""
    rng = np.random.default_rng(2)
    n, mean, std = 20_000, np.array([0.2, 0.0]), np.array([1.0, 1.3])
    reference, generated = rng.normal(size=(n, 2)), mean + std * rng.normal(size=(n, 2))
    largest = np.abs(reference).max(axis=0)
    expected = ((mean / largest) ** 2 + ((std - 1) / largest) ** 2).sum()
    found = frechet_physics_distance(generated, reference, settings="calochallenge", draws=20)
    assert abs(found.value - expected) < 5 * math.hypot(found.sample_error, found.error) + found.floor
    assert found.value > found.floor_95


def test_identical_samples(samples):
    reference = samples[1]
    fpd = frechet_physics_distance(reference, reference, settings="jetnet", draws=2)
    assert fpd.value < 5 * max(fpd.error, 1e-6)
    kpd = kernel_physics_distance(reference, reference, settings=QUICK, draws=2)
    assert abs(kpd.value) < 5 * kpd.error


@pytest.mark.parametrize("distance", [frechet_physics_distance, kernel_physics_distance])
def test_floor_and_sample_error_are_those_of_new_samples(distance):
    """Equal and different samples, many times: the floor is the mean, the error the spread."""
    rng = np.random.default_rng(3)
    settings = PhysicsDistanceSettings(
        min_samples=2000, max_samples=9000, n_points=3, n_batches=2, kernel_batch_size=2000, kernel_batches=5
    )
    repeats = 200
    same = [
        distance(*rng.uniform(-1, 1, size=(2, 150, 3)), settings=settings, draws=25) for _ in range(repeats)
    ]
    values, floors = (np.array([getattr(r, k) for r in same]) for k in ("value", "floor"))
    assert abs(values.mean() - floors.mean()) < 5 * math.hypot(values.std(), floors.std()) / math.sqrt(
        repeats
    )
    assert np.mean([r.value > r.floor_95 for r in same]) < 0.05 + 5 * math.sqrt(0.05 * 0.95 / repeats)
    other = [
        distance(
            rng.uniform(-0.6, 1, size=(150, 3)),
            rng.uniform(-1, 1, size=(150, 3)),
            settings=settings,
            draws=25,
        )
        for _ in range(repeats)
    ]
    assert all(r.value > r.floor_95 for r in other)
    spread = np.std([r.value for r in other])
    assert np.mean([r.sample_error for r in other]) == pytest.approx(spread, rel=5 / math.sqrt(2 * repeats))


def test_floor_of_many_showers_from_a_part_of_them(monkeypatch):
    generated, reference = np.random.default_rng(4).normal(size=(2, 1000, 2))
    whole = kernel_physics_distance(generated, reference, settings=QUICK)
    monkeypatch.setattr("caloforge.evaluation.kpd._FLOOR_SHOWERS", 250)
    part = kernel_physics_distance(generated, reference, settings=QUICK)
    assert part.value == whole.value
    assert part.floor != whole.floor
    assert part.floor == pytest.approx(whole.floor, rel=0.5)


def test_the_same_seed_gives_the_same(samples):
    for distance in (frechet_physics_distance, kernel_physics_distance):
        first, again, other = (
            distance(*samples, settings=replace(QUICK, seed=seed), draws=2) for seed in (1, 1, 2)
        )
        assert first == again
        assert first.value != other.value


def test_refusals(samples):
    generated, reference = samples
    with pytest.raises(UnknownNameError, match="jetnet"):
        frechet_physics_distance(generated, reference, settings="jetnets")
    with pytest.raises(ValueRangeError, match="has 6 showers; the FPD in 5 features needs at least 7"):
        frechet_physics_distance(generated[:6], reference)
    with pytest.raises(ValueRangeError, match="needs at least 2"):
        kernel_physics_distance(generated, reference[:1])
    with pytest.raises(ConfigError, match="draws"):
        kernel_physics_distance(generated, reference, draws=1)
    for distance in (frechet_physics_distance, kernel_physics_distance):
        with pytest.raises(ShapeError):
            distance(generated, np.zeros(5))
        with pytest.raises(ShapeError):
            distance(generated[:, :3], reference)
    for wrong in ({"min_samples": 60_000}, {"min_samples": 1}, {"n_points": 2}, {"seed": -1}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            replace(PHYSICS_DISTANCE_SETTINGS["jetnet"], **wrong)
