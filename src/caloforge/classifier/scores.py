"""From scores to numbers: area under the ROC curve with its error, calibration, Jensen-Shannon divergence."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata
from sklearn.isotonic import IsotonicRegression

from caloforge.classifier.result import CalibrationCurve
from caloforge.errors import ValueRangeError

__all__ = ["auc_with_error", "calibrate", "calibration_curve", "cross_entropy", "jensen_shannon", "pooled"]

_CLIP = 1e-6
_BINS = 10


def auc_with_error(score: Float[np.ndarray, " n"], label: Int[np.ndarray, " n"]) -> tuple[float, float]:
    r"""Area under the ROC curve and its standard error from the finite sample.

    The share of pairs of a reference and another shower in which the reference has the higher score; ties count
    half. 0.5 for scores that know nothing.

    Args:
        score: Higher for reference, ``(n,)``.
        label: 1 for reference, 0 for generated, ``(n,)``.

    Raises:
        ValueRangeError: Not both labels occur.

    References:
        E. DeLong, D. DeLong, D. Clarke-Pearson, Biometrics 44 (1988) 837.
        J. Hanley, B. McNeil, Radiology 143 (1982) 29 (the least error).

    Example:
        >>> auc_with_error(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1]))[0]
        0.75
    """
    true, false = score[label == 1], score[label == 0]
    m, n = len(true), len(false)
    if not (m and n):
        raise ValueRangeError(f"An AUC needs showers of both kinds, got {m} reference and {n} generated.")
    ranks = rankdata(np.concatenate([true, false]))
    above = (ranks[:m] - rankdata(true)) / n  # share of the others below each reference shower
    below = 1 - (ranks[m:] - rankdata(false)) / m
    variance = sum(np.var(part, ddof=1) / len(part) for part in (above, below) if len(part) > 1)
    auc = float(above.mean())
    return auc, max(float(np.sqrt(variance)), _smallest_error(auc, m, n))


def _smallest_error(auc: float, m: int, n: int) -> float:
    """What Hanley and McNeil expect of an AUC; DeLong's estimate is 0 for scores that are all the same."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (m - 1) * (q1 - auc**2) + (n - 1) * (q2 - auc**2)
    return float(np.sqrt(max(0.0, variance) / (m * n)))


def calibrate(
    score: Float[np.ndarray, " n"], label: Int[np.ndarray, " n"], other: Float[np.ndarray, " m"]
) -> Float[np.ndarray, " m"]:
    """Scores turned into probabilities by an isotonic fit on showers that trained nothing.

    Probabilities are kept from 0 and 1 by the resolution of the fit, one over the number of its showers, but
    at least by the CaloChallenge's 1e-6: a few hundred showers cannot show more, and a single one beyond a
    step to 0 would cost 20 bits. For two Gaussians of JSD 0.044, fitted and measured on 800 showers each, this finds
    0.024 +- 0.017 and a limit of 1e-6 finds 0.008 +- 0.030; on 20,000 both find 0.043 +- 0.003.

    Args:
        score: Of the showers to fit, ``(n,)``, from 0 to 1.
        label: Theirs, 1 for reference.
        other: Scores to turn, ``(m,)``.
    """
    clip = max(_CLIP, 1 / len(score))
    fit = IsotonicRegression(out_of_bounds="clip", y_min=clip, y_max=1 - clip)
    return fit.fit(score, label).predict(other)


def cross_entropy(logits: Float[np.ndarray, " n"], label: Int[np.ndarray, " n"]) -> float:
    """In nats, from logits: exact where a probability would round to 0 or 1."""
    return float(np.logaddexp(0, np.where(label == 1, -logits, logits)).mean())


def jensen_shannon(probability: Float[np.ndarray, " n"], label: Int[np.ndarray, " n"]) -> float:
    r"""Jensen-Shannon divergence in bits as the classifier sees it.

    .. math:: 1 - \mathrm{BCE} / \ln 2

    The binary cross entropy of the best classifier gives the true divergence, any other less; 0 for equal
    samples, 1 for disjoint ones, and below 0 where the probabilities are worse than saying 1/2. Each kind
    of shower counts half.
    """
    cost = -np.log2(np.where(label == 1, probability, 1 - probability))
    return float(1 - (cost[label == 1].mean() + cost[label == 0].mean()) / 2)


def calibration_curve(
    probability: Float[np.ndarray, " n"], label: Int[np.ndarray, " n"], *, bins: int = _BINS
) -> CalibrationCurve:
    """What was said against what was true, in equal bins of the probability."""
    where = np.minimum((probability * bins).astype(int), bins - 1)
    showers = np.bincount(where, minlength=bins)
    return _curve(
        np.linspace(0, 1, bins + 1),
        showers,
        np.bincount(where, weights=probability, minlength=bins),
        np.bincount(where, weights=label, minlength=bins),
    )


def pooled(curves: Sequence[CalibrationCurve]) -> CalibrationCurve:
    """One curve of the showers of several, whose bins are the same."""
    showers = np.array([curve.showers for curve in curves])
    score, reference = (
        np.sum(showers * [[0.0 if x is None else x for x in column] for column in columns], axis=0)
        for columns in (
            [curve.mean_score for curve in curves],
            [curve.reference_fraction for curve in curves],
        )
    )
    return _curve(np.array(curves[0].edges), showers.sum(axis=0), score, reference)


def _curve(
    edges: Float[np.ndarray, " b+1"],
    showers: Int[np.ndarray, " b"],
    score_sum: Float[np.ndarray, " b"],
    reference_sum: Float[np.ndarray, " b"],
) -> CalibrationCurve:
    mean, share, error = [], [], []
    for n, score, reference in zip(showers.tolist(), score_sum, reference_sum, strict=True):
        p = float(reference / n) if n else None
        mean.append(float(score / n) if n else None)
        share.append(p)
        error.append(None if p is None else float(np.sqrt(max(0.0, p * (1 - p)) / n)))
    return CalibrationCurve(
        edges=tuple(edges.tolist()),
        showers=tuple(showers.tolist()),
        mean_score=tuple(mean),
        reference_fraction=tuple(share),
        error=tuple(error),
    )
