"""Nearest neighbours between showers: what a generated shower looks like, and whether showers were copied.

All distances are Euclidean in the voxels, in MeV or in the logarithm, and worked out in blocks.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, final

import numpy as np
from jaxtyping import Float, Int

from caloforge.errors import ShapeError, ValueRangeError
from caloforge.showers import Showers
from caloforge.units import GeV

__all__ = [
    "NEIGHBOUR_E_INC",
    "NearestShowers",
    "NeighbourDistances",
    "NeighbourShare",
    "log_voxels",
    "nearest_showers",
    "neighbour_distances",
    "showers_of_both",
    "squared_distances",
]

Space = Literal["energy", "log"]

NEIGHBOUR_E_INC: Final = (5 * GeV, 10 * GeV, 20 * GeV, 50 * GeV, 95 * GeV)
"""Incident energies of the showers that the papers show beside their nearest neighbour, MeV."""

_NEAR_ENERGY = 0.1
"""Relative difference up to which a shower counts as one of the energy asked for."""
_EMPTY = 0.1
"""Energy, MeV, that a voxel without energy counts as in the logarithm, as in the CaloChallenge."""
_BLOCK_BYTES = 64e6
_NEAR = 0.01
"""Quantile of the reference's own distances below which a neighbour is suspiciously near."""
_ALARM_SHARE, _ALARM_SIGMA = 0.05, 5.0
"""Share of suspiciously near showers, and its significance, from which an alarm is raised."""


def log_voxels(voxels: Float[np.ndarray, "n V"]) -> Float[np.ndarray, "n V"]:
    """Decimal logarithm of the energies (MeV), voxels without energy as 0.1 MeV; in the type of the voxels."""
    return np.log10(np.where(voxels == 0, voxels.dtype.type(_EMPTY), voxels))


def showers_of_both(
    generated: Showers, reference: Showers, *, max_showers: int | None, seed: int
) -> tuple[Showers, Showers]:
    """At most ``max_showers`` of each sample, drawn at random without replacement and left in their order.

    Raises:
        GeometryMismatchError: The samples have different voxels.
        ValueRangeError: ``max_showers`` is below 1.
    """
    reference.geometry.require_same_voxels(
        generated.geometry, mine="The reference sample", theirs="the generated one"
    )
    if max_showers is None:
        return generated, reference
    if max_showers < 1:
        raise ValueRangeError(f"max_showers must be at least 1, got {max_showers}.")
    rng = np.random.default_rng(seed)
    rows = [
        np.sort(rng.permutation(len(showers))[:max_showers]) if len(showers) > max_showers else slice(None)
        for showers in (generated, reference)
    ]
    return generated[rows[0]], reference[rows[1]]


def squared_distances(
    points: Float[np.ndarray, "n F"], others: Float[np.ndarray, "m F"] | None = None
) -> Iterator[tuple[slice, Float[np.ndarray, "b m"]]]:
    """Squared Euclidean distances, some rows at a time; the array may be changed.

    Distances that are 0 but for rounding are exactly 0. Memory: about three blocks of 64 MB, and never a float64
    copy of the points.

    Args:
        points: ``(n, F)``.
        others: ``(m, F)``; without them, the points among each other, with infinity for a point and itself.

    Yields:
        The rows and their distances to all others.

    Raises:
        ShapeError: The arrays do not fit together.
        ValueRangeError: A value is not finite.
    """
    own = others is None
    theirs = points if others is None else others
    for name, array in (("points", points), ("others", theirs)):
        if array.ndim != 2 or array.shape[1] != theirs.shape[-1] or not array.size:
            raise ShapeError(name, array.shape, f"(n, {theirs.shape[-1]}), one row per shower")
    centre = theirs.mean(axis=0, dtype=np.float64)  # smaller numbers, hence less rounding
    if not np.isfinite(centre).all():
        raise ValueRangeError("Distances between points that are not finite are not defined.")
    m, n_features = theirs.shape
    height = int(np.clip(_BLOCK_BYTES / 8 / max(m, n_features), 16, 512))
    width = int(np.clip(_BLOCK_BYTES / 8 / n_features, 16, 4096))
    for start in range(0, len(points), height):
        rows = slice(start, min(start + height, len(points)))
        mine = points[rows].astype(np.float64) - centre
        norms = np.einsum("if,if->i", mine, mine)
        left = np.concatenate([-2 * mine, norms[:, None], np.ones((len(mine), 1))], axis=1)
        found = np.empty((len(mine), m))
        for first in range(0, m, width):
            columns = slice(first, first + width)
            block = theirs[columns].astype(np.float64) - centre
            other_norms = np.einsum("jf,jf->j", block, block)
            right = np.concatenate([block, np.ones((len(block), 1)), other_norms[:, None]], axis=1)
            squared = left @ right.T  # |a|^2 - 2 a b + |b|^2 at once
            rounding = 1e-13 * (norms + other_norms.max())
            squared[squared < rounding[:, None]] = 0.0
            found[:, columns] = squared
        if own:
            found[np.arange(len(mine)), np.arange(rows.start, rows.stop)] = np.inf
        yield rows, found


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class NearestShowers:
    """Generated showers near given energies, each with its nearest reference shower."""

    space: Space
    asked_e_inc: Float[np.ndarray, " e"]
    """Incident energies asked for, MeV."""
    generated_index: Int[np.ndarray, "e p"]
    """Rows of the generated sample, the nearest in energy first; every row at most once."""
    reference_index: Int[np.ndarray, "e p"]
    """Rows of the reference sample."""
    generated_e_inc: Float[np.ndarray, "e p"]
    """MeV."""
    reference_e_inc: Float[np.ndarray, "e p"]
    """MeV."""
    distance: Float[np.ndarray, "e p"]
    """Euclidean in the voxels, MeV, or in their decimal logarithms."""


def nearest_showers(
    generated: Showers,
    reference: Showers,
    *,
    e_inc: Sequence[float] = NEIGHBOUR_E_INC,
    per_energy: int = 1,
    space: Space = "energy",
) -> NearestShowers:
    """The generated showers closest to the given incident energies, and the nearest reference shower of each.

    Nothing about the shower but its energy decides which is shown, so that none is chosen by its looks.

    Args:
        generated: The showers to show.
        reference: The showers to search; of all energies.
        e_inc: Incident energies, MeV; those with no generated shower within 10 % are left out.
        per_energy: Showers for each energy.
        space: Distances between energies in MeV, or between their logarithms (:func:`log_voxels`).

    Raises:
        GeometryMismatchError: The samples have different voxels.
        ValueRangeError: A sample is empty, too few showers were generated, or none near any of the energies.
    """
    generated, reference = showers_of_both(generated, reference, max_showers=None, seed=0)
    _require_showers(generated, reference, at_least=1)
    low, high = float(generated.e_inc.min()), float(generated.e_inc.max())
    inside = [e for e in e_inc if np.abs(generated.e_inc - e).min() <= _NEAR_ENERGY * e]
    if not inside:
        raise ValueRangeError(
            f"No shower was generated near an incident energy of {[e / GeV for e in e_inc]} GeV; "
            f"they have {low / GeV:.4g} to {high / GeV:.4g} GeV."
        )
    if not 1 <= per_energy * len(inside) <= len(generated):
        raise ValueRangeError(
            f"{per_energy} showers at each of {len(inside)} energies cannot be taken from {len(generated)}."
        )
    free = np.ones(len(generated), dtype=bool)
    chosen = np.empty((len(inside), per_energy), dtype=np.int64)
    for k, energy in enumerate(inside):
        away = np.where(free, np.abs(generated.e_inc - energy), np.inf)
        chosen[k] = np.argsort(away, kind="stable")[:per_energy]
        free[chosen[k]] = False
    mine, theirs = _points(generated[chosen.ravel()], space), _points(reference, space)
    nearest, distance = _nearest(mine, theirs)
    return NearestShowers(
        space=space,
        asked_e_inc=np.array(inside, dtype=np.float64),
        generated_index=chosen,
        reference_index=nearest.reshape(chosen.shape),
        generated_e_inc=generated.e_inc[chosen].astype(np.float64),
        reference_e_inc=reference.e_inc[nearest].reshape(chosen.shape).astype(np.float64),
        distance=distance.reshape(chosen.shape),
    )


@final
@dataclass(frozen=True, kw_only=True)
class NeighbourShare:
    """How the nearest-neighbour distances of generated showers compare with the reference's own."""

    median: float
    """Median distance."""
    median_error: float
    """Its standard error, from the order statistics."""
    nearer: float
    """Probability that a generated shower's distance is smaller than a reference shower's; 0.5 for equal samples."""
    nearer_error: float
    near_share: float
    """Share below the 1 % quantile of the reference's own distances; 0.01 for equal samples."""
    near_share_error: float
    copies: float
    """Share with distance 0, beyond the share that the reference has itself (showers without energy)."""
    copies_error: float
    alarm: bool
    """Whether ``near_share`` or ``copies`` is above 5 %, and that by five standard errors."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class NeighbourDistances:
    """Distances to the nearest neighbour, with samples of equal size, each shower left out of its own search."""

    space: Space
    n_showers: int
    """Of each sample."""
    reference_to_reference: Float[np.ndarray, " n"]
    """What distances are natural: Geant4's own."""
    generated_to_reference: Float[np.ndarray, " n"]
    generated_to_generated: Float[np.ndarray, " n"]
    reference_median: float
    """Median of the reference's own distances."""
    reference_median_error: float
    to_reference: NeighbourShare
    """An alarm here: the model remembers reference showers."""
    among_generated: NeighbourShare
    """An alarm here: the generated showers repeat themselves (mode collapse)."""

    @property
    def memorising(self) -> bool:
        """Whether generated showers are much nearer to reference showers than these to each other."""
        return self.to_reference.alarm

    @property
    def collapsed(self) -> bool:
        """Whether generated showers are much nearer to each other than reference showers to each other."""
        return self.among_generated.alarm


def neighbour_distances(
    generated: Showers,
    reference: Showers,
    *,
    space: Space = "energy",
    max_showers: int = 5_000,
    seed: int = 0,
) -> NeighbourDistances:
    """Distances to the nearest reference shower, beside the reference's own and the generated among themselves.

    Equally many showers of both samples are drawn, since nearest distances shrink with the number of candidates.
    To see copies, the reference must hold the showers that the model was trained on; against others, an alarm
    means that the generated showers lie too close to typical ones.

    Args:
        generated: The showers in question.
        reference: The showers to compare with; the same spectrum of incident energies.
        space: Distances between energies in MeV, or between their logarithms (:func:`log_voxels`).
        max_showers: Showers of each sample at most; the time grows with the square.
        seed: Of the drawing.

    Raises:
        GeometryMismatchError: The samples have different voxels.
        ValueRangeError: A sample has fewer than 10 showers.
    """
    size = min(len(generated), len(reference), max_showers)
    generated, reference = showers_of_both(generated, reference, max_showers=max(size, 1), seed=seed)
    _require_showers(generated, reference, at_least=10)
    mine, theirs = _points(generated, space), _points(reference, space)
    own = _nearest(theirs)[1]
    across, among = _nearest(mine, theirs)[1], _nearest(mine)[1]
    median, median_error = _median(own)
    return NeighbourDistances(
        space=space,
        n_showers=size,
        reference_to_reference=own,
        generated_to_reference=across,
        generated_to_generated=among,
        reference_median=median,
        reference_median_error=median_error,
        to_reference=_share(across, own),
        among_generated=_share(among, own),
    )


def _points(showers: Showers, space: Space) -> Float[np.ndarray, "n V"]:
    return log_voxels(showers.voxels) if space == "log" else showers.voxels


def _require_showers(generated: Showers, reference: Showers, *, at_least: int) -> None:
    for name, showers in (("generated", generated), ("reference", reference)):
        if len(showers) < at_least:
            raise ValueRangeError(
                f"The {name} sample has {len(showers)} showers; nearest neighbours need at least {at_least}."
            )


def _nearest(
    points: Float[np.ndarray, "n V"], others: Float[np.ndarray, "m V"] | None = None
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Index and distance of the nearest of the others, or of the points themselves."""
    theirs = points if others is None else others
    index, distance = np.empty(len(points), dtype=np.int64), np.empty(len(points))
    for rows, squared in squared_distances(points, others):
        index[rows] = squared.argmin(axis=1)
        # Once more without the cancellation of the block's formula.
        away = points[rows].astype(np.float64) - theirs[index[rows]]
        distance[rows] = np.sqrt(np.einsum("if,if->i", away, away))
    return index, distance


def _median(values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    n, ordered = len(values), np.sort(values)
    half = math.sqrt(n) / 2  # standard deviation of the number of values below the median
    low, high = (ordered[int(np.clip(round((n - 1) / 2 + step), 0, n - 1))] for step in (-half, half))
    return float(np.median(ordered)), float(high - low) / 2


def _share(found: Float[np.ndarray, " n"], own: Float[np.ndarray, " m"]) -> NeighbourShare:
    n, m = len(found), len(own)
    ordered = np.sort(own)
    # Share of own distances above each one found, ties as half: Mann and Whitney's statistic, DeLong's error.
    above = 1 - (np.searchsorted(ordered, found, "left") + np.searchsorted(ordered, found, "right")) / (2 * m)
    mine = np.sort(found)
    below = (np.searchsorted(mine, own, "left") + np.searchsorted(mine, own, "right")) / (2 * n)
    median, median_error = _median(found)
    near, near_error = _excess(found < np.quantile(own, _NEAR), _NEAR, _NEAR * (1 - _NEAR) / m)
    same = float(np.mean(own == 0))
    copies, copies_error = _excess(found == 0, same, same * (1 - same) / m)
    return NeighbourShare(
        median=median,
        median_error=median_error,
        nearer=float(above.mean()),
        nearer_error=math.sqrt(above.var(ddof=1) / n + below.var(ddof=1) / m),
        near_share=near + _NEAR,
        near_share_error=near_error,
        copies=copies,
        copies_error=copies_error,
        alarm=any(
            excess > max(_ALARM_SHARE, _ALARM_SIGMA * error)
            for excess, error in ((near, near_error), (copies, copies_error))
        ),
    )


def _excess(hits: np.ndarray, expected: float, variance: float) -> tuple[float, float]:
    """Share of hits beyond the expected one, and its standard error with that of the expectation."""
    share = float(np.mean(hits))
    # One hit more, so that a share of 0 or 1 has an error, too.
    smooth = (np.count_nonzero(hits) + 1) / (len(hits) + 2)
    return share - expected, math.sqrt(smooth * (1 - smooth) / len(hits) + variance)
