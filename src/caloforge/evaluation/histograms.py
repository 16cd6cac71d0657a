"""Two samples of one number in the same bins: counts, errors, ratio, separation power and its floor, chi2."""

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import chi2 as chi2_distribution

from caloforge.errors import ShapeError, ValueRangeError

__all__ = [
    "BinnedComparison",
    "ChiSquare",
    "bin_samples",
    "chi_square",
    "reference_edges",
    "separation_power",
    "separation_error",
    "separation_floor",
]

_QUANTILES = (0.005, 0.995)
_LEAST_COUNT = 10  # of both samples together in a term of chi2, for its distribution to hold


def separation_power(p_counts: Float[np.ndarray, " b"], q_counts: Float[np.ndarray, " b"]) -> float:
    r"""Triangular discriminator of two histograms with the same bins.

    .. math:: S = \frac{1}{2} \sum_i \frac{(p_i - q_i)^2}{p_i + q_i} \in [0, 1]

    with p and q normalised to 1. 0 for equal shapes, 1 for no overlap; lower is better. Bins empty in both
    count as 0. Two finite samples of the same distribution give more than 0, see :func:`separation_floor`.

    Args:
        p_counts: Counts or weights per bin, not negative, ``(b,)``.
        q_counts: The same of the other sample, ``(b,)``.

    Raises:
        ShapeError: The histograms have different bins.
        ValueRangeError: A histogram is empty or has a count that is negative or not finite.

    References:
        S. Diefenbacher et al., DCTRGAN: improving the precision of generative models with reweighting,
        arXiv:2009.03796, equation 15.

    Example:
        >>> round(separation_power(np.array([1, 1]), np.array([1, 3])), 6)
        0.066667
    """
    p, q = _probabilities("p_counts", p_counts), _probabilities("q_counts", q_counts)
    if p.shape != q.shape:
        raise ShapeError("q_counts", q.shape, f"{p.shape}, as p_counts")
    return float(_triangular(p, q))


def separation_floor(
    p_counts: Float[np.ndarray, " b"],
    q_counts: Float[np.ndarray, " b"],
    *,
    seed: int = 0,
    draws: int = 500,
) -> tuple[float, float]:
    r"""Separation power that two samples of these sizes have although they share one distribution.

    The sum of both histograms is taken for the common distribution, and pairs of histograms are drawn from it;
    about :math:`\frac{b - 1}{4} (1/n_p + 1/n_q)` for b well-filled bins.

    Args:
        p_counts: Counts per bin, ``(b,)``.
        q_counts: Counts per bin of the other sample, ``(b,)``.
        seed: Fixes the draws.
        draws: Number of pairs.

    Returns:
        The mean and the 95 % quantile. A separation above the second is a real difference.

    Raises:
        ShapeError: As :func:`separation_power`.
        ValueRangeError: As :func:`separation_power`.
    """
    separation_power(p_counts, q_counts)  # checks both
    n_p, n_q = int(np.sum(p_counts)), int(np.sum(q_counts))
    common = (np.asarray(p_counts) + np.asarray(q_counts)) / (n_p + n_q)
    rng = np.random.default_rng(seed)
    found = _triangular(
        rng.multinomial(n_p, common, size=draws) / n_p, rng.multinomial(n_q, common, size=draws) / n_q
    )
    return float(found.mean()), float(np.quantile(found, 0.95))


def separation_error(p_counts: Float[np.ndarray, " b"], q_counts: Float[np.ndarray, " b"]) -> float:
    r"""Standard error of the separation power, from the counts of both samples.

    .. math:: \sigma^2 = \max\left(0, \frac{\mathrm{Var}_p\, s}{n_p} + \frac{\mathrm{Var}_q\, t}{n_q} - 2 f\right)
              + f, \quad s_i = \frac{\partial S}{\partial p_i}, \; t_i = \frac{\partial S}{\partial q_i}, \quad
              f = \frac{b - 1}{8} \left(\frac{1}{n_p} + \frac{1}{n_q}\right)^2

    The linear terms are large where the shapes differ, less what the fluctuations of equal shapes put into them;
    :math:`f` is the variance for equal shapes with b filled bins, where the linear terms vanish.

    Args:
        p_counts: Counts per bin, ``(b,)``.
        q_counts: Counts per bin of the other sample, ``(b,)``.

    Raises:
        ShapeError: As :func:`separation_power`.
        ValueRangeError: As :func:`separation_power`.
    """
    separation_power(p_counts, q_counts)  # checks both
    p, q = _probabilities("p_counts", p_counts), _probabilities("q_counts", q_counts)
    n_p, n_q = float(np.sum(p_counts)), float(np.sum(q_counts))
    filled = p + q > 0
    p, q = p[filled], q[filled]
    equal = (len(p) - 1) / 8 * (1 / n_p + 1 / n_q) ** 2
    linear = 0.0
    for one, other, n in ((p, q, n_p), (q, p, n_q)):
        slope = 0.5 * (one - other) * (one + 3 * other) / (one + other) ** 2
        linear += float(np.sum(one * slope**2) - np.sum(one * slope) ** 2) / n
    return math.sqrt(max(0.0, linear - 2 * equal) + equal)


@final
@dataclass(frozen=True, kw_only=True)
class ChiSquare:
    """A test whether two samples share one distribution."""

    value: float
    """The sum of squared deviations in units of their errors."""
    ndf: int
    """Degrees of freedom: bins, after joining those with few entries, less 1."""
    p_value: float
    """Chance of a larger value if they do; 1 where nothing can differ."""

    @property
    def reduced(self) -> float:
        """Value per degree of freedom: about 1 if they do, lower is better; NaN without any."""
        return self.value / self.ndf if self.ndf else math.nan


def chi_square(p_counts: Int[np.ndarray, " b"], q_counts: Int[np.ndarray, " b"]) -> ChiSquare:
    r"""Chi-square of two histograms with statistical errors of both samples, their sizes divided out.

    .. math:: \chi^2 = \sum_i \frac{\left(\sqrt{M/N}\, n_i - \sqrt{N/M}\, m_i\right)^2}{n_i + m_i}

    with :math:`N = \sum n_i, M = \sum m_i`. Neighbouring bins are joined until each has 10 entries of both
    samples together, as in a bin with fewer the deviation is not distributed as the test assumes.

    Args:
        p_counts: Counts per bin, ``(b,)``.
        q_counts: Counts per bin of the other sample, ``(b,)``.

    Raises:
        ShapeError: As :func:`separation_power`.
        ValueRangeError: As :func:`separation_power`.

    References:
        F. C. Porter, Testing consistency of two histograms, arXiv:0804.0380, section 4.1.

    Example:
        >>> chi_square(np.array([60, 40]), np.array([40, 60])).value
        8.0
    """
    separation_power(p_counts, q_counts)  # checks both
    n, m = np.asarray(p_counts, dtype=np.float64), np.asarray(q_counts, dtype=np.float64)
    starts = [0]
    entries = np.cumsum(n + m)
    for k in range(len(n) - 1):
        before = entries[starts[-1] - 1] if starts[-1] else 0.0
        if entries[k] - before >= _LEAST_COUNT and entries[-1] - entries[k] >= _LEAST_COUNT:
            starts.append(k + 1)
    n, m = np.add.reduceat(n, starts), np.add.reduceat(m, starts)
    ratio = math.sqrt(m.sum() / n.sum())
    value = float(np.sum((ratio * n - m / ratio) ** 2 / (n + m)))
    ndf = len(n) - 1
    return ChiSquare(
        value=value if ndf else 0.0,
        ndf=ndf,
        p_value=float(chi2_distribution.sf(value, ndf)) if ndf else 1.0,
    )


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class BinnedComparison:
    """Histograms of a generated and a reference sample in the same bins; the outer bins hold the overflow."""

    edges: Float[np.ndarray, " b+1"]
    """Bin edges, in the unit of the values."""
    generated: Int[np.ndarray, " b"]
    """Generated showers per bin."""
    reference: Int[np.ndarray, " b"]
    """Reference showers per bin."""
    logarithmic: bool = False
    """Whether the bins are equally wide in the logarithm."""

    @property
    def generated_fraction(self) -> Float[np.ndarray, " b"]:
        """Share of the generated showers per bin, 1."""
        return self.generated / self.generated.sum()

    @property
    def reference_fraction(self) -> Float[np.ndarray, " b"]:
        """Share of the reference showers per bin, 1."""
        return self.reference / self.reference.sum()

    @property
    def generated_error(self) -> Float[np.ndarray, " b"]:
        """Standard error of the generated fraction, from the square root of the counts."""
        return np.sqrt(self.generated) / self.generated.sum()

    @property
    def reference_error(self) -> Float[np.ndarray, " b"]:
        """Standard error of the reference fraction, from the square root of the counts."""
        return np.sqrt(self.reference) / self.reference.sum()

    @property
    def ratio(self) -> Float[np.ndarray, " b"]:
        """Generated over reference fraction; NaN where the reference has nothing."""
        return _divide(self.generated_fraction, self.reference_fraction)

    @property
    def ratio_error(self) -> Float[np.ndarray, " b"]:
        """Standard error of the ratio from the generated sample alone; NaN where the reference is empty."""
        return _divide(self.generated_error, self.reference_fraction)

    @property
    def reference_relative_error(self) -> Float[np.ndarray, " b"]:
        """Relative standard error of the reference fraction; NaN where it is empty."""
        return _divide(self.reference_error, self.reference_fraction)

    @property
    def separation(self) -> float:
        """:func:`separation_power` of the two."""
        return separation_power(self.generated, self.reference)

    @property
    def chi2(self) -> ChiSquare:
        """:func:`chi_square` of the two."""
        return chi_square(self.generated, self.reference)


def reference_edges(
    reference: Float[np.ndarray, " n"], *, n_bins: int = 30, logarithmic: bool = False
) -> Float[np.ndarray, " b+1"]:
    """Edges of equal bins between the 0.5 % and the 99.5 % quantile of a reference sample.

    A constant reference gets three narrow bins around its value, so that other values count as different.

    Args:
        reference: The values, ``(n,)``.
        n_bins: Number of bins.
        logarithmic: Equal in the logarithm; values that are not positive do not enter.

    Raises:
        ValueRangeError: There are no values, one is not finite, or ``n_bins`` is below 1.
    """
    values = _checked("reference", reference)
    if n_bins < 1:
        raise ValueRangeError(f"n_bins must be at least 1, got {n_bins}.")
    if logarithmic:
        positive = values[values > 0]
        if not len(positive):
            return np.array([0.5, 1.0, 2.0])  # zeros only: they fall in the first bin
        values = np.log(positive)
    low, high = np.quantile(values, _QUANTILES)
    width = 1e-6 * max(1.0, abs(low))
    if high - low < width:
        edges = (low + high) / 2 + width * np.array([-1.5, -0.5, 0.5, 1.5])
    else:
        edges = np.linspace(low, high, n_bins + 1)
    return np.exp(edges) if logarithmic else edges


def bin_samples(
    generated: Float[np.ndarray, " n"],
    reference: Float[np.ndarray, " m"],
    edges: Float[np.ndarray, " b+1"],
    *,
    logarithmic: bool = False,
) -> BinnedComparison:
    """Count two samples in the same bins; values outside count in the outer bins, so that nothing is lost.

    Args:
        generated: Values, ``(n,)``.
        reference: Values, ``(m,)``.
        edges: Increasing bin edges, ``(b + 1,)``.
        logarithmic: Kept for those who draw it.

    Raises:
        ValueRangeError: A sample is empty or not finite, or the edges do not increase.
    """
    edges = np.asarray(edges, dtype=np.float64)
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ValueRangeError(f"Bin edges must be two or more increasing numbers, got {edges.tolist()}.")
    counts = [
        np.bincount(
            np.searchsorted(edges[1:-1], _checked(name, values), side="right"), minlength=len(edges) - 1
        )
        for name, values in (("generated", generated), ("reference", reference))
    ]
    return BinnedComparison(edges=edges, generated=counts[0], reference=counts[1], logarithmic=logarithmic)


def _triangular(p: Float[np.ndarray, "*d b"], q: Float[np.ndarray, "*d b"]) -> Float[np.ndarray, "*d"]:
    total = p + q
    terms = np.divide((p - q) ** 2, total, out=np.zeros_like(total), where=total > 0)
    return 0.5 * terms.sum(axis=-1)


def _divide(a: Float[np.ndarray, " b"], b: Float[np.ndarray, " b"]) -> Float[np.ndarray, " b"]:
    return np.divide(a, b, out=np.full(len(b), np.nan), where=b > 0)


def _probabilities(name: str, counts: Float[np.ndarray, " b"]) -> Float[np.ndarray, " b"]:
    values = np.asarray(counts, dtype=np.float64)
    if values.ndim != 1:
        raise ShapeError(name, values.shape, "(b,)")
    if not (np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0):
        raise ValueRangeError(f"{name} must be finite and not negative, with at least one entry.")
    return values / values.sum()


def _checked(name: str, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        raise ShapeError(name, values.shape, "(n,)")
    if not len(values):
        raise ValueRangeError(f"The {name} sample is empty; at least one shower is needed.")
    if not np.isfinite(values).all():
        raise ValueRangeError(f"{np.count_nonzero(~np.isfinite(values))} {name} values are not finite.")
    return values
