"""Pearson correlations between features in two samples, with errors that hold for any distribution."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float
from scipy import special

from caloforge.evaluation.feature_arrays import checked_arrays, checked_names

__all__ = [
    "CorrelationComparison",
    "CorrelationDifference",
    "compare_correlations",
    "correlation_matrix",
]

_SMALLEST_ERROR = 1e-9
"""Rounding of a correlation of exactly 1 (a feature that is a multiple of another) is no deviation."""


@final
@dataclass(frozen=True, kw_only=True)
class CorrelationDifference:
    """One pair of features whose correlation differs."""

    first: str
    second: str
    generated: float
    reference: float
    difference: float
    """Generated minus reference."""
    error: float
    """Standard error of the difference."""
    sigma: float
    """Difference over its error."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class CorrelationComparison:
    """The correlation matrices of both samples; NaN in rows of features that are constant in a sample."""

    names: tuple[str, ...]
    generated: Float[np.ndarray, "F F"]
    """Pearson correlations, -1 to 1."""
    generated_error: Float[np.ndarray, "F F"]
    """Their standard errors."""
    reference: Float[np.ndarray, "F F"]
    reference_error: Float[np.ndarray, "F F"]
    constant: tuple[str, ...]
    """Features without a correlation, being constant in a sample."""
    largest: tuple[CorrelationDifference, ...]
    """The pairs that differ most, in standard errors, the worst first."""
    n_pairs: int
    """Number of pairs of different features that have a correlation."""
    chance_sigma_95: float
    """Largest deviation that equal samples stay below in 95 % of all cases (pairs taken as independent)."""
    mean_absolute_difference: float
    """Over all pairs; lower is better. NaN without pairs."""
    rms_sigma: float
    """Root mean square of the deviations in standard errors; about 1 for equal samples."""

    @property
    def difference(self) -> Float[np.ndarray, "F F"]:
        """Generated minus reference."""
        return self.generated - self.reference

    @property
    def sigma(self) -> Float[np.ndarray, "F F"]:
        """Difference over its standard error; 0 on the diagonal."""
        error = np.hypot(self.generated_error, self.reference_error)
        return self.difference / np.maximum(error, _SMALLEST_ERROR)


def correlation_matrix(
    values: Float[np.ndarray, "n F"],
) -> tuple[Float[np.ndarray, "F F"], Float[np.ndarray, "F F"]]:
    r"""Pearson correlations of the columns and their standard errors.

    The error is that of the delta method, to leading order in 1/n, and right for any distribution: with z the
    standardised values and r the correlation,

    .. math:: \sigma^2 = \frac{1}{n} \left\langle \left(z_a z_b - \tfrac{r}{2} (z_a^2 + z_b^2)\right)^2 \right\rangle

    which is :math:`(1 - r^2)^2 / n` for a Gaussian.

    Args:
        values: One row per shower, ``(n, F)``, n at least 3.

    Returns:
        The correlations and their errors, both ``(F, F)``; NaN in the rows and columns of constant features.

    Raises:
        ShapeError: The array is not two-dimensional.
        ValueRangeError: There are fewer than 3 showers, or a value is not finite.
    """
    values, _ = checked_arrays(values, values, at_least=3, purpose="a correlation")
    return _correlations(values)


def compare_correlations(
    generated: Float[np.ndarray, "n F"],
    reference: Float[np.ndarray, "m F"],
    *,
    names: Sequence[str] | None = None,
    n_largest: int = 10,
) -> CorrelationComparison:
    """Correlation matrices of two samples and where they differ most.

    Args:
        generated: One row per generated shower, ``(n, F)``, n at least 3.
        reference: One row per reference shower, ``(m, F)``, m at least 3.
        names: Of the columns.
        n_largest: How many pairs to list.

    Raises:
        ShapeError: The arrays or the names do not fit together.
        ValueRangeError: A sample has fewer than 3 showers or values that are not finite.
    """
    generated, reference = checked_arrays(generated, reference, at_least=3, purpose="a correlation")
    names = checked_names(names, reference.shape[1])
    mine, mine_error = _correlations(generated)
    theirs, theirs_error = _correlations(reference)
    difference, error = mine - theirs, np.hypot(mine_error, theirs_error)
    rows, columns = np.nonzero(np.triu(np.isfinite(difference), k=1))
    sigma = difference[rows, columns] / np.maximum(error[rows, columns], _SMALLEST_ERROR)
    largest = tuple(
        CorrelationDifference(
            first=names[rows[k]],
            second=names[columns[k]],
            generated=float(mine[rows[k], columns[k]]),
            reference=float(theirs[rows[k], columns[k]]),
            difference=float(difference[rows[k], columns[k]]),
            error=float(error[rows[k], columns[k]]),
            sigma=float(sigma[k]),
        )
        for k in np.argsort(-np.abs(sigma), kind="stable")[:n_largest]
    )
    n_pairs = len(rows)
    return CorrelationComparison(
        names=names,
        generated=mine,
        generated_error=mine_error,
        reference=theirs,
        reference_error=theirs_error,
        constant=tuple(names[k] for k in np.flatnonzero(np.isnan(np.diag(difference)))),
        largest=largest,
        n_pairs=n_pairs,
        chance_sigma_95=_largest_of(n_pairs, 0.95) if n_pairs else math.nan,
        mean_absolute_difference=float(np.abs(difference[rows, columns]).mean()) if n_pairs else math.nan,
        rms_sigma=float(np.sqrt(np.mean(sigma**2))) if n_pairs else math.nan,
    )


def _largest_of(n: int, probability: float) -> float:
    """Bound that n independent standard normal deviations all stay within with this probability."""
    return float(-special.ndtri(0.5 * -np.expm1(np.log(probability) / n)))


def _varies(values: Float[np.ndarray, "n F"], std: Float[np.ndarray, " F"]) -> Bool[np.ndarray, " F"]:
    return std > 1e-12 * np.abs(values).max(axis=0)


def _correlations(
    values: Float[np.ndarray, "n F"],
) -> tuple[Float[np.ndarray, "F F"], Float[np.ndarray, "F F"]]:
    n = len(values)
    z = values - values.mean(axis=0)
    std = z.std(axis=0)
    varies = _varies(values, std)
    z /= np.where(varies, std, 1.0)
    square = z**2
    r = z.T @ z / n
    of_22, of_31 = square.T @ square / n, (square * z).T @ z / n
    of_40 = np.diag(of_22)
    variance = of_22 - r * (of_31 + of_31.T) + r**2 / 4 * (of_40[:, None] + of_40[None, :] + 2 * of_22)
    error = np.sqrt(np.maximum(variance, 0.0) / n)
    np.fill_diagonal(r, 1.0)
    np.fill_diagonal(error, 0.0)
    unknown = ~(varies[:, None] & varies[None, :])
    r[unknown] = error[unknown] = np.nan
    return np.clip(r, -1.0, 1.0), error
