import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caloforge.errors import ShapeError, ValueRangeError
from caloforge.evaluation import (
    bin_samples,
    chi_square,
    reference_edges,
    separation_error,
    separation_floor,
    separation_power,
)

counts = st.lists(st.integers(0, 1000), min_size=6, max_size=6).filter(any).map(np.array)


@given(counts, counts)
def test_separation_power_properties(p, q):
    found = separation_power(p, q)
    assert 0 <= found <= 1 + 1e-12
    assert found == pytest.approx(separation_power(q, p))
    assert found == pytest.approx(separation_power(3 * p, q))  # shapes alone count
    assert separation_power(p, 2 * p) == pytest.approx(0, abs=1e-12)


def test_separation_power_on_paper():
    assert separation_power(np.array([1, 0, 2]), np.array([0, 5, 0])) == 1
    # p = (1/2, 1/2), q = (1/4, 3/4): (1/16 / (3/4) + 1/16 / (5/4)) / 2
    assert separation_power(np.array([1, 1, 0]), np.array([1, 3, 0])) == pytest.approx((1 / 12 + 1 / 20) / 2)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (np.zeros(3), ValueRangeError),
        (np.array([1, -1, 2]), ValueRangeError),
        (np.array([1, math.nan, 2]), ValueRangeError),
        (np.ones(4), ShapeError),
        (np.ones((3, 1)), ShapeError),
        (np.empty(0), ValueRangeError),
    ],
)
def test_separation_power_refuses(bad, error):
    with pytest.raises(error):
        separation_power(np.ones(3), bad)


def test_floor_is_what_equal_samples_have():
    rng = np.random.default_rng(1)
    bins, n, m, repeats = 20, 400, 1000, 200
    edges = np.linspace(0, 1, bins + 1)
    found, below = [], 0
    for _ in range(repeats):
        binned = bin_samples(rng.random(n), rng.random(m), edges)
        floor, floor_95 = separation_floor(binned.generated, binned.reference, draws=200)
        found.append(binned.separation)
        below += binned.separation <= floor_95
    stderr = np.std(found) / math.sqrt(repeats)
    assert abs(np.mean(found) - (bins - 1) / 4 * (1 / n + 1 / m)) < 5 * stderr
    assert abs(floor - np.mean(found)) < 5 * stderr + 0.002
    assert abs(below / repeats - 0.95) < 5 * math.sqrt(0.95 * 0.05 / repeats)


def test_floor_depends_on_the_seed_alone():
    p, q = np.array([5, 9, 4]), np.array([3, 4, 11])
    assert separation_floor(p, q) == separation_floor(p, q)
    assert separation_floor(p, q) != separation_floor(p, q, seed=1)


def test_overflow_counts_in_the_outer_bins():
    binned = bin_samples(np.array([-9.0, 0.5, 1.0, 99.0]), np.array([0.0, 2.0]), np.array([0.0, 1.0, 2.0]))
    assert binned.generated.tolist() == [2, 2]
    assert binned.reference.tolist() == [1, 1]
    assert binned.ratio.tolist() == [1, 1]
    np.testing.assert_allclose(binned.ratio_error, math.sqrt(2) / 4 / 0.5)
    np.testing.assert_allclose(binned.reference_relative_error, 1.0)


def test_identical_and_disjoint_samples():
    values = np.random.default_rng(0).normal(size=300)
    edges = reference_edges(values)
    assert len(edges) == 31
    assert bin_samples(values, values, edges).separation == 0
    assert bin_samples(values + 100, values, edges).separation > 0.95  # all in the last bin
    assert bin_samples(np.full(5, 3.0), np.full(5, 1.0), reference_edges(np.full(5, 1.0))).separation == 1


@pytest.mark.parametrize("constant", [0.0, 1.0, -3.0, 5e8])
def test_constant_reference(constant):
    edges = reference_edges(np.full(10, constant))
    for other, expected in ((constant, 0), (constant * 1.01 + 1, 1), (constant * 0.99 - 1, 1)):
        assert bin_samples(np.full(4, other), np.full(10, constant), edges).separation == expected


def test_logarithmic_bins_take_zeros():
    reference = np.array([0.0, 0.0, 1.0, 10.0, 100.0])
    edges = reference_edges(reference, n_bins=4, logarithmic=True)
    np.testing.assert_allclose(np.diff(np.log(edges)), np.log(edges[1] / edges[0]))
    assert bin_samples(reference, reference, edges).reference.tolist()[0] == 3
    zeros = np.zeros(3)
    binned = bin_samples(np.array([0.0, 7.0]), zeros, reference_edges(zeros, logarithmic=True))
    assert (binned.reference.tolist(), binned.generated.tolist()) == ([3, 0], [1, 1])


@pytest.mark.parametrize("bad", [np.empty(0), np.array([1.0, math.nan]), np.ones((2, 2))])
def test_bad_samples(bad):
    with pytest.raises(ValueError, match=r"reference"):
        reference_edges(bad)
    with pytest.raises(ValueError, match=r"generated"):
        bin_samples(bad, np.ones(3), np.array([0.0, 1.0]))


@pytest.mark.parametrize("edges", [[1.0], [1.0, 1.0], [2.0, 1.0], [[1.0, 2.0]], [0.0, math.nan]])
def test_bad_edges(edges):
    with pytest.raises(ValueRangeError, match="increasing"):
        bin_samples(np.ones(3), np.ones(3), np.array(edges))


def test_chi_square_on_paper():
    # (60 - 40)^2 / 100 + (40 - 60)^2 / 100
    found = chi_square(np.array([60, 40]), np.array([40, 60]))
    assert (found.value, found.ndf, found.reduced) == (8, 1, 8)
    assert found.p_value == pytest.approx(math.erfc(2.0))  # |z| > sqrt(8)
    # twice as many of the other: n / 100 - m / 200 over its error
    found = chi_square(np.array([60, 40]), np.array([80, 120]))
    assert found.value == pytest.approx((60 * 2 - 80) ** 2 / 2 / 140 + (40 * 2 - 120) ** 2 / 2 / 160)
    assert chi_square(np.array([5, 7, 90]), np.array([5, 7, 90])).value == 0


def test_chi_square_joins_bins_with_few_entries():
    p, q = np.array([0, 1, 0, 60, 40, 3, 0]), np.array([1, 0, 8, 40, 60, 2, 1])
    joined = chi_square(np.array([1, 60, 43]), np.array([9, 40, 63]))
    assert chi_square(p, q) == joined
    assert joined.ndf == 2
    nothing = chi_square(np.array([3, 2]), np.array([2, 1]))
    assert (nothing.value, nothing.ndf, nothing.p_value) == (0, 0, 1)
    assert math.isnan(nothing.reduced)


def test_chi_square_of_equal_distributions():
    rng = np.random.default_rng(5)
    shape = rng.dirichlet(np.ones(20))
    found = [chi_square(rng.multinomial(3000, shape), rng.multinomial(5000, shape)) for _ in range(400)]
    reduced = np.array([chi2.reduced for chi2 in found])
    assert abs(reduced.mean() - 1) < 5 * reduced.std() / math.sqrt(400)
    p_values = np.array([chi2.p_value for chi2 in found])
    assert abs(p_values.mean() - 0.5) < 5 / math.sqrt(12 * 400)


@pytest.mark.parametrize("shift", [0.0, 0.3, 3.0], ids=["equal", "near", "far"])
def test_separation_error(shift):
    rng = np.random.default_rng(7)
    shapes = [np.exp(-0.5 * (np.arange(25) / 4 - 3 - x) ** 2) for x in (0, shift)]
    p, q = (shape / shape.sum() for shape in shapes)
    draws = [(rng.multinomial(2000, p), rng.multinomial(3000, q)) for _ in range(500)]
    spread = np.std([separation_power(*pair) for pair in draws])
    mean_error = np.sqrt(np.mean([separation_error(*pair) ** 2 for pair in draws]))
    assert 0.75 < mean_error / spread < 1.35
