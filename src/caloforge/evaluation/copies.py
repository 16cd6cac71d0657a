"""Whether generated showers are copies: of the showers that trained their model, of the reference, of each other.

A copy is a shower that is far nearer to one of the showers in question, its *originals*, than unseen Geant4 showers
of like energy come to any of them. Everything is compared in shape (:func:`~caloforge.evaluation.shapes.shower_shapes`)
and between like incident energies, so neither the energy spectrum nor the scale of a shower matters.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, final

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from caloforge.errors import ValueRangeError
from caloforge.evaluation.shapes import has_shape, shower_shapes
from caloforge.showers import Showers

__all__ = ["COPY", "LIKE_ENERGY", "CopyCheck", "CopyChecks", "check_copies"]

LIKE_ENERGY: Final = 1.25
"""Ratio up to which incident energies are alike."""
COPY: Final = 0.5
"""A distance below this share of the natural one is a copy's. Showers that are merely too typical do not come
there: the mean of all showers is nearer to each than others are, but by a root of 2 only."""

_NATURAL = 0.01
"""The natural distance is this quantile of the distances of reference showers of like energy."""
_MOST_ALIKE, _LEAST_ALIKE = 200, 20
"""Reference showers behind a natural distance: at most, and at least."""
_ALARM_SHARE, _ALARM_SIGMA = 0.01, 5.0
"""Share of copies beyond the reference's own, and its significance, from which an alarm is raised."""
_LEAST_JUDGED = 10
_BLOCK_BYTES = 64e6


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class CopyCheck:
    """How near generated showers come to some showers, the originals, in units of the natural distance."""

    originals: Literal["training", "reference", "generated"]
    n_originals: int
    generated: Float[np.ndarray, " n"]
    """Distance of each generated shower to the nearest original (not itself) over the natural distance, that is the
    1 % quantile of what reference showers of like energy have."""
    reference: Float[np.ndarray, " m"]
    """The same for reference showers: to the same originals, or, of ``"generated"``, to the reference."""
    n_not_judged: int
    """Generated showers without enough reference showers of like energy, or of fewer than four hits."""
    copies: float
    """Share of the generated showers that are copies: nearer than half the natural distance."""
    copies_error: float
    natural: float
    """The same share of the reference showers."""
    alarm: bool
    """Whether ``copies`` is above ``natural`` by 1 % and by five standard errors."""


@final
@dataclass(frozen=True, kw_only=True)
class CopyChecks:
    """Copies of training showers, if these were given, of the reference, and within the generated sample."""

    training: CopyCheck | None
    reference: CopyCheck
    generated: CopyCheck


@dataclass(frozen=True, kw_only=True)
class _Points:
    """Showers that are looked for, ordered by energy."""

    rows: Int[np.ndarray, " n"]
    """Their numbers in the sample."""
    log_energy: Float[np.ndarray, " n"]
    shapes: Float32[np.ndarray, "n F"]


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Distances of points to their two nearest originals, and how many of these have a like energy."""

    nearest: Float[np.ndarray, " n"]
    second: Float[np.ndarray, " n"]
    candidates: Int[np.ndarray, " n"]


def check_copies(
    generated: Showers,
    reference: Showers,
    training: Iterable[Showers] | None = None,
    *,
    max_showers: int = 4_000,
    seed: int = 0,
) -> CopyChecks:
    """Search copies of training showers, of reference showers, and of generated ones among themselves.

    Args:
        generated: The showers in question.
        reference: Showers that were not in training and are right, usually Geant4; best of the same energies, but
            another spectrum does no harm. Where they lack an energy, generated showers are not judged.
        training: The showers that trained the model, in parts; any number.
        max_showers: Showers of ``generated`` and of ``reference`` that are looked for, drawn at random. They are
            searched among all.
        seed: Of the drawing.

    Raises:
        GeometryMismatchError: The samples have different voxels.
        ValueRangeError: Fewer than 10 generated showers have at least four hits and 20 reference showers of like
            energy.
    """
    reference.geometry.require_same_voxels(
        generated.geometry, mine="The reference sample", theirs="the generated one"
    )
    rng = np.random.default_rng(seed)
    mine, right = (_points(showers, max_showers, rng) for showers in (generated, reference))
    n_asked = min(len(generated), max_showers)
    (to_reference, own), n_reference = _search([reference], mine, right, same=1)
    (repeats,), n_generated = _search([generated], mine, same=0)
    like = _LikeEnergies(mine, right)

    def check(
        originals: Literal["training", "reference", "generated"], n: int, found: _Found, natural: _Found
    ) -> CopyCheck:
        return _judged(originals, n, found, natural, like, n_asked=n_asked)

    to_training = None
    if training is not None:
        (found, natural), n = _search(_of_calorimeter(training, reference), mine, right)
        to_training = check("training", n, found, natural)
    return CopyChecks(
        training=to_training,
        reference=check("reference", n_reference, to_reference, own),
        generated=check("generated", n_generated, repeats, own),
    )


def _of_calorimeter(training: Iterable[Showers], reference: Showers) -> Iterator[Showers]:
    for part in training:
        reference.geometry.require_same_voxels(
            part.geometry, mine="The reference sample", theirs="the training one"
        )
        yield part


def _points(showers: Showers, most: int, rng: np.random.Generator) -> _Points:
    """At most so many showers, drawn at random; those with too few hits are left out."""
    rows = np.arange(len(showers))
    if len(rows) > most:
        rows = np.sort(rng.choice(rows, size=most, replace=False))
    rows = rows[has_shape(showers[rows])]
    rows = rows[np.argsort(showers.e_inc[rows], kind="stable")]
    return _Points(rows=rows, log_energy=np.log(showers.e_inc[rows]), shapes=shower_shapes(showers[rows]))


def _search(
    originals: Iterable[Showers], *asked: _Points, same: int | None = None
) -> tuple[list[_Found], int]:
    """For each point the two nearest originals of like energy; of the points number ``same``, not themselves.

    Also how many originals there are.
    """
    squared = [np.full((len(points.rows), 2), np.inf, dtype=np.float32) for points in asked]
    counts = [np.zeros(len(points.rows), dtype=np.int64) for points in asked]
    start = 0
    for part in originals:
        for rows in _blocks(part):
            block, log_energy = shower_shapes(part[rows]), np.log(part.e_inc[rows])
            for number, points in enumerate(asked):
                where = _near_block(points, log_energy)
                away, like = _squared(points, where, block, log_energy)
                if number == same:
                    itself = points.rows[where, None] == start + rows
                    away[itself] = np.inf
                    like &= ~itself
                counts[number][where] += np.count_nonzero(like, axis=1)
                best = np.concatenate([squared[number][where], away], axis=1)
                squared[number][where] = np.partition(best, 1, axis=1)[:, :2]
        start += len(part)
    found = [
        _Found(nearest=np.sqrt(best[:, 0]), second=np.sqrt(best[:, 1]), candidates=n)
        for best, n in zip(squared, counts, strict=True)
    ]
    return found, start


def _blocks(part: Showers) -> Iterable[Int[np.ndarray, " b"]]:
    """Rows with hits, those of like energies together, some at a time."""
    rows = np.flatnonzero(has_shape(part))
    rows = rows[np.argsort(part.e_inc[rows], kind="stable")]
    height = int(np.clip(_BLOCK_BYTES / 4 / part.geometry.n_voxels, 16, 512))
    return (rows[first : first + height] for first in range(0, len(rows), height))


def _near_block(points: _Points, log_energy: Float[np.ndarray, " b"]) -> slice:
    """The points that have an original of like energy in a block."""
    ends = log_energy.min() - math.log(LIKE_ENERGY), log_energy.max() + math.log(LIKE_ENERGY)
    return slice(
        int(np.searchsorted(points.log_energy, ends[0], "left")),
        int(np.searchsorted(points.log_energy, ends[1], "right")),
    )


def _squared(
    points: _Points, where: slice, block: Float32[np.ndarray, "b F"], log_energy: Float[np.ndarray, " b"]
) -> tuple[Float32[np.ndarray, "w b"], Bool[np.ndarray, "w b"]]:
    """Squared distances, infinite between unlike energies, and which are alike. All shapes have length 1."""
    found = 2 - 2 * (points.shapes[where] @ block.T)
    np.maximum(found, 0, out=found)
    like = np.abs(points.log_energy[where, None] - log_energy) <= math.log(LIKE_ENERGY)
    found[~like] = np.inf
    return found, like


@final
class _LikeEnergies:
    """For each generated and reference shower the reference showers of like energy, the nearest in it."""

    def __init__(self, generated: _Points, reference: _Points) -> None:
        self._reference = reference.log_energy
        self.of_generated = self._windows(generated.log_energy)
        self.of_reference = self._windows(reference.log_energy)

    def _windows(self, log_energy: Float[np.ndarray, " n"]) -> Int[np.ndarray, "n 2"]:
        """First reference shower, in their order, and the one behind the last; both 0 where there are too few."""
        like = math.log(LIKE_ENERGY)
        low = np.searchsorted(self._reference, log_energy - like, "left")
        high = np.searchsorted(self._reference, log_energy + like, "right")
        middle = np.searchsorted(self._reference, log_energy)
        half = _MOST_ALIKE // 2
        first = np.clip(middle - half, low, np.maximum(low, high - _MOST_ALIKE))
        last = np.minimum(first + _MOST_ALIKE, high)
        found = np.stack([first, last], axis=1)
        found[last - first < _LEAST_ALIKE] = 0
        return found


def _judged(
    originals: Literal["training", "reference", "generated"],
    n_originals: int,
    found: _Found,
    natural: _Found,
    like: _LikeEnergies,
    *,
    n_asked: int,
) -> CopyCheck:
    mine, right = (
        _in_natural_units(these.nearest, windows, natural)
        for these, windows in ((found, like.of_generated), (natural, like.of_reference))
    )
    if originals == "generated":  # searched among other showers than the reference's, perhaps among more
        mine *= _crowding(found.candidates, like.of_generated, natural)
    mine, right = mine[np.isfinite(mine)], right[np.isfinite(right)]
    if len(mine) < _LEAST_JUDGED or not len(right):
        raise ValueRangeError(
            f"{len(mine)} of {n_asked:,} generated showers have at least four hits and {_LEAST_ALIKE} reference "
            f"showers whose incident energy is within a factor {LIKE_ENERGY:g}; copies can be looked for from "
            f"{_LEAST_JUDGED} on."
        )
    copies, usual = (float(np.mean(ratios < COPY)) for ratios in (mine, right))
    error = math.hypot(_error(copies, len(mine)), _error(usual, len(right)))
    return CopyCheck(
        originals=originals,
        n_originals=n_originals,
        generated=mine,
        reference=right,
        n_not_judged=n_asked - len(mine),
        copies=copies,
        copies_error=error,
        natural=usual,
        alarm=copies - usual > max(_ALARM_SHARE, _ALARM_SIGMA * error),
    )


def _in_natural_units(
    distances: Float[np.ndarray, " n"], windows: Int[np.ndarray, "n 2"], natural: _Found
) -> Float[np.ndarray, " n"]:
    """Distances over the quantile of the natural ones in each window; NaN where nothing is like."""
    found = np.full(len(distances), np.nan)
    for k, (first, last) in enumerate(windows):
        if last > first:
            among = natural.nearest[first:last]
            among = among[np.isfinite(among)]
            if len(among) >= _LEAST_ALIKE and (scale := np.quantile(among, _NATURAL)) > 0:
                found[k] = distances[k] / scale
    return found


def _crowding(
    candidates: Int[np.ndarray, " n"], windows: Int[np.ndarray, "n 2"], natural: _Found
) -> Float[np.ndarray, " n"]:
    """By how much a distance grows with as few candidates as the reference showers of like energy had.

    Nearest distances shrink as the number of candidates to the power of -1 / D; and the mean logarithm of the
    distances to the second and the first neighbour, over each other, is 1 / D (E. Levina and P. J. Bickel).
    """
    known = np.isfinite(natural.second) & (natural.nearest > 0)
    if not known.any():
        return np.ones(len(candidates))
    inverse = float(np.mean(np.log(natural.second[known] / natural.nearest[known])))
    theirs = np.array([np.mean(natural.candidates[a:b]) if b > a else 1.0 for a, b in windows])
    return np.maximum(candidates / np.maximum(theirs, 1), 1) ** inverse


def _error(share: float, n: int) -> float:
    """Standard error of a share; one more hit and one more miss, so that 0 and 1 have one, too."""
    smooth = (share * n + 1) / (n + 2)
    return math.sqrt(smooth * (1 - smooth) / n)
