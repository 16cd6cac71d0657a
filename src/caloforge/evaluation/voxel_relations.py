"""Which voxels of a calorimeter lie beside each other, and which behind each other.

Neighbours share an edge: along x and y of a Cartesian layer, along r and alpha, which closes on itself, of a polar
one. Behind a voxel lies what overlaps with it in the next layer, whose grid may be another one.
"""

import functools
import itertools
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from caloforge.geometry import CartesianGrid, Geometry, PolarGrid
from caloforge.geometry.grid import Grid

__all__ = ["LayerZones", "VoxelRelations", "layer_zones", "voxel_relations"]

MAX_ZONES: Final = 12
"""Up to so many layers each has local features of its own."""
_ZONES: Final = 10
_SAMPLES: Final = 12  # points along each axis of a voxel, where grids of two kinds overlap


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class LayerZones:
    """Consecutive layers that features are taken of together: single layers, or runs of them where there are many.

    A shower in 45 layers would have thousands of local features, each from a few hits.
    """

    names: tuple[str, ...]
    """For people: ``"layer 0"``, ``"layers 3-5"``."""
    suffixes: tuple[str, ...]
    """For names of features: ``"0"``, ``"3-5"``."""
    of_layer: Int[np.ndarray, " L"]
    """Number of the zone of each layer."""
    columns: tuple[slice, ...]
    """Where the voxels of a zone are."""

    def __len__(self) -> int:
        return len(self.names)


@functools.lru_cache(maxsize=16)
def layer_zones(geometry: Geometry) -> LayerZones:
    """The zones of a calorimeter: its layers, or ten runs of them if it has more than twelve."""
    n = geometry.n_layers
    runs = np.array_split(np.arange(n), n if n <= MAX_ZONES else _ZONES)
    labels = [geometry.layers[run[0]].name for run in runs]
    ends = [geometry.layers[run[-1]].name for run in runs]
    return LayerZones(
        names=tuple(f"layer {a}" if a == b else f"layers {a}-{b}" for a, b in zip(labels, ends, strict=True)),
        suffixes=tuple(f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs),
        of_layer=np.repeat(np.arange(len(runs)), [len(run) for run in runs]),
        columns=tuple(
            slice(geometry.layer_slices[run[0]].start, geometry.layer_slices[run[-1]].stop) for run in runs
        ),
    )


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class VoxelRelations:
    """Pairs of voxels, by their numbers on the flat axis; arrays are not to be written to."""

    geometry: Geometry
    layer: Int[np.ndarray, " V"]
    """Layer of each voxel."""
    axes: tuple[str, ...]
    """Axes along which some layer has neighbours, of ``"x"``, ``"y"``, ``"alpha"``, ``"r"``."""
    forward: dict[str, Int[np.ndarray, " V"]]
    """By axis, the neighbour of each voxel in the direction of the axis; V, one too many, where there is none."""
    degree: Int[np.ndarray, " V"]
    """Number of neighbours of each voxel."""
    overlap: sparse.csr_array
    """Share of voxel v's area that voxel w of the next layer lies behind, ``(V, V)``."""
    energy_behind: sparse.csr_array
    """Share of the energy of voxel w of the next layer that lies behind voxel v, if w's is spread evenly."""

    def pairs(self, axis: str) -> tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]]:
        """Neighbours along an axis, each pair once."""
        first = np.flatnonzero(self.forward[axis] < len(self.layer))
        return first, self.forward[axis][first]


@functools.lru_cache(maxsize=8)
def voxel_relations(geometry: Geometry) -> VoxelRelations:
    """All relations of a calorimeter's voxels."""
    n = geometry.n_voxels
    forward: dict[str, np.ndarray] = {}
    for layer, where in zip(geometry.layers, geometry.layer_slices, strict=True):
        for axis, found in _forward(layer.grid).items():
            mine = forward.setdefault(axis, np.full(n, n))
            mine[where] = np.where(found < layer.n_voxels, found + where.start, n)
    degree = np.zeros(n + 1, dtype=np.int64)
    for found in forward.values():
        degree[:n] += found < n
        degree += np.bincount(found, minlength=n + 1)
    overlap = _overlaps(geometry)
    area = np.concatenate([layer.grid.areas() for layer in geometry.layers])
    return VoxelRelations(
        geometry=geometry,
        layer=np.repeat(np.arange(geometry.n_layers), [layer.n_voxels for layer in geometry.layers]),
        axes=tuple(forward),
        forward=forward,
        degree=degree[:n],
        overlap=overlap,
        energy_behind=overlap.multiply(area[:, None]).multiply(1 / area[None, :]).tocsr(),
    )


def _forward(grid: Grid) -> dict[str, Int[np.ndarray, " v"]]:
    """Next voxel along each axis on which there is one; the number of voxels where there is none."""
    shape, n = grid.shape, grid.n_voxels
    number = np.arange(n).reshape(shape)
    names = ("x", "y") if isinstance(grid, CartesianGrid) else ("alpha", "r")
    found = {}
    for axis, name in enumerate(names):
        if shape[axis] < 2:
            continue
        following = np.roll(number, -1, axis=axis)
        if name != "alpha" or shape[axis] == 2:  # two halves of a ring are one pair
            last = (slice(None),) * axis + (-1,)
            following[last] = n
        found[name] = following.ravel()
    return found


def _overlaps(geometry: Geometry) -> sparse.csr_array:
    rows, columns, shares = [], [], []
    for (front, back), (mine, theirs) in zip(
        itertools.pairwise(geometry.layers), itertools.pairwise(geometry.layer_slices), strict=True
    ):
        found = _overlap(front.grid, back.grid).tocoo()
        rows.append(found.row + mine.start)
        columns.append(found.col + theirs.start)
        shares.append(found.data)
    n = geometry.n_voxels
    if not rows:
        return sparse.csr_array((n, n))
    at = np.concatenate(rows), np.concatenate(columns)
    return sparse.csr_array((np.concatenate(shares), at), shape=(n, n))


@functools.lru_cache(maxsize=64)
def _overlap(front: Grid, back: Grid) -> sparse.csr_array:
    """Share of each front voxel's area that each back voxel covers, ``(v, w)``."""
    if isinstance(front, CartesianGrid) and isinstance(back, CartesianGrid):
        x = _covered(front.x_edges, back.x_edges)
        return sparse.csr_array(sparse.kron(x, _covered(front.y_edges, back.y_edges)))
    if isinstance(front, PolarGrid) and isinstance(back, PolarGrid):
        alpha = _covered(front.alpha_edges, back.alpha_edges)
        rings = [tuple(np.square(grid.r_edges).tolist()) for grid in (front, back)]  # areas go with r squared
        return sparse.csr_array(sparse.kron(alpha, _covered(*rings)))
    return _sampled(front, back)


def _covered(mine: tuple[float, ...], theirs: tuple[float, ...]) -> sparse.csr_array:
    """Share of each of my bins that each of theirs covers; less than a part in 10^9 is rounding."""
    a, b = np.asarray(mine), np.asarray(theirs)
    common = np.minimum(a[1:, None], b[None, 1:]) - np.maximum(a[:-1, None], b[None, :-1])
    share = common / np.diff(a)[:, None]
    return sparse.csr_array(np.where(share > 1e-9, share, 0.0))


def _sampled(front: Grid, back: Grid) -> sparse.csr_array:
    """As :func:`_overlap` for grids of two kinds, from a raster of points in every front voxel."""
    inside = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    x, y = _raster(front, inside)
    where = _locate(back, x.ravel(), y.ravel()).reshape(front.n_voxels, -1)
    row = np.repeat(np.arange(front.n_voxels), where.shape[1])
    known = where.ravel() >= 0
    share = np.full(np.count_nonzero(known), 1.0 / where.shape[1])
    return sparse.csr_array(
        (share, (row[known], where.ravel()[known])), shape=(front.n_voxels, back.n_voxels)
    )


def _raster(grid: Grid, inside: Float[np.ndarray, " s"]) -> tuple[np.ndarray, np.ndarray]:
    """Points of equal area in each voxel, mm, ``(v, s * s)`` each."""

    def points(edges: tuple[float, ...]) -> np.ndarray:
        low = np.asarray(edges)
        return low[:-1, None] + np.diff(low)[:, None] * inside

    if isinstance(grid, CartesianGrid):
        first, second = points(grid.x_edges), points(grid.y_edges)
    else:
        first, second = points(grid.alpha_edges), np.sqrt(points(tuple(np.square(grid.r_edges).tolist())))
    a, b = np.broadcast_arrays(first[:, None, :, None], second[None, :, None, :])
    a, b = (values.reshape(grid.n_voxels, -1) for values in (a, b))
    return (a, b) if isinstance(grid, CartesianGrid) else (b * np.cos(a), b * np.sin(a))


def _locate(grid: Grid, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Number of the voxel that a point lies in, -1 outside."""
    if isinstance(grid, CartesianGrid):
        places = (grid.x_edges, x), (grid.y_edges, y)
    else:
        places = (grid.alpha_edges, np.arctan2(y, x)), (grid.r_edges, np.hypot(x, y))
    first, second = (np.searchsorted(edges, values, side="right") - 1 for edges, values in places)
    n_first, n_second = grid.shape
    outside = (first < 0) | (first >= n_first) | (second < 0) | (second >= n_second)
    return np.where(outside, -1, first * n_second + second)
