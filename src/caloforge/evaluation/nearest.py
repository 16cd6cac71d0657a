"""The reference showers that are nearest to generated ones, for pictures of both, and distances in blocks.

All distances are Euclidean in the voxels, in MeV or in the logarithm. Whether showers were copied is judged in
:mod:`~caloforge.evaluation.copies`.
"""

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
    "log_voxels",
    "nearest_showers",
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
