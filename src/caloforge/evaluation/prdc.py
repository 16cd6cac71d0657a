"""Precision, recall, density and coverage of generated showers, from their nearest neighbours."""

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from jaxtyping import Float

from caloforge.errors import ValueRangeError
from caloforge.evaluation.nearest import log_voxels, showers_of_both, squared_distances
from caloforge.showers import Showers

__all__ = ["PRDC", "prdc", "shower_prdc"]

_MANY: Final = 100.0
_HARDLY_ANY: Final = 0.01


@final
@dataclass(frozen=True, kw_only=True)
class PRDC:
    """The four numbers. None is better the larger it is: compare with Geant4 against Geant4, of the same sizes.

    The errors are standard errors of a share or a mean with the other sample held fixed; for equal samples they
    are up to a third too small.
    """

    precision: float
    """Share of the generated showers that lie within the reference sample, 0 to 1; largest for too typical ones."""
    precision_error: float
    recall: float
    """Share of the reference showers that lie within the generated sample, 0 to 1; largest if that scatters widely."""
    recall_error: float
    density: float
    """Mean number of reference showers that have a generated one near, over k; about 1 for equal samples.
    More is no better: the generated showers crowd where the reference's are dense."""
    density_error: float
    coverage: float
    """Share of the reference showers that have a generated one near, 0 to 1. Below the expected one they are missed;
    above is no better."""
    coverage_error: float
    coverage_expected: float
    """Coverage of two samples of these sizes from one distribution; their density is 1."""
    n_generated: int
    n_reference: int
    k: int
    warning: str | None
    """Said where precision, density and coverage look good although the generated showers lack variety."""


def prdc(generated: Float[np.ndarray, "n F"], reference: Float[np.ndarray, "m F"], *, k: int = 5) -> PRDC:
    """Precision, recall, density and coverage of two arrays of points.

    The ball of a point reaches to its k-th nearest neighbour in its own sample. Precision is the share of
    generated points in any reference ball, recall that of reference points in any generated ball, density the mean
    number of reference balls that a generated point is in, over k, and coverage the share of reference balls
    with a generated point. Equal to the reference implementation of the authors; all distances in float64,
    in blocks of at most about 64 MB.

    Args:
        generated: One row per generated shower, ``(n, F)``, n above k.
        reference: One row per reference shower, ``(m, F)``, m above k.
        k: Number of neighbours.

    Raises:
        ShapeError: The arrays do not fit together.
        ValueRangeError: A sample has no more than ``k`` showers, or a value is not finite.

    References:
        M. F. Naeem et al., Reliable fidelity and diversity metrics for generative models, arXiv:2002.09797;
        the expected coverage is its lemma 2.
    """
    if k < 1:
        raise ValueRangeError(f"k must be at least 1, got {k}.")
    for name, points in (("generated", generated), ("reference", reference)):
        if np.ndim(points) == 2 and len(points) <= k:
            raise ValueRangeError(
                f"The {name} sample has {len(points)} showers; {k} neighbours need at least {k + 1}."
            )
    n, m = len(generated), len(reference)
    of_reference, of_generated = _squared_radii(reference, k), _squared_radii(generated, k)
    balls_per_generated = np.zeros(n, dtype=np.int64)
    recalled, covered = np.zeros((2, m), dtype=bool)
    for rows, squared in squared_distances(reference, generated):
        inside = squared < of_reference[rows, None]
        balls_per_generated += inside.sum(axis=0)
        covered[rows] = inside.any(axis=1)
        recalled[rows] = (squared < of_generated).any(axis=1)
    precise = balls_per_generated > 0
    density, recall = float(balls_per_generated.mean() / k), float(recalled.mean())
    return PRDC(
        precision=float(precise.mean()),
        precision_error=_error(precise),
        recall=recall,
        recall_error=_error(recalled),
        density=density,
        density_error=_error(balls_per_generated / k),
        coverage=float(covered.mean()),
        coverage_error=_error(covered),
        coverage_expected=1 - math.prod((m - 1 - j) / (n + m - 1 - j) for j in range(k)),
        n_generated=n,
        n_reference=m,
        k=k,
        warning=_warning(density, recall),
    )


def shower_prdc(
    generated: Showers,
    reference: Showers,
    *,
    k: int = 5,
    max_showers: int | None = 10_000,
    seed: int = 0,
) -> PRDC:
    """:func:`prdc` of showers as in the CaloChallenge: logarithms of the voxels, those without energy as 0.1 MeV.

    The time grows with the square of the number of showers.

    Args:
        generated: The showers in question; set voxels below the threshold to 0 first.
        reference: The showers that are right, usually Geant4.
        k: Number of neighbours.
        max_showers: Showers of each sample at most, drawn at random; ``None`` for all.
        seed: Of the drawing.

    Raises:
        GeometryMismatchError: The samples have different voxels.
        ValueRangeError: A sample has no more than ``k`` showers.
    """
    generated, reference = showers_of_both(generated, reference, max_showers=max_showers, seed=seed)
    return prdc(log_voxels(generated.voxels), log_voxels(reference.voxels), k=k)


def _squared_radii(points: Float[np.ndarray, "n F"], k: int) -> Float[np.ndarray, " n"]:
    """Squared distance of each point to its k-th nearest other one."""
    radii = np.empty(len(points))
    for rows, squared in squared_distances(points):
        squared.partition(k - 1, axis=1)
        radii[rows] = squared[:, k - 1]
    return radii


def _error(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))


def _warning(density: float, recall: float) -> str | None:
    if not (density > _MANY and recall < _HARDLY_ANY):
        return None
    return (
        f"A density of {density:.0f} with a recall of {recall:.4f}: the generated showers crowd in few places and "
        "lack the variety of the reference. Precision, density and coverage reward that and say nothing here; "
        "published submissions with such values (arXiv:2410.21611) are told apart from Geant4 by every classifier."
    )
