"""Distances of two samples feature by feature that need no bins: Wasserstein-1 and Kolmogorov-Smirnov."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float
from scipy import special

from caloforge.errors import ValueRangeError
from caloforge.evaluation.feature_arrays import checked_arrays, checked_names

__all__ = ["FeatureDistance", "feature_distances", "kolmogorov_smirnov", "wasserstein"]


@final
@dataclass(frozen=True, kw_only=True)
class FeatureDistance:
    """Both distances of one feature, with what chance alone gives."""

    name: str
    wasserstein: float
    """Wasserstein-1 distance, in the unit of the feature; 0 for equal samples, lower is better."""
    wasserstein_error: float
    """Standard deviation over bootstrap samples of both sides."""
    wasserstein_floor: float
    """Mean distance of two samples of these sizes from one distribution (showers shuffled between the two)."""
    wasserstein_floor_95: float
    """Its 95 % quantile: a larger distance is a real difference."""
    wasserstein_scaled: float
    """Distance over the reference's standard deviation, 1; comparable between features. NaN if that is 0."""
    ks: float
    """Kolmogorov-Smirnov distance, 0 to 1, lower is better."""
    ks_error: float
    """Standard deviation over bootstrap samples of both sides."""
    ks_floor: float
    """As ``wasserstein_floor``."""
    ks_floor_95: float
    """As ``wasserstein_floor_95``."""
    ks_p_value: float
    """Asymptotic probability of a larger ``ks`` if both share one distribution; too large where values repeat."""


def wasserstein(generated: Float[np.ndarray, " n"], reference: Float[np.ndarray, " m"]) -> float:
    r"""Wasserstein-1 distance of two samples, in their unit.

    .. math:: W_1 = \int |F(x) - G(x)| \, dx \ge 0

    with F and G the cumulative distributions. 0 for equal samples; a shift moves it by just the shift.

    Args:
        generated: Values, ``(n,)``.
        reference: Values, ``(m,)``.

    Raises:
        ShapeError: A sample is not one-dimensional.
        ValueRangeError: A sample is empty or not finite.

    Example:
        >>> wasserstein(np.array([0.0, 1.0]), np.array([2.0, 3.0]))
        2.0
    """
    return _single(generated, reference)[0]


def kolmogorov_smirnov(generated: Float[np.ndarray, " n"], reference: Float[np.ndarray, " m"]) -> float:
    r"""Largest difference of the cumulative distributions of two samples, in [0, 1]; lower is better.

    Args:
        generated: Values, ``(n,)``.
        reference: Values, ``(m,)``.

    Raises:
        ShapeError: A sample is not one-dimensional.
        ValueRangeError: A sample is empty or not finite.

    Example:
        >>> kolmogorov_smirnov(np.array([0.0, 1.0]), np.array([0.5, 3.0]))
        0.5
    """
    return _single(generated, reference)[1]


def feature_distances(
    generated: Float[np.ndarray, "n F"],
    reference: Float[np.ndarray, "m F"],
    *,
    names: Sequence[str] | None = None,
    draws: int = 100,
    seed: int = 0,
) -> tuple[FeatureDistance, ...]:
    """Wasserstein-1 and Kolmogorov-Smirnov distances of every feature, with errors and floors.

    Whole showers are drawn for the errors (bootstrap) and shuffled for the floors (permutations), the same for
    every feature. Next to the floor, the bootstrap error is too large rather than too small.

    Args:
        generated: One row per generated shower, ``(n, F)``, each column in its own unit.
        reference: One row per reference shower, ``(m, F)``.
        names: Of the columns.
        draws: Number of bootstrap samples, and of permutations.
        seed: Fixes both.

    Returns:
        One entry per column.

    Raises:
        ShapeError: The arrays or the names do not fit together.
        ValueRangeError: A sample is empty or not finite, or there are fewer than two draws.
    """
    generated, reference = checked_arrays(generated, reference, at_least=1, purpose="a distance")
    names = checked_names(names, reference.shape[1])
    if draws < 2:
        raise ValueRangeError(f"draws must be at least 2, got {draws}.")
    n, m = len(generated), len(reference)
    both = np.ascontiguousarray(np.concatenate([generated, reference]).T)
    order = np.argsort(both, axis=1)
    steps = np.diff(np.take_along_axis(both, order, axis=1), axis=1)
    distinct = steps > 0

    def all_distances(weights: Float[np.ndarray, " n+m"]) -> Float[np.ndarray, "F 2"]:
        return np.array(
            [_distances(weights[o], s, d) for o, s, d in zip(order, steps, distinct, strict=True)]
        )

    plain = _weights(n, m)
    found = all_distances(plain)
    rng = np.random.default_rng(seed)
    boot, null = np.empty((2, draws, len(names), 2))
    for draw in range(draws):
        counts = [np.bincount(rng.integers(size, size=size), minlength=size) for size in (n, m)]
        boot[draw] = all_distances(plain * np.concatenate(counts))
        null[draw] = all_distances(rng.permutation(plain))
    error = boot.std(axis=0, ddof=1)
    floor, floor_95 = null.mean(axis=0), np.quantile(null, 0.95, axis=0)
    spread = reference.std(axis=0)
    return tuple(
        FeatureDistance(
            name=name,
            wasserstein=float(found[k, 0]),
            wasserstein_error=float(error[k, 0]),
            wasserstein_floor=float(floor[k, 0]),
            wasserstein_floor_95=float(floor_95[k, 0]),
            wasserstein_scaled=float(found[k, 0] / spread[k]) if spread[k] > 0 else math.nan,
            ks=float(found[k, 1]),
            ks_error=float(error[k, 1]),
            ks_floor=float(floor[k, 1]),
            ks_floor_95=float(floor_95[k, 1]),
            ks_p_value=float(special.kolmogorov(found[k, 1] * math.sqrt(n * m / (n + m)))),
        )
        for k, name in enumerate(names)
    )


def _weights(n: int, m: int) -> Float[np.ndarray, " n+m"]:
    """What each shower adds to the difference of the cumulative distributions."""
    return np.concatenate([np.full(n, 1 / n), np.full(m, -1 / m)])


def _distances(
    weights: Float[np.ndarray, " n+m"],
    steps: Float[np.ndarray, " n+m-1"],
    distinct: Bool[np.ndarray, " n+m-1"],
) -> tuple[float, float]:
    """Both distances from the weights in the order of the values, and the steps between the values."""
    difference = np.cumsum(weights[:-1])
    np.abs(difference, out=difference)
    # Between equal values the cumulative distributions have no value of their own.
    return float(difference @ steps), float((difference * distinct).max(initial=0.0))


def _single(generated: Float[np.ndarray, " n"], reference: Float[np.ndarray, " m"]) -> tuple[float, float]:
    columns = checked_arrays(
        np.asarray(generated)[..., None], np.asarray(reference)[..., None], at_least=1, purpose="a distance"
    )
    both = np.concatenate([column[:, 0] for column in columns])
    order = np.argsort(both)
    steps = np.diff(both[order])
    return _distances(_weights(*map(len, columns))[order], steps, steps > 0)
