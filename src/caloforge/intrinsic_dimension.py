r"""How many numbers tell the points of a cloud apart: maximum-likelihood dimension from nearest neighbours.

Around a point of a d-dimensional manifold the number of neighbours within a distance T grows like :math:`T^d`. So
:math:`\log(T_k / T_j)` of the j-th and k-th nearest neighbours is exponential with rate d, and

.. math:: \frac{1}{\hat d_k} = \frac{1}{n (k - 1)} \sum_i \sum_{j=1}^{k-1} \log \frac{T_k(x_i)}{T_j(x_i)}

Levina and Bickel average the local dimensions, MacKay and Ghahramani their inverses as here, which is the
maximum likelihood of all points together and has no bias where few neighbours are used.

The estimate is of the dimension *at the distance of the neighbours*. Noise in many directions adds to it once the
neighbours are as near as the noise is wide, and n points can hardly show more than :math:`2 \log_{10} n`
dimensions without bias downwards; so it is given for several k and for half of the points, too.

References:
    E. Levina, P. J. Bickel, Maximum likelihood estimation of intrinsic dimension (NeurIPS 2004)
    D. J. C. MacKay, Z. Ghahramani, Comments on the above (2005), inference.org.uk/mackay/dimension
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from jaxtyping import Float, Int

from caloforge.errors import ShapeError, ValueRangeError

__all__ = [
    "DimensionEstimate",
    "inverse_dimensions",
    "intrinsic_dimension",
    "nearest_distances",
    "without_twins",
]

_BOOTSTRAPS: Final = 200
_BLOCK_VALUES: Final = 2**23


@final
@dataclass(frozen=True, kw_only=True)
class DimensionEstimate:
    """Dimension of a cloud of points."""

    dimension: float
    """By the inverse averages of MacKay and Ghahramani."""
    error: float
    """Standard error, from resampling the points whose neighbourhoods were measured."""
    half: float
    """The same with every second point left out: how far the answer depends on the size of the sample."""
    k: int
    """Neighbours."""
    n_points: int
    """Points, twins counted once."""
    n_queries: int
    """Points whose neighbourhoods were measured."""
    n_twins: int
    """Points left out because they equal another one."""


def intrinsic_dimension(
    points: Float[np.ndarray, "n F"],
    ks: Sequence[int] = (10,),
    *,
    max_queries: int = 10_000,
    seed: int = 0,
) -> tuple[DimensionEstimate, ...]:
    """Dimension of a cloud, for each number of neighbours.

    Args:
        points: One row per point, ``(n, F)``; finite. Equal rows count once.
        ks: Numbers of neighbours, 2 or more; more than one neighbour beyond the points is an error.
        max_queries: At most so many points, drawn at random, have their neighbourhood measured; their
            neighbours are looked for among all points.
        seed: Of drawing and resampling.

    Raises:
        ShapeError: The points are no table.
        ValueRangeError: Too few points for k, values that are not finite, or a k below 2.

    Example:
        >>> plane = np.random.default_rng(1).normal(size=(2000, 2)) @ np.eye(2, 5)
        >>> round(intrinsic_dimension(plane)[0].dimension, 1)
        2.0
    """
    if np.ndim(points) != 2:
        raise ShapeError("points", np.shape(points), "(n, F)")
    if not ks or min(ks) < 2:
        raise ValueRangeError(f"A dimension needs k of 2 or more neighbours, got {list(ks)}.")
    if not np.isfinite(points.sum(dtype=np.float64)):
        raise ValueRangeError("The points have values that are not finite.")
    distinct = without_twins(points)
    n_twins, largest = len(points) - len(distinct), max(ks)
    if len(distinct) <= largest:
        twins = f" ({n_twins} more equal another one)" if n_twins else ""
        raise ValueRangeError(
            f"{len(distinct)} different points{twins} are too few for k = {largest} neighbours; at least "
            f"{largest + 1} are needed, thousands for a dimension to mean anything."
        )
    rng = np.random.default_rng(seed)
    distances = nearest_distances(distinct, largest, queries=_drawn(rng, len(distinct), max_queries))
    half = distinct[np.sort(rng.permutation(len(distinct))[: len(distinct) // 2])]
    half_distances = (
        nearest_distances(half, largest, queries=_drawn(rng, len(half), max_queries))
        if len(half) > largest
        else None
    )
    estimates = []
    for k in ks:
        inverse = inverse_dimensions(distances, k)
        estimates.append(
            DimensionEstimate(
                dimension=_inverted(inverse.mean()),
                error=_bootstrap_error(inverse, rng),
                half=np.nan
                if half_distances is None
                else _inverted(inverse_dimensions(half_distances, k).mean()),
                k=k,
                n_points=len(distinct),
                n_queries=len(distances),
                n_twins=n_twins,
            )
        )
    return tuple(estimates)


def inverse_dimensions(distances: Float[np.ndarray, "q K"], k: int) -> Float[np.ndarray, " q"]:
    """Inverse of the local dimension at each point, from the distances of its neighbours, nearest first.

    Args:
        distances: ``(q, K)`` with K of at least k; all positive.
        k: Neighbours to use.
    """
    logs = np.log(distances[:, :k])
    return logs[:, -1] - logs[:, :-1].mean(axis=1)


def without_twins(points: Float[np.ndarray, "n F"]) -> Float[np.ndarray, "m F"]:
    """The points in their order, of equal ones the first: a distance of zero has no logarithm."""
    rows = np.ascontiguousarray(points + 0.0)  # a negative zero equals zero, but has other bits
    keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first = np.unique(keys, return_index=True)
    return points if len(first) == len(points) else points[np.sort(first)]


def nearest_distances(
    points: Float[np.ndarray, "n F"], k: int, *, queries: Int[np.ndarray, " q"]
) -> Float[np.ndarray, "q k"]:
    """Euclidean distances of points to their k nearest others, nearest first, in float64, ``(q, k)``.

    The search may round; the distances are then worked out anew from differences, so that near neighbours far
    from the origin are as good as any.

    Args:
        points: ``(n, F)``, no two of them equal, n above k.
        k: Number of neighbours.
        queries: Indices of the points whose neighbours are wanted, ``(q,)``.
    """
    from sklearn.neighbors import NearestNeighbors

    points = np.ascontiguousarray(points)
    search = NearestNeighbors(n_neighbors=k + 1, algorithm="auto" if points.shape[1] <= 8 else "brute")
    search.fit(points)
    found = np.empty((len(queries), k))
    rows = max(1, _BLOCK_VALUES // ((k + 1) * points.shape[1]))
    index = search.kneighbors(points[queries], return_distance=False)
    for start in range(0, len(queries), rows):
        here = queries[start : start + rows]
        near = index[start : start + rows]
        differences = points[near].astype(np.float64) - points[here, None].astype(np.float64)
        squared = np.einsum("qkf,qkf->qk", differences, differences)
        # The point itself is usually first; where rounding hid it, the farthest goes instead.
        squared[near == here[:, None]] = -1.0
        found[start : start + rows] = np.sort(squared, axis=1)[:, 1:]
        missed = ~(near == here[:, None]).any(axis=1)
        if missed.any():
            found[start : start + rows][missed] = np.sort(squared[missed], axis=1)[:, :-1]
    return np.sqrt(found)


def _drawn(rng: np.random.Generator, n: int, at_most: int) -> Int[np.ndarray, " q"]:
    return np.arange(n) if n <= at_most else np.sort(rng.permutation(n)[:at_most])


def _inverted(inverse: float) -> float:
    return float(1 / inverse) if inverse > 0 else float("inf")


def _bootstrap_error(inverse: Float[np.ndarray, " q"], rng: np.random.Generator) -> float:
    """Spread of the dimension over samples of the same size, drawn with replacement from the points."""
    n = len(inverse)
    means = np.array([inverse[rng.integers(n, size=n)].mean() for _ in range(_BOOTSTRAPS)])
    return float(np.std(1 / means)) if (means > 0).all() else float("inf")
