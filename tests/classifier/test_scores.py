"""Areas, errors, calibration and divergence against known answers."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from caloforge.classifier.scores import (
    auc_with_error,
    calibrate,
    calibration_curve,
    jensen_shannon,
    pooled,
)
from caloforge.errors import ValueRangeError


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gaussians(n, shift, *, seed):
    """Scores that are the logarithm of the ratio of two Gaussians' densities, ``shift`` apart."""
    rng = np.random.default_rng(seed)
    label = np.repeat([1, 0], n)
    x = rng.normal(size=2 * n) + shift * label
    return shift * (x - shift / 2), label


def true_jsd(shift):
    """Jensen-Shannon divergence of two unit Gaussians, bits, by integration."""
    x = np.linspace(-12, 12 + shift, 200_001)
    p, q = norm.pdf(x), norm.pdf(x - shift)
    return float(np.trapezoid(p * np.log2(2 * p / (p + q)) + q * np.log2(2 * q / (p + q)), x) / 2)


def test_auc_of_gaussians():
    score, label = gaussians(5000, 1.0, seed=0)
    auc, error = auc_with_error(score, label)
    assert auc == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    assert abs(auc - norm.cdf(1 / np.sqrt(2))) < 5 * error
    # The error is right: spread over repetitions.
    again = [auc_with_error(*gaussians(300, 1.0, seed=seed)) for seed in range(200)]
    assert np.std([a for a, _ in again]) == pytest.approx(np.mean([e for _, e in again]), rel=0.2)


def test_ties_count_half():
    auc, _ = auc_with_error(np.array([1.0, 1.0, 1.0, 2.0]), np.array([0, 0, 1, 1]))
    assert auc == 0.75


def test_scores_that_are_all_the_same_know_nothing_for_sure():
    auc, error = auc_with_error(np.zeros(200), np.arange(200) % 2)
    assert auc == 0.5
    assert error == pytest.approx(1 / np.sqrt(6 * 100), rel=0.02)  # of 100 pairs of random scores


def test_auc_needs_both_kinds():
    with pytest.raises(ValueRangeError, match="0 generated"):
        auc_with_error(np.zeros(3), np.ones(3, dtype=int))


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_divergence_of_gaussians(shift):
    found = []
    for seed in range(8):
        fit, test = (gaussians(5000, shift, seed=s) for s in (2 * seed, 2 * seed + 1))
        # A classifier that is right but for its scale: calibration repairs it.
        wrong = sigmoid(3 * test[0] + 1)
        found.append(jensen_shannon(calibrate(sigmoid(3 * fit[0] + 1), fit[1], wrong), test[1]))
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert abs(np.mean(found) - true_jsd(shift)) < 5 * error + 0.004  # steps of the fit cost a little


def test_divergence_of_disjoint_samples_is_one():
    score, label = np.repeat([0.9, 0.1], 5000), np.repeat([1, 0], 5000)
    assert jensen_shannon(calibrate(score, label, score), label) == pytest.approx(1, abs=1e-3)


def test_calibration_curve_of_true_probabilities():
    score, label = gaussians(20_000, 1.0, seed=5)
    curve = calibration_curve(sigmoid(score), label)
    assert sum(curve.showers) == 40_000
    for said, true, error in zip(curve.mean_score, curve.reference_fraction, curve.error, strict=True):
        if said is not None:
            assert abs(said - true) < 5 * error + 0.02
    twice = pooled([curve, curve])
    assert twice.showers == tuple(2 * n for n in curve.showers)
    assert np.array(twice.reference_fraction, dtype=float) == pytest.approx(
        np.array(curve.reference_fraction, dtype=float), nan_ok=True
    )


def test_empty_bins():
    curve = calibration_curve(np.array([0.0, 1.0]), np.array([0, 1]))
    assert curve.showers == (1, 0, 0, 0, 0, 0, 0, 0, 0, 1)
    assert curve.mean_score[0] == 0.0
    assert curve.reference_fraction[-1] == 1.0
    assert curve.mean_score[1] is curve.error[1] is None
