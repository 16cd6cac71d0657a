"""The sums over the voxels of each layer from which all features of a shower follow, taken in one go.

Sums run in float64, shower by shower: no number of a shower depends on the other showers, to the last bit.
"""

import functools
from dataclasses import dataclass, fields
from typing import final

import numpy as np
from jaxtyping import Float, Int

from caloforge.geometry import Geometry, PolarGrid
from caloforge.geometry.grid import Grid
from caloforge.showers import Showers

__all__ = [
    "LayerSums",
    "axis_positions",
    "divide",
    "layer_sums",
    "moments",
    "two_brightest",
    "voxel_positions",
]

_CANCELLED = 1e-6  # share of a mean square below which the difference that a variance is has lost its digits


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class LayerSums:
    """What the features are made of; n showers, L layers."""

    geometry: Geometry
    e_inc: Float[np.ndarray, " n"]
    """Incident energy, MeV."""
    energy: Float[np.ndarray, "n L"]
    """Energy per layer, MeV."""
    first: Float[np.ndarray, "n L"]
    """Energy of the brightest voxel, MeV."""
    second: Float[np.ndarray, "n L"]
    """Energy of the second brightest voxel, MeV; 0 in a layer of one voxel."""
    hits: Int[np.ndarray, "n L"]
    """Voxels with energy."""
    mean: Float[np.ndarray, "n L 3"]
    """Energy-weighted mean of x, y and r, mm; 0 in an empty layer."""
    width: Float[np.ndarray, "n L 3"]
    """Energy-weighted standard deviation of x, y and r, mm; 0 in an empty layer."""

    @classmethod
    def concatenate(cls, parts: "list[LayerSums]") -> "LayerSums":
        """One from several; the list is emptied, so that nothing is held twice for long."""
        geometry = parts[0].geometry
        columns: list[dict[str, np.ndarray]] = [
            {f.name: getattr(part, f.name) for f in fields(cls) if f.name != "geometry"} for part in parts
        ]
        parts.clear()
        names = list(columns[0])
        return cls(
            geometry=geometry,
            **{name: np.concatenate([column.pop(name) for column in columns]) for name in names},
        )


def layer_sums(showers: Showers) -> LayerSums:
    """All sums of some showers; a float64 copy of one layer at a time is all that it needs."""
    geometry = showers.geometry
    n, n_layers = len(showers), geometry.n_layers
    energy, first, second = (np.zeros((n, n_layers)) for _ in range(3))
    mean, width = np.zeros((n, n_layers, 3)), np.zeros((n, n_layers, 3))
    hits = np.zeros((n, n_layers), dtype=np.int64)
    for k, (layer, where) in enumerate(zip(geometry.layers, geometry.layer_slices, strict=True)):
        voxels = showers.voxels[:, where].astype(np.float64)
        energy[:, k] = voxels.sum(axis=1)
        hits[:, k] = np.count_nonzero(voxels, axis=1)
        mean[:, k], width[:, k] = moments(voxels, axis_positions(layer.grid), energy[:, k])
        first[:, k], second[:, k] = two_brightest(voxels)
    return LayerSums(
        geometry=geometry,
        e_inc=showers.e_inc.astype(np.float64),
        energy=energy,
        first=first,
        second=second,
        hits=hits,
        mean=mean,
        width=width,
    )


@functools.lru_cache(maxsize=64)
def axis_positions(grid: Grid) -> tuple[Float[np.ndarray, " v"], ...]:
    """Position x, y and r of the voxels of a grid in flat order, mm; not to be written to.

    On a polar grid x and y are r cos(alpha) and r sin(alpha), and r the middle of the ring; on a Cartesian one
    r is the distance of the voxel's centre from the axis.
    """
    x, y = grid.centres()
    r = grid.polar_centres()[1] if isinstance(grid, PolarGrid) else np.hypot(x, y)
    for positions in (x, y, r):
        positions.flags.writeable = False
    return x, y, r


def voxel_positions(geometry: Geometry) -> tuple[Float[np.ndarray, " V"], ...]:
    """As :func:`axis_positions`, of all voxels of a calorimeter."""
    positions = [axis_positions(layer.grid) for layer in geometry.layers]
    return tuple(np.concatenate(axis) for axis in zip(*positions, strict=True))


def moments(
    weights: Float[np.ndarray, "n v"],
    positions: tuple[Float[np.ndarray, " v"], ...],
    total: Float[np.ndarray, " n"],
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d"]]:
    """Weighted mean and standard deviation of d coordinates for each row of weights; 0 for a row of zeros.

    Args:
        weights: Not negative, float64, ``(n, v)``.
        positions: Each ``(v,)``.
        total: Sum of each row of weights, ``(n,)``.
    """
    mean, width = np.zeros((len(weights), len(positions))), np.zeros((len(weights), len(positions)))
    for axis, x in enumerate(positions):
        mean[:, axis] = m = divide(np.einsum("nv,v->n", weights, x), total)
        square = divide(np.einsum("nv,v->n", weights, x * x), total)
        variance = square - m * m
        # A single hit far from the axis has a variance of 0, of which the difference leaves noise.
        lost = variance <= _CANCELLED * square
        if lost.any():
            away = (x - m[lost, None]) ** 2
            variance[lost] = divide((weights[lost] * away).sum(axis=1), total[lost])
        width[:, axis] = np.sqrt(variance)
    return mean, width


def two_brightest(
    voxels: Float[np.ndarray, "n v"],
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Largest and second largest energy of each row, ``(n,)`` each; the rows lose their largest on the way."""
    rows, at = np.arange(len(voxels)), voxels.argmax(axis=1)
    first = voxels[rows, at]
    voxels[rows, at] = 0.0
    return first, voxels.max(axis=1)


def divide(a: Float[np.ndarray, "*s"], b: Float[np.ndarray, "..."]) -> Float[np.ndarray, "*s"]:
    """The quotient of float64 arrays, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)
