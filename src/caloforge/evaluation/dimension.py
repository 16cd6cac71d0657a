"""Intrinsic dimension of showers: on a manifold of how many dimensions they lie, in slices of energy and per layer.

What is near depends on what a distance is measured in, so the space is part of the answer:

- ``normalised``: each voxel's share of its layer's energy, as in CaloMan. All layers count alike, also one with a
  thousandth of the energy in three voxels; its few hits then fill many dimensions.
- ``log``: the logarithm of a voxel's energy over the threshold, 0 below it. Soft voxels, which are many and
  scatter most, count as much as bright ones: near to what a likelihood of voxels sees.
- ``energy``: a voxel's energy over the incident one. The bright core decides, soft voxels hardly count.

References:
    J. C. Cresswell et al., CaloMan, arXiv:2211.15380
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, final, get_args

import numpy as np
from jaxtyping import Float

from caloforge.errors import UnknownNameError, ValueRangeError
from caloforge.intrinsic_dimension import DimensionEstimate, intrinsic_dimension, without_twins
from caloforge.seeding import derive_seed
from caloforge.showers import Showers, check_threshold
from caloforge.units import keV

__all__ = [
    "SPACES",
    "DimensionStudy",
    "RegionDimension",
    "Space",
    "drawn_showers",
    "dimension_study",
    "points_of_showers",
]

Space = Literal["normalised", "log", "energy"]
SPACES: tuple[str, ...] = get_args(Space)

_MAX_VALUES = 2**27  # voxels in memory: half a gigabyte in float32


@final
@dataclass(frozen=True, kw_only=True)
class RegionDimension:
    """Dimension of some showers in some layers."""

    layer: str | None
    """Name of the layer, ``None`` for the whole shower."""
    low: float
    """Least incident energy, MeV, included."""
    high: float
    """Greatest incident energy, MeV, excluded but for the highest slice."""
    e_inc: float
    """Mean incident energy, MeV."""
    n_showers: int
    n_empty: int
    """Showers without energy in the layer, left out."""
    n_different: int
    """Showers of which no two are equal here; what the dimension is estimated from."""
    n_voxels: int
    n_constant: int
    """Voxels whose value is the same in all showers; they add no dimension."""
    estimates: tuple[DimensionEstimate, ...]
    """One for each k; none where there are too few showers."""
    note: str | None
    """Why there is no estimate, or what to beware of."""


@final
@dataclass(frozen=True, kw_only=True)
class DimensionStudy:
    """Dimensions of a sample: of all showers, in slices of the incident energy, and layer by layer."""

    geometry: str
    space: Space
    threshold: float
    """Softer voxels counted as empty, MeV."""
    ks: tuple[int, ...]
    n_showers: int
    whole: RegionDimension
    slices: tuple[RegionDimension, ...]
    layers: tuple[RegionDimension, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON types; energies in MeV."""
        return _plain(asdict(self))


def dimension_study(
    showers: Showers,
    *,
    ks: Sequence[int] = (10,),
    n_slices: int = 5,
    space: Space = "normalised",
    threshold: float = 1 * keV,
    max_queries: int = 10_000,
    seed: int = 0,
) -> DimensionStudy:
    """Dimension of showers in one of the spaces above.

    Args:
        showers: The sample; at most about 100 000 are sensible, see :func:`drawn_showers`.
        ks: Numbers of neighbours.
        n_slices: Slices of the incident energy with as many showers each; 0 or 1 for none.
        space: What the distance is measured in.
        threshold: Softer voxels count as empty, MeV; positive for ``log``.
        max_queries: As in :func:`~caloforge.intrinsic_dimension.intrinsic_dimension`.
        seed: Of all draws.

    Raises:
        UnknownNameError: There is no such space.
        ValueRangeError: Too few showers for k, or settings that make no sense.
    """
    if space not in SPACES:
        raise UnknownNameError("space", str(space), SPACES)
    check_threshold(threshold)
    if space == "log" and threshold == 0:
        raise ValueRangeError("The space 'log' needs a threshold above 0 MeV.")
    if n_slices < 0:
        raise ValueRangeError(f"The number of slices must be 0 or more, got {n_slices}.")
    if not len(showers):
        raise ValueRangeError("The sample has no showers; thousands are needed for a dimension.")
    measure = _Measure(ks=tuple(ks), space=space, threshold=threshold, max_queries=max_queries, seed=seed)
    points = points_of_showers(showers, space, threshold=threshold)
    energies = showers.e_inc
    everything = np.ones(len(showers), dtype=bool)
    edges = _slice_edges(energies, n_slices)
    geometry = showers.geometry
    filled = geometry.e_layer(points) > 0
    return DimensionStudy(
        geometry=geometry.name,
        space=space,
        threshold=threshold,
        ks=measure.ks,
        n_showers=len(showers),
        whole=measure.region(points, energies, everything, required=True),
        slices=tuple(
            measure.region(points, energies, _inside(energies, low, high, edges[-1]), limits=(low, high))
            for low, high in itertools.pairwise(edges)
        ),
        layers=tuple(
            measure.region(points[:, where], energies, filled[:, number], layer=layer.name)
            for number, (layer, where) in enumerate(zip(geometry.layers, geometry.layer_slices, strict=True))
        )
        if geometry.n_layers > 1
        else (),
    )


def points_of_showers(
    showers: Showers, space: Space, *, threshold: float = 1 * keV
) -> Float[np.ndarray, "n V"]:
    """Showers as points of a space, ``(n, V)``, in float32; an empty layer is all zeros."""
    voxels = np.where(showers.voxels < threshold, 0, showers.voxels).astype(np.float32)
    if space == "energy":
        return voxels / showers.e_inc[:, None].astype(np.float32)
    if space == "log":
        # Zero is empty; one octave is left free between it and the threshold.
        return np.where(voxels > 0, np.log2(np.maximum(voxels, threshold) / threshold) + 1, 0).astype(
            np.float32
        )
    for where in showers.geometry.layer_slices:
        sums = voxels[:, where].sum(axis=1, dtype=np.float64)
        voxels[:, where] /= np.where(sums > 0, sums, 1)[:, None].astype(np.float32)
    return voxels


def drawn_showers(
    chunks: Iterable[Showers], n_showers: int, *, max_showers: int | None = None, seed: int = 0
) -> Showers:
    """Showers drawn at random from a stream, in their order; only these are ever in memory.

    Args:
        chunks: As of :func:`~caloforge.io.read_chunks`.
        n_showers: Showers in the stream.
        max_showers: At most so many; by default 100 000, fewer where they would take more than half a gigabyte.
        seed: Of the draw.

    Raises:
        ValueRangeError: ``max_showers`` is below 1, or the stream is empty.
    """
    if max_showers is not None and max_showers < 1:
        raise ValueRangeError(f"max_showers must be at least 1, got {max_showers}.")
    parts: list[Showers] = []
    chosen, start = None, 0
    for chunk in chunks:
        if chosen is None:
            limit = max_showers or min(100_000, max(1, _MAX_VALUES // chunk.geometry.n_voxels))
            rng = np.random.default_rng(derive_seed(seed, "drawn showers"))
            chosen = np.zeros(n_showers, dtype=bool)
            chosen[rng.permutation(n_showers)[:limit]] = True
        part = chosen[start : start + len(chunk)]
        parts.append(chunk if part.all() else chunk[part])
        start += len(chunk)
    if not parts:
        raise ValueRangeError("The sample has no showers; thousands are needed for a dimension.")
    return Showers.concatenate(parts)


@final
@dataclass(frozen=True, kw_only=True)
class _Measure:
    ks: tuple[int, ...]
    space: Space
    threshold: float
    max_queries: int
    seed: int

    def region(
        self,
        points: Float[np.ndarray, "n F"],
        e_inc: Float[np.ndarray, " n"],
        rows: np.ndarray,
        *,
        layer: str | None = None,
        limits: tuple[float, float] | None = None,
        required: bool = False,
    ) -> RegionDimension:
        n_all = len(points)
        points, e_inc = (points, e_inc) if rows.all() else (points[rows], e_inc[rows])
        constant = points.min(axis=0) == points.max(axis=0) if len(points) else np.ones(points.shape[1], bool)
        low, high = limits or ((float(e_inc.min()), float(e_inc.max())) if len(e_inc) else (np.nan, np.nan))
        estimates: tuple[DimensionEstimate, ...] = ()
        note = None
        try:
            if constant.all() and len(points) > 1:
                raise ValueRangeError("All showers are equal here: 0 dimensions.")  # noqa: TRY301
            estimates = intrinsic_dimension(
                points if not constant.any() else points[:, ~constant],
                self.ks,
                max_queries=self.max_queries,
                seed=derive_seed(self.seed, str(layer), str(limits)),
            )
        except ValueRangeError as err:
            if required:
                raise
            note = str(err)
        if estimates:
            n_different = len(points) - estimates[0].n_twins
        else:
            n_different = len(without_twins(points)) if len(points) else 0
        return RegionDimension(
            layer=layer,
            low=low,
            high=high,
            e_inc=float(e_inc.mean()) if len(e_inc) else np.nan,
            n_showers=len(points),
            n_empty=n_all - len(points) if layer is not None else 0,
            n_different=n_different,
            n_voxels=points.shape[1],
            n_constant=int(constant.sum()),
            estimates=estimates,
            note=note,
        )


def _slice_edges(e_inc: Float[np.ndarray, " n"], n: int) -> list[float]:
    """Edges of slices with equal counts, MeV; fewer where energies repeat, none below two."""
    edges = np.unique(np.quantile(e_inc, np.linspace(0, 1, n + 1))).tolist() if n > 1 else []
    return edges if len(edges) > 2 else []


def _inside(e_inc: Float[np.ndarray, " n"], low: float, high: float, last: float) -> np.ndarray:
    return (e_inc >= low) & ((e_inc <= high) if high == last else (e_inc < high))


def _plain(value: Any) -> Any:
    """Lists for tuples, and ``None`` for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
