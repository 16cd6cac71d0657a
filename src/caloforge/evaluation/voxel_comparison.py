"""Every single voxel of two samples beside each other, and which defect of one voxel would be seen.

Three numbers per voxel are compared: how often it is hit, its mean share of the layer's energy, and the mean
logarithm of the energy of its hits. From each a regression on the incident energy and the energy of the layer
takes what these explain (see :mod:`~caloforge.evaluation.voxel_sums`), with common slopes for both samples, and
the rest is compared: an analysis of covariance. A pull is a difference over its standard error; of thousands of
pulls some are large by chance, so it is the largest that counts, beside the largest that as many would have.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal, final

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special

from caloforge.errors import ValueRangeError
from caloforge.evaluation.voxel_sums import N_COVARIATES, N_OF_ENERGY, VoxelSums
from caloforge.geometry import Geometry, PolarGrid

__all__ = ["VoxelComparison", "VoxelDifference", "compare_voxels", "voxel_place"]

Quantity = Literal["hits", "share", "energy"]
_QUANTITIES: Final[tuple[Quantity, ...]] = ("hits", "share", "energy")
_ALARM: Final = 1e-3
"""Chance of a larger pull anywhere in two samples of one distribution, from which on a difference is real."""
_SURE: Final = 2 * special.ndtr(-5.0)
"""The same for five sigma, which a defect must reach to be called visible."""
_FEW: Final = 30
"""Of each sample: showers, for rates of hits; hits of a voxel, for their energy; as many equal shares must a share be
worth. With fewer a regression and its errors make no sense."""
_RARE: Final = 0.05
"""Share of showers with (or without) a hit below which the numbers are compared as binomial ones."""
_DOMINANT: Final = 0.3
"""Mean share of its layer's energy from which on a voxel's energy would be explained by itself."""
_CARRIES: Final = 0.99
"""Share of the energy that the voxels hold together which count as carrying energy."""
_WORST: Final = 10
_RELATIVE: Final = 1e-9
"""Eigenvalues of a scaled covariance below this are directions in which the samples have no spread."""


@final
@dataclass(frozen=True, kw_only=True)
class VoxelDifference:
    """One voxel that differs."""

    voxel: int
    """Its number on the flat voxel axis."""
    layer: int
    index: tuple[int, int]
    """In its layer's grid: ``(x, y)`` or ``(alpha, r)``."""
    centre_mm: tuple[float, float]
    """x and y of its centre."""
    place: str
    """All that in words."""
    quantity: Quantity
    """What differs most: how often it is hit, its share of the layer, or the energy of its hits."""
    pull: float
    """Difference, generated minus reference, over its standard error."""
    hit_rate: tuple[float, float]
    """Share of the showers with energy in its layer in which it is hit, generated and reference."""
    mean_energy_MeV: tuple[float, float]
    """Per shower, generated and reference."""
    energy_factor: float
    """How many times the reference's energy a hit has, at equal energies of shower and layer; NaN with few hits."""
    energy_factor_error: float


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class VoxelComparison:
    """All voxels of two samples; V voxels. Pulls are NaN where a voxel has too little to be compared."""

    hits: Float[np.ndarray, " V"]
    """Pulls of the rate of hits."""
    share: Float[np.ndarray, " V"]
    """Pulls of the mean share of the layer's energy."""
    energy: Float[np.ndarray, " V"]
    """Pulls of the mean logarithm of the hits' energies."""
    n_pulls: int
    """Those that are known."""
    largest: float
    """Largest pull, without its sign."""
    largest_by_chance: float
    """Median of the largest of so many pulls of two samples of one distribution."""
    alarm: float
    """In one of 1000 such pairs of samples a pull is larger."""
    n_beyond: int
    """Voxels with a pull beyond ``alarm``."""
    worst: tuple[VoxelDifference, ...]
    """Those with the largest pulls, also where chance explains them; at most ten."""
    visible_factor: Float[np.ndarray, " V"]
    """A voxel whose energies are scaled by this or more would be seen at five sigma, all pulls allowed for; infinite
    where it cannot be compared."""
    visible_factor_median: float
    """Median over the voxels that carry the energy: the fewest that hold 99 % of it in the reference."""
    visible_factor_worst: float
    """Largest among these."""
    n_carrying: int
    """How many these are."""

    @property
    def differs(self) -> bool:
        """Whether a voxel differs by more than chance explains."""
        return self.n_beyond > 0


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """Sums of one quantity over a sample: counts, covariates, values; a row for each voxel."""

    products: Float[np.ndarray, "V k k"]
    value: Float[np.ndarray, "V k"]
    square: Float[np.ndarray, " V"]

    @property
    def n(self) -> Float[np.ndarray, " V"]:
        return self.products[:, 0, 0]


def compare_voxels(generated: VoxelSums, reference: VoxelSums) -> VoxelComparison:
    """Compare two samples voxel by voxel.

    The spectra of incident energies may differ, the thresholds may not.

    Args:
        generated: Of the sample in question.
        reference: Of the sample that is right.

    Raises:
        GeometryMismatchError: The samples have different voxels.
        ValueRangeError: Thresholds or ranges of energies of the two differ.
    """
    geometry = reference.geometry
    geometry.require_same_voxels(generated.geometry, mine="The reference sample", theirs="the generated one")
    for name in ("threshold", "e_inc_range"):
        mine, theirs = getattr(generated, name), getattr(reference, name)
        if mine != theirs:
            raise ValueRangeError(
                f"The sums of the generated voxels were taken with {name} {mine}, those of the reference with "
                f"{theirs}; both must have the same."
            )
    pair = generated, reference
    layer_of = np.repeat(np.arange(geometry.n_layers), [layer.n_voxels for layer in geometry.layers])
    share = [_share_of(sums, layer_of) for sums in pair]
    logs = [_log_of(sums) for sums in pair]
    dominant = np.maximum(_mean(share[0]), _mean(share[1])) >= _DOMINANT
    difference, error, slope = _adjusted(*logs, without_layer=dominant)
    enough = np.minimum(logs[0].n, logs[1].n) >= _FEW
    difference, error = (np.where(enough, values, np.nan) for values in (difference, error))
    share_difference, share_error, _ = _adjusted(*share)
    share_error[np.minimum(*map(_effective, share)) < _FEW] = np.nan
    pulls = np.stack(
        [
            _hit_pulls(*(_hits_of(sums, layer_of) for sums in pair)),
            share_difference / share_error,
            difference / error,
        ]
    )
    pulls[~np.isfinite(pulls)] = np.nan
    n_pulls = int(np.isfinite(pulls).sum())
    size = np.nan_to_num(np.abs(pulls))
    alarm = _limit(_ALARM, n_pulls)
    best = size.max(axis=0)
    order = np.argsort(-best, kind="stable")[:_WORST]
    mean_share = _mean(share[1])
    visible = _visible(_limit(_SURE, n_pulls), error, slope * mean_share, share_error, mean_share)
    seen = visible[_carrying(reference.energy)]
    return VoxelComparison(
        hits=pulls[0],
        share=pulls[1],
        energy=pulls[2],
        n_pulls=n_pulls,
        largest=float(best.max()),
        largest_by_chance=_limit(0.5, n_pulls),
        alarm=alarm,
        n_beyond=int(np.count_nonzero(best > alarm)),
        worst=tuple(
            _described(int(v), pair, pulls[:, v], size[:, v], difference[v], error[v])
            for v in order
            if best[v] > 0
        ),
        visible_factor=visible,
        visible_factor_median=float(np.median(seen)),
        visible_factor_worst=float(seen.max()),
        n_carrying=len(seen),
    )


def _carrying(energy: Float[np.ndarray, " V"]) -> Int[np.ndarray, " c"]:
    """The fewest voxels that hold nearly all energy; at least one."""
    order = np.argsort(-energy, kind="stable")
    below = np.cumsum(energy[order]) < _CARRIES * energy.sum()
    return order[: np.count_nonzero(below) + 1]


def _hits_of(sums: VoxelSums, layer_of: np.ndarray) -> _Sample:
    hits = sums.hit_products[:, 0]
    return _Sample(products=sums.products[layer_of], value=hits, square=hits[:, 0])


def _share_of(sums: VoxelSums, layer_of: np.ndarray) -> _Sample:
    return _Sample(products=sums.products[layer_of], value=sums.share, square=sums.share_square)


def _log_of(sums: VoxelSums) -> _Sample:
    return _Sample(products=sums.hit_products, value=sums.log, square=sums.log_square)


def _mean(sample: _Sample) -> Float[np.ndarray, " V"]:
    return np.divide(sample.value[:, 0], sample.n, out=np.zeros(len(sample.n)), where=sample.n > 0)


def _effective(sample: _Sample) -> Float[np.ndarray, " V"]:
    """How many equal shares would be worth as much: a mean that a few large ones make has no known error."""
    square = sample.square
    return np.divide(sample.value[:, 0] ** 2, square, out=np.zeros(len(square)), where=square > 0)


def _adjusted(
    one: _Sample, other: _Sample, *, without_layer: Bool[np.ndarray, " V"] | None = None
) -> tuple[Float[np.ndarray, " V"], Float[np.ndarray, " V"], Float[np.ndarray, " V"]]:
    """Difference of the means at equal covariates, its error, and the slope in the logarithm of the layer's energy.

    Args:
        one: Sums of the one sample.
        other: Sums of the other.
        without_layer: Voxels for which the layer's energy is no covariate.
    """
    inner = [_within(sample) for sample in (one, other)]
    (xx_a, xy_a, _, x_a, y_a), (xx_b, xy_b, _, x_b, y_b) = inner
    xx, xy, x = xx_a + xx_b, xy_a + xy_b, x_a - x_b
    if without_layer is not None:
        xx[without_layer, N_OF_ENERGY - 1 :, :] = 0
        xx[without_layer, :, N_OF_ENERGY - 1 :] = 0
    inverse = _inverse(xx)
    slopes = np.einsum("vij,vj->vi", inverse, xy)
    difference = y_a - y_b - np.einsum("vi,vi->v", slopes, x)
    k = N_COVARIATES
    dof = one.n + other.n - 1 - k
    with np.errstate(divide="ignore", invalid="ignore"):
        rests = [
            (yy - 2 * np.einsum("vi,vi->v", slopes, xy) + np.einsum("vi,vij,vj->v", slopes, xx, slopes)).clip(
                0
            )
            for xx, xy, yy, _, _ in inner
        ]
        common = sum(rests) / dof
        # A small sample without its rare large values believes that it has none: the common spread is right for it.
        # One with too many of them has too large a mean, but also a spread of its own. The larger error is taken.
        own = sum(rest / (s.n - 1) / s.n for rest, s in zip(rests, (one, other), strict=True))
        variance = np.maximum(own, common * (1 / one.n + 1 / other.n))
        variance = variance + common * np.einsum("vi,vij,vj->v", x, inverse, x)
        error = np.sqrt(np.where((dof > 0) & (variance > 0), variance, np.nan))
    w = N_OF_ENERGY - 1  # the covariate behind the constant one, which the means have taken away
    mean_w = np.divide(
        one.products[:, 0, w + 1] + other.products[:, 0, w + 1],
        one.n + other.n,
        out=np.zeros(len(x)),
        where=one.n + other.n > 0,
    )
    slope = (slopes[:, w] + 2 * slopes[:, w + 1] * mean_w) / math.log(10)
    return difference, error, slope


def _within(sample: _Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sums of products around the sample's own means, and these."""
    n = np.maximum(sample.n, 1)
    x, y = sample.products[:, 0, 1:] / n[:, None], sample.value[:, 0] / n
    xx = sample.products[:, 1:, 1:] - n[:, None, None] * x[:, :, None] * x[:, None, :]
    xy = sample.value[:, 1:] - n[:, None] * x * y[:, None]
    return xx, xy, sample.square - n * y**2, x, y


def _inverse(xx: Float[np.ndarray, "V i i"]) -> Float[np.ndarray, "V i i"]:
    """Of symmetric matrices; directions without spread (a single energy, a layer of one voxel) are left out."""
    scale = np.sqrt(np.einsum("vii->vi", xx).clip(0))
    by = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    values, vectors = np.linalg.eigh(xx * by[:, :, None] * by[:, None, :])
    values = np.divide(1.0, values, out=np.zeros_like(values), where=values > _RELATIVE)
    return np.einsum("vik,vk,vjk->vij", vectors, values, vectors) * by[:, :, None] * by[:, None, :]


def _hit_pulls(one: _Sample, other: _Sample) -> Float[np.ndarray, " V"]:
    """Of the rates of hits: by regression, and from the binomial distribution where hits, or their lack, are rare."""
    difference, error, _ = _adjusted(one, other)
    pulls = np.divide(difference, error, out=np.full(len(error), np.nan), where=error > 0)
    hits, n = one.square + other.square, one.n + other.n
    slopes = np.einsum("vij,vj->vi", _inverse(one.products + other.products), one.value + other.value)
    expected = np.einsum("vi,vi->v", slopes, one.products[:, 0])
    for few, mine, expect in (
        (hits, one.square, expected),
        (n - hits, one.n - one.square, one.n - expected),
    ):
        rare = (few <= _RARE * n) & (few > 0)
        chance = np.divide(expect, few, out=np.full(len(few), 0.5), where=rare)
        # Few hits leave a regression that says impossible things; then the sizes of the samples must do.
        plain = np.divide(one.n, n, out=np.full(len(n), 0.5), where=n > 0)
        chance = np.where((chance > 0.01 * plain) & (chance < 1 - 0.01 * (1 - plain)), chance, plain)
        pulls = np.where(rare, _binomial_pull(mine, few, chance), pulls)
    known = (hits > 0) & (hits < n) & (np.minimum(one.n, other.n) >= _FEW)
    return np.where(known, pulls, np.nan)


def _binomial_pull(
    x: Float[np.ndarray, " V"], n: Float[np.ndarray, " V"], chance: Float[np.ndarray, " V"]
) -> Float[np.ndarray, " V"]:
    """The normal deviate as rare as x of n."""
    trials = n.astype(np.int64)
    below, above = special.bdtr(x, trials, chance), special.bdtrc(x - 1, trials, chance)
    above = np.where(x < 1, 1.0, above)
    tail = np.clip(np.minimum(below, above), 1e-300, 0.5)
    return np.where(x > n * chance, -1.0, 1.0) * special.ndtri(tail)


def _limit(chance: float, n_pulls: int) -> float:
    """The size that the largest of so many independent normal deviates exceeds with this chance."""
    return float(-special.ndtri(-special.expm1(math.log1p(-chance) / max(n_pulls, 1)) / 2))


def _visible(
    limit: float,
    log_error: Float[np.ndarray, " V"],
    explained: Float[np.ndarray, " V"],
    share_error: Float[np.ndarray, " V"],
    share: Float[np.ndarray, " V"],
) -> Float[np.ndarray, " V"]:
    """The factor on a voxel's energies that would be seen, by the more sensitive of two pulls; infinite if by none.

    Args:
        limit: Size of a pull that is sure.
        log_error: Of the mean logarithm.
        explained: Part of a shift that the layer's energy, in which the voxel is, would seem to explain.
        share_error: Of the mean share.
        share: Mean share of the layer's energy.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        by_log = np.exp(limit * log_error / (1 - explained).clip(0.05))
        # s f / (1 + (s - 1) f) is larger than f by what must be seen.
        target = share + limit * share_error
        by_share = np.where(target < 1, target * (1 - share) / (share * (1 - target)), np.inf)
    least = np.fmin(by_log, by_share)
    return np.where(np.isnan(least), np.inf, least)


def _described(
    voxel: int,
    pair: tuple[VoxelSums, VoxelSums],
    pulls: Float[np.ndarray, " q"],
    size: Float[np.ndarray, " q"],
    difference: float,
    error: float,
) -> VoxelDifference:
    geometry = pair[1].geometry
    layer, index, centre = _find(geometry, voxel)
    quantity = int(size.argmax())
    showers = [sums.products[layer, 0, 0] for sums in pair]
    hit_rate = [sums.hit_products[voxel, 0, 0] / max(n, 1) for sums, n in zip(pair, showers, strict=True)]
    mean = [sums.energy[voxel] / sums.n_showers for sums in pair]
    return VoxelDifference(
        voxel=voxel,
        layer=layer,
        index=index,
        centre_mm=centre,
        place=voxel_place(geometry, voxel),
        quantity=_QUANTITIES[quantity],
        pull=float(pulls[quantity]),
        hit_rate=(float(hit_rate[0]), float(hit_rate[1])),
        mean_energy_MeV=(float(mean[0]), float(mean[1])),
        energy_factor=math.exp(difference),
        energy_factor_error=math.exp(difference) * float(error),
    )


def _find(geometry: Geometry, voxel: int) -> tuple[int, tuple[int, int], tuple[float, float]]:
    """Layer, place in its grid, and centre in mm."""
    layer = next(k for k, where in enumerate(geometry.layer_slices) if voxel < where.stop)
    grid, inside = geometry.layers[layer].grid, voxel - geometry.layer_slices[layer].start
    x, y = grid.centres()
    return layer, divmod(inside, grid.shape[1]), (float(x[inside]), float(y[inside]))


def voxel_place(geometry: Geometry, voxel: int) -> str:
    """Where a voxel is, in words.

    Example:
        >>> from caloforge.geometry import get_geometry
        >>> voxel_place(get_geometry("calogan"), 288 + 6 * 12 + 3)
        'voxel (6, 3) of layer 1 (centre x = 20 mm, y = -100 mm)'
    """
    layer, (first, second), (x, y) = _find(geometry, voxel)
    grid = geometry.layers[layer].grid
    if isinstance(grid, PolarGrid):
        low, high = grid.r_edges[second], grid.r_edges[second + 1]
        where = f"r = {low:g} to {high:g} mm"
        if grid.n_alpha > 1:
            degrees = math.degrees(grid.polar_centres()[0][first * grid.shape[1]])
            where = f"alpha = {degrees:.0f}°, {where}"
        return f"voxel {first, second} of layer {geometry.layers[layer].name} ({where})"
    return f"voxel {first, second} of layer {geometry.layers[layer].name} (centre x = {x:.4g} mm, y = {y:.4g} mm)"
