import math

import numpy as np
import pytest

from caloforge.errors import ShapeError, ValueRangeError
from caloforge.evaluation.correlation import compare_correlations, correlation_matrix


def skewed(rng, n):
    """Correlated and far from Gaussian."""
    shared = 2 * rng.beta(0.5, 1.5, size=n)
    return np.stack([shared, shared**2 + rng.beta(0.5, 1.5, size=n), rng.gamma(2, size=n) - shared], axis=1)


def test_values_are_numpys():
    values = skewed(np.random.default_rng(1), 300) * [1e6, 1.0, 1e-6] + [0.0, 1e3, 0.0]
    np.testing.assert_allclose(correlation_matrix(values)[0], np.corrcoef(values.T), rtol=1e-10)


def test_errors_of_a_gaussian():
    n, rho = 200_000, 0.6
    values = np.random.default_rng(1).multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=n)
    found, error = correlation_matrix(values)
    assert error[0, 1] == pytest.approx((1 - rho**2) / math.sqrt(n), rel=0.03)
    assert abs(found[0, 1] - rho) < 5 * error[0, 1]
    assert error[0, 0] == 0


def test_errors_are_the_spread():
    rng = np.random.default_rng(2)
    found = [correlation_matrix(skewed(rng, 4000)) for _ in range(300)]
    spread = np.std([r for r, _ in found], axis=0)
    upper = np.triu_indices(3, k=1)
    mean_error = np.mean([error for _, error in found], axis=0)
    np.testing.assert_allclose(mean_error[upper], spread[upper], rtol=5 / math.sqrt(2 * 300))


def test_equal_samples():
    rng = np.random.default_rng(4)
    found = [compare_correlations(skewed(rng, 2000), skewed(rng, 3000)) for _ in range(100)]
    assert np.sqrt(np.mean([c.rms_sigma**2 for c in found])) == pytest.approx(1, abs=0.25)
    beyond = np.mean([abs(c.largest[0].sigma) > c.chance_sigma_95 for c in found])
    assert beyond < 0.05 + 5 * math.sqrt(0.05 * 0.95 / 100)
    same = compare_correlations(*[skewed(rng, 100)] * 2)
    assert not same.difference.any()
    assert same.rms_sigma == same.mean_absolute_difference == 0


def test_a_planted_correlation_is_the_worst():
    rng = np.random.default_rng(5)
    generated, reference = rng.normal(size=(2, 1000, 5))
    generated[:, 3] -= 0.5 * generated[:, 1]
    found = compare_correlations(generated, reference, names="abcde", n_largest=4)
    worst = found.largest[0]
    assert (worst.first, worst.second) == ("b", "d")
    assert worst.sigma < -5 < -found.chance_sigma_95
    assert worst.sigma == found.sigma[1, 3] == pytest.approx(worst.difference / worst.error)
    assert worst.difference == found.difference[3, 1] == worst.generated - worst.reference
    assert found.n_pairs == 10
    assert len(found.largest) == 4
    assert abs(found.largest[1].sigma) >= abs(found.largest[2].sigma) >= abs(found.largest[3].sigma)


def test_constant_and_redundant_features():
    rng = np.random.default_rng(6)
    generated, reference = rng.normal(size=(2, 100, 4))
    generated[:, 2] = 7e5 / 3
    for values in (generated, reference):
        values[:, 1] = 1 - 3 * values[:, 0]  # correlation -1 in both: no deviation
    found = compare_correlations(generated, reference, names="abcd")
    assert found.constant == ("c",)
    assert found.n_pairs == 3
    assert np.isnan(found.generated[2]).all()
    assert found.reference[2, 2] == 1
    assert abs(found.sigma[0, 1]) < 1e-3
    assert all("c" not in (pair.first, pair.second) for pair in found.largest)
    alone = compare_correlations(generated[:, 2:3], reference[:, 2:3])
    assert (alone.n_pairs, alone.largest) == (0, ())
    assert math.isnan(alone.rms_sigma)


def test_refusals():
    with pytest.raises(ValueRangeError, match="at least 3"):
        compare_correlations(np.zeros((2, 2)), np.zeros((5, 2)))
    with pytest.raises(ShapeError):
        compare_correlations(np.zeros((5, 3)), np.zeros((5, 2)))
    with pytest.raises(ShapeError):
        correlation_matrix(np.zeros(5))
