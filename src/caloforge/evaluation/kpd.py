"""Kernel physics distance (KPD) of two samples in a set of features.

Our own implementation of the published definition. The random numbers are drawn in jetnet's order, so that the
same arrays, settings and seed give jetnet's values up to rounding; the tests derive them a second time.

References:
    R. Kansal et al., Evaluating generative models in high energy physics, arXiv:2211.10295.
    C. Krause et al., CaloChallenge 2022: A community challenge for fast calorimeter simulation,
    arXiv:2410.21611.
"""

import math

import numpy as np
from jaxtyping import Float, Int

from caloforge.evaluation.feature_arrays import checked_arrays
from caloforge.evaluation.physics_distance import (
    PhysicsDistance,
    PhysicsDistanceSettings,
    checked_settings,
    normalised,
    physics_distance,
)

__all__ = ["kernel_physics_distance", "squared_mmd"]

_INTERVAL = (16.275, 83.725)
"""Quantiles, %, whose half distance is the error of the KPD, as jetnet takes them."""
_FLOOR_SHOWERS = 3000
"""Showers per sample that the floor of the KPD is worked out with; it takes time with their square."""
_BLOCK = 1024
"""Rows of the kernel in memory at a time."""


def kernel_physics_distance(
    generated: Float[np.ndarray, "n F"],
    reference: Float[np.ndarray, "m F"],
    *,
    settings: str | PhysicsDistanceSettings = "jetnet",
    draws: int = 100,
) -> PhysicsDistance:
    """KPD: median over batches of :func:`squared_mmd`, features scaled as for the FPD.

    The batches are drawn *with replacement*. May be negative: the estimate of each batch is unbiased for the
    two samples at hand, not for the distributions behind them, which the ``floor`` says. Floor and
    ``sample_error`` are worked out with at most 3000 showers of each sample and scaled to all of them.

    Args:
        generated: One row per generated shower, ``(n, F)``.
        reference: One row per reference shower, ``(m, F)``.
        settings: A name in :data:`PHYSICS_DISTANCE_SETTINGS`, or your own.
        draws: Bootstrap samples behind ``sample_error`` and permutations behind the floor.

    Raises:
        ShapeError: The arrays do not fit together.
        ValueRangeError: A sample has fewer than 2 showers, or a value is not finite.
        ConfigError: There are fewer than two draws.
        UnknownNameError: No settings have this name.
    """
    generated, reference = checked_arrays(generated, reference, at_least=2, purpose="the KPD")
    chosen = checked_settings(settings, draws=draws)
    x, y = normalised(reference, generated)
    values = []
    for batch in range(chosen.kernel_batches):
        rng = np.random.default_rng(chosen.seed + batch * 1000)
        drawn = [
            np.bincount(rng.choice(len(points), size=chosen.kernel_batch_size), minlength=len(points))
            for points in (x, y)
        ]
        values.append(squared_mmd(x, y, x_counts=drawn[0], y_counts=drawn[1]))
    low, high = np.percentile(values, _INTERVAL)
    boot, null = _resampled_kernel(x, y, draws=draws, seed=chosen.seed)
    return physics_distance(
        generated,
        reference,
        float(np.median(values)),
        float(high - low) / 2,
        boot,
        null,
        chosen,
        largest=chosen.kernel_batch_size,
    )


def squared_mmd(
    x: Float[np.ndarray, "n F"],
    y: Float[np.ndarray, "m F"],
    *,
    x_counts: Int[np.ndarray, " n"] | None = None,
    y_counts: Int[np.ndarray, " m"] | None = None,
) -> float:
    r"""Unbiased estimate of the squared maximum mean discrepancy with the kernel :math:`(x \cdot y / F + 1)^4`.

    .. math:: \frac{\sum_{i \ne j} k(x_i, x_j)}{n (n - 1)} + \frac{\sum_{i \ne j} k(y_i, y_j)}{m (m - 1)}
        - \frac{2}{n m} \sum_{i, j} k(x_i, y_j)

    Args:
        x: ``(n, F)``.
        y: ``(m, F)``.
        x_counts: How many times each row of ``x`` counts as a point of its own; once without it. At least 2 in all.
        y_counts: The same of ``y``.
    """
    points, counts = [], []
    for values, given in ((x, x_counts), (y, y_counts)):
        count = np.ones(len(values), dtype=np.int64) if given is None else given
        points.append(values[count > 0])
        counts.append(count[count > 0].astype(np.float64))
    n, m = (float(count.sum()) for count in counts)
    within = [_sum_of_pairs(value, count) for value, count in zip(points, counts, strict=True)]
    across = sum(
        float(counts[0][i : i + _BLOCK] @ _kernel(points[0][i : i + _BLOCK], points[1]) @ counts[1])
        for i in range(0, len(points[0]), _BLOCK)
    )
    return within[0] / (n * (n - 1)) + within[1] / (m * (m - 1)) - 2 * across / (n * m)


def _resampled_kernel(
    x: Float[np.ndarray, "m F"], y: Float[np.ndarray, "n F"], *, draws: int, seed: int
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    """Squared discrepancies of bootstrapped samples, and of samples with their showers shuffled.

    Each is a quadratic form of the kernel, with weights 1/m and -1/n; the batches' mean tends to it as well.
    """
    rng = np.random.default_rng([seed, 2])
    m, n = (min(len(values), _FLOOR_SHOWERS) for values in (x, y))
    both = np.concatenate([v[rng.permutation(len(v))[:k]] for v, k in ((x, m), (y, n))])
    plain = np.concatenate([np.full(m, 1 / m), np.full(n, -1 / n)])
    drawn = [
        plain
        * np.concatenate([np.bincount(rng.integers(size, size=size), minlength=size) for size in (m, n)])
        for _ in range(draws)
    ]
    weights = np.stack([*drawn, *(rng.permutation(plain) for _ in range(draws))], axis=1)
    found = np.zeros(2 * draws)
    for i in range(0, m + n, _BLOCK):
        rows = slice(i, i + _BLOCK)
        found += np.einsum("id,id->d", weights[rows], _kernel(both[rows], both) @ weights)
    shrink = (1 / len(x) + 1 / len(y)) / (1 / m + 1 / n)  # of the variance of a mean
    return found[:draws] * math.sqrt(shrink), found[draws:] * shrink  # of the first, only the spread is used


def _kernel(x: Float[np.ndarray, "n F"], y: Float[np.ndarray, "m F"]) -> Float[np.ndarray, "n m"]:
    found = x @ y.T
    found /= x.shape[1]
    found += 1.0
    np.square(found, out=found)
    return np.square(found, out=found)


def _sum_of_pairs(points: Float[np.ndarray, "n F"], counts: Float[np.ndarray, " n"]) -> float:
    """Sum of the kernel over all pairs of different points; each pair of blocks once."""
    total = -float(counts @ (1.0 + np.einsum("if,if->i", points, points) / points.shape[1]) ** 4)
    for i in range(0, len(points), _BLOCK):
        rows, later = slice(i, i + _BLOCK), slice(i + _BLOCK, None)
        total += float(counts[rows] @ _kernel(points[rows], points[rows]) @ counts[rows])
        total += 2 * float(counts[rows] @ _kernel(points[rows], points[later]) @ counts[later])
    return total
