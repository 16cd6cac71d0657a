"""A calorimeter cut into small blocks that are drawn from the outside in, each seen in a frame of its own.

A block is a few neighbouring voxels. Blocks at the same distance from the axis, mirrored or turned into each
other, are drawn in one step where they do not touch. In the frame of a block, the axis lies always on the same
side, so one network can draw all of them.
"""

import itertools
import math
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Int

from caloforge.geometry import CartesianGrid, Geometry, PolarGrid
from caloforge.geometry.grid import Grid
from caloforge.preprocessing.moments import grid_positions

__all__ = ["Block", "GridBlocks", "grid_blocks", "layer_overlaps"]

_WHOLE = 3  # cells: an axis with no more is not cut
_SIZE = 2  # cells of a block along an axis that is cut


@final
@dataclass(frozen=True, kw_only=True)
class _Segment:
    """Cells ``start`` to ``stop`` of one axis; ``outward`` is the sign of the direction away from the shower's axis."""

    start: int
    stop: int
    outward: int
    ring: int
    """Segments between this one and the shower's axis."""

    def cell(self, u: int, size: int) -> int | None:
        """Cell at place ``u`` counted outward from the segment's innermost cell; ``None`` where it has no such cell."""
        length = self.stop - self.start
        if length <= u < size:
            return None
        if u >= size:
            u -= size - length
        return self.start + u if self.outward > 0 else self.stop - 1 - u


@final
@dataclass(frozen=True, kw_only=True)
class Block:
    """Some neighbouring voxels of a layer."""

    place: tuple[int, int]
    """Number of the block along both axes."""
    ring: tuple[int, int]
    """Blocks between this one and the shower's axis, along both axes."""
    segments: tuple[_Segment, _Segment]
    step: int
    """When it is drawn, counted from 0 in its layer."""
    phase: int
    """Blocks of equal phase are images of each other and see the same blocks drawn."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class GridBlocks:
    """The blocks of one grid, in the order they are drawn."""

    grid: Grid
    size: tuple[int, int]
    """Cells of a block along both axes."""
    blocks: tuple[Block, ...]

    @property
    def cyclic(self) -> bool:
        """Whether the first axis closes on itself."""
        return isinstance(self.grid, PolarGrid)

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """Places of a block's voxels in its frame: first those whose neighbours are drawn after them."""
        places = list(itertools.product(range(self.size[0]), range(self.size[1])))
        return sorted(places, key=lambda place: sum(place) % 2)

    @property
    def n_first(self) -> int:
        """Voxels of a block that are drawn before the others."""
        return (self.size[0] * self.size[1] + 1) // 2

    def cells(self, offsets: list[tuple[int, int]]) -> Int[np.ndarray, "n o"]:
        """Voxel of the grid at places in the frame of each block; -1 where the grid has none."""
        n_0, n_1 = self.grid.shape
        found = np.full((len(self.blocks), len(offsets)), -1)
        for k, block in enumerate(self.blocks):
            for o, place in enumerate(offsets):
                i, j = (s.cell(u, size) for s, u, size in zip(block.segments, place, self.size, strict=True))
                if i is None or j is None:
                    continue
                if self.cyclic:
                    turned = i % n_0
                    # Once around and back is no other cell.
                    if i != turned and not -n_0 // 2 <= place[0] <= n_0 // 2:
                        continue
                    i = turned
                if 0 <= i < n_0 and 0 <= j < n_1:
                    found[k, o] = i * n_1 + j
        return found

    @property
    def members(self) -> Int[np.ndarray, "n m"]:
        """Voxels of each block, -1 where it has fewer than others."""
        return self.cells(self.offsets)

    def window(self, reach: tuple[int, int]) -> list[tuple[int, int]]:
        """Places around a block, its own left out."""
        spans = [range(-r, size + r) for r, size in zip(reach, self.size, strict=True)]
        own = set(self.offsets)
        return [place for place in itertools.product(spans[0], spans[1]) if place not in own]

    def neighbours(self, offsets: list[tuple[int, int]]) -> Int[np.ndarray, "n o"]:
        """Block at places of whole blocks in the frame of each block, -1 where there is none."""
        number = {block.place: k for k, block in enumerate(self.blocks)}
        n_places = [max(b.place[axis] for b in self.blocks) + 1 for axis in (0, 1)]
        found = np.full((len(self.blocks), len(offsets)), -1)
        for k, block in enumerate(self.blocks):
            for o, offset in enumerate(offsets):
                i, j = (
                    p + s.outward * u for p, s, u in zip(block.place, block.segments, offset, strict=True)
                )
                if self.cyclic:
                    i %= n_places[0]
                found[k, o] = number.get((i, j), -1)
        return found

    def centres(self, n_axes: int) -> Float[np.ndarray, "n a"]:
        """Mean of each position (:func:`~caloforge.preprocessing.moments.grid_positions`) in each block, mm."""
        found = np.zeros((len(self.blocks), n_axes))
        for a, axis in enumerate(grid_positions(self.grid)):
            found[:, a] = [axis[m[m >= 0]].mean() for m in self.members]
        return found

    def frames(self, n_axes: int) -> Float[np.ndarray, "n a a"]:
        """What turns a vector of positions into the frame of each block."""
        frames = np.tile(np.eye(n_axes), (len(self.blocks), 1, 1))
        if not self.cyclic:
            kept = [k for k, n in enumerate(self.grid.shape) if n > 1]
            for a, axis in enumerate(kept):
                frames[:, a, a] = [b.segments[axis].outward for b in self.blocks]
        elif len(grid_positions(self.grid)) == 2:
            x, y = self.centres(n_axes)[:, :2].T
            angle = np.arctan2(y, x)
            cos, sin = np.cos(angle), np.sin(angle)
            frames[:, :2, :2] = np.stack([np.stack([-sin, cos], 1), np.stack([cos, sin], 1)], axis=1)
        return frames

    @property
    def earlier(self) -> Bool[np.ndarray, "n n"]:
        """Whether the block of a column is drawn before that of a row."""
        step = np.array([block.step for block in self.blocks])
        return step[None, :] < step[:, None]

    @property
    def same_side(self) -> Bool[np.ndarray, "n n"]:
        """Whether two blocks lie on the same side of the axis, along both axes."""
        side = np.array([[s.outward for s in b.segments] for b in self.blocks])
        return (side[:, None] == side[None]).all(-1)

    def is_core(self, n_voxels: int) -> Bool[np.ndarray, " n"]:
        """The innermost blocks that together have at least so many voxels; with images of a block, all are."""
        sizes = (self.members >= 0).sum(1)
        core = np.zeros(len(self.blocks), dtype=bool)
        for ring in reversed(list(dict.fromkeys(block.ring for block in self.blocks))):
            if sizes[core].sum() >= n_voxels:
                break
            core |= np.array([block.ring == ring for block in self.blocks])
        return core


def grid_blocks(grid: Grid) -> GridBlocks:
    """Cut a grid into blocks and order them."""
    polar = isinstance(grid, PolarGrid)
    size = tuple(n if n <= (1 if polar else _WHOLE) else _SIZE for n in grid.shape)
    axes = (
        [_around(grid.shape[0], size[0]), _rings(grid.shape[1], size[1])]
        if polar
        else [_both_sides(n, s) for n, s in zip(grid.shape, size, strict=True)]
    )
    places = list(itertools.product(range(len(axes[0])), range(len(axes[1]))))
    by_ring: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for place in places:
        ring = axes[0][place[0]].ring, axes[1][place[1]].ring
        by_ring.setdefault(ring, []).append(place)
    far = {ring: _distance(grid, axes, members[0], polar=polar) for ring, members in by_ring.items()}
    blocks: list[Block] = []
    step = phase = 0
    for ring in sorted(by_ring, key=lambda r: (-far[r], r)):
        for together in _apart(by_ring[ring], len(axes[0]) if polar else None):
            for place in together:
                segments = axes[0][place[0]], axes[1][place[1]]
                blocks.append(Block(place=place, ring=ring, segments=segments, step=step, phase=phase))
            step, phase = step + 1, phase + 1
    return GridBlocks(grid=grid, size=(size[0], size[1]), blocks=tuple(blocks))


def _both_sides(n: int, size: int) -> list[_Segment]:
    """Segments of equal size from both ends inward; what is left in the middle is one or two smaller ones."""
    n_full = n // (2 * size)
    left = n - 2 * n_full * size
    middle = [left] if 0 < left <= size else [left - left // 2, left // 2] if left else []
    lengths = [size] * n_full + middle + [size] * n_full
    edges = list(itertools.accumulate(lengths, initial=0))
    count = len(lengths)
    return [
        _Segment(
            start=edges[k], stop=edges[k + 1], outward=1 if 2 * k + 1 >= count else -1, ring=_ring(k, count)
        )
        for k in range(count)
    ]


def _ring(k: int, count: int) -> int:
    return (k - count // 2) if 2 * k + 1 >= count else ((count - 1) // 2 - k)


def _rings(n: int, size: int) -> list[_Segment]:
    """Segments from the outermost ring inward; the innermost may be smaller."""
    first = n % size or size
    edges = [0, *range(first, n + 1, size)]
    return [
        _Segment(start=a, stop=b, outward=1, ring=k) for k, (a, b) in enumerate(itertools.pairwise(edges))
    ]


def _around(n: int, size: int) -> list[_Segment]:
    """Segments around the axis, all images of each other but for one that may be smaller."""
    edges = [*range(0, n, size), n]
    return [_Segment(start=a, stop=b, outward=1, ring=0) for a, b in itertools.pairwise(edges)]


def _distance(grid: Grid, axes: list[list[_Segment]], place: tuple[int, int], *, polar: bool) -> float:
    """Of a block from the axis, mm."""
    if polar:
        return float(axes[1][place[1]].ring)
    assert isinstance(grid, CartesianGrid)
    middle = [
        (edges[axis[k].start] + edges[axis[k].stop]) / 2 - (edges[0] + edges[-1]) / 2
        for edges, axis, k in zip((grid.x_edges, grid.y_edges), axes, place, strict=True)
    ]
    return math.hypot(*middle)


def _apart(places: list[tuple[int, int]], around: int | None) -> list[list[tuple[int, int]]]:
    """Places in as few steps as it takes that none touch within a step."""
    steps: list[list[tuple[int, int]]] = []
    for place in places:
        for together in steps:
            if not any(_touch(place, other, around) for other in together):
                together.append(place)
                break
        else:
            steps.append([place])
    return steps


def _touch(a: tuple[int, int], b: tuple[int, int], around: int | None) -> bool:
    across, along = abs(a[0] - b[0]), abs(a[1] - b[1])
    if around is not None:
        across = min(across, around - across)
    return across <= 1 and along <= 1


def layer_overlaps(geometry: Geometry, layer: int, blocks: GridBlocks) -> Float[np.ndarray, "n v"]:
    """How much of each voxel of the layer before lies in the footprint of each block of a layer, 0 to 1."""
    before = geometry.layers[layer - 1].grid
    owner = np.full(blocks.grid.n_voxels, -1)
    for k, members in enumerate(blocks.members):
        owner[members[members >= 0]] = k
    overlaps = np.zeros((len(blocks.blocks), before.n_voxels), dtype=np.float32)
    for voxel, points in enumerate(_points(before)):
        cells = _cells_of(blocks.grid, points)
        inside = cells[cells >= 0]
        np.add.at(overlaps[:, voxel], owner[inside], 1 / len(points))
    return overlaps


_PER_AXIS = 6  # points that a voxel is probed with; cells of more common ratios are then met exactly


def _points(grid: Grid) -> Float[np.ndarray, "v p 2"]:
    """Points inside each voxel of a grid, (x, y) in mm."""
    share = (np.arange(_PER_AXIS) + 0.5) / _PER_AXIS
    edges = (
        (grid.x_edges, grid.y_edges) if isinstance(grid, CartesianGrid) else (grid.alpha_edges, grid.r_edges)
    )
    first, second = (np.array(e)[:-1, None] + np.diff(e)[:, None] * share for e in edges)
    a = np.broadcast_to(first[:, None, :, None], (len(first), len(second), _PER_AXIS, _PER_AXIS))
    b = np.broadcast_to(second[None, :, None, :], a.shape)
    points = np.stack([a.ravel(), b.ravel()], axis=1)
    if isinstance(grid, PolarGrid):
        points = np.stack([b.ravel() * np.cos(a.ravel()), b.ravel() * np.sin(a.ravel())], axis=1)
    return points.reshape(grid.n_voxels, _PER_AXIS**2, 2)


def _cells_of(grid: Grid, points: Float[np.ndarray, "p 2"]) -> Int[np.ndarray, " p"]:
    """Voxel of a grid that each point lies in; -1 outside."""
    if isinstance(grid, CartesianGrid):
        first, second, edges = points[:, 0], points[:, 1], (grid.x_edges, grid.y_edges)
    else:
        first, second = np.arctan2(points[:, 1], points[:, 0]), np.hypot(points[:, 0], points[:, 1])
        edges = (grid.alpha_edges, grid.r_edges)
    i, j = (np.searchsorted(e, v, side="right") - 1 for e, v in zip(edges, (first, second), strict=True))
    n_0, n_1 = grid.shape
    inside = (i >= 0) & (i < n_0) & (j >= 0) & (j < n_1)
    return np.where(inside, i * n_1 + j, -1)
