"""Voxel grids of one calorimeter layer, Cartesian or polar, as plain data.

The flat order of a grid's voxels is the order of the field's files: row-major in ``shape``, that is y
fastest for ``(n_x, n_y)`` and r fastest for ``(n_alpha, n_r)``.
"""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Float

from caloforge.errors import ConfigError
from caloforge.geometry.plain import integer, number

__all__ = ["CartesianGrid", "PolarGrid", "Grid", "uniform_edges"]


def uniform_edges(low: float, high: float, n: int) -> tuple[float, ...]:
    """Edges of ``n`` bins of equal width between ``low`` and ``high``, rounded to a nanometre (in mm)."""
    if n < 1 or not low < high:
        raise ConfigError(f"Cannot cut {low}..{high} into {n} bins: low < high and n >= 1 are needed.")
    return tuple(round(low + (high - low) * k / n, 6) for k in range(n + 1))


def _check_edges(name: str, edges: object) -> tuple[float, ...]:
    if isinstance(edges, str) or not isinstance(edges, Iterable):
        raise ConfigError(f"{name} must be a list of numbers (mm), got {edges!r}.")
    values = tuple(number(edge, f"Each of {name}") for edge in edges)
    increasing = all(a < b for a, b in itertools.pairwise(values))
    if len(values) < 2 or not increasing:
        raise ConfigError(
            f"{name} must be at least two strictly increasing numbers (mm), got {list(values)}."
        )
    return values


@final
@dataclass(frozen=True, kw_only=True)
class CartesianGrid:
    """Rectangular voxels; flat order is y fastest, then x."""

    kind: ClassVar[Literal["cartesian"]] = "cartesian"
    x_edges: tuple[float, ...]
    """Bin edges along x, mm."""
    y_edges: tuple[float, ...]
    """Bin edges along y, mm."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "x_edges", _check_edges("x_edges", self.x_edges))
        object.__setattr__(self, "y_edges", _check_edges("y_edges", self.y_edges))

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_x, n_y)``."""
        return len(self.x_edges) - 1, len(self.y_edges) - 1

    @property
    def n_voxels(self) -> int:
        """Number of voxels of the grid."""
        return math.prod(self.shape)

    def centres(self) -> tuple[Float[np.ndarray, " V"], Float[np.ndarray, " V"]]:
        """Position in x and y of the voxel centres in flat order, mm."""
        x, y = (np.convolve(edges, [0.5, 0.5], "valid") for edges in (self.x_edges, self.y_edges))
        grid_x, grid_y = np.meshgrid(x, y, indexing="ij")
        return grid_x.ravel(), grid_y.ravel()

    def areas(self) -> Float[np.ndarray, " V"]:
        """Areas of the voxels across the shower axis in flat order, mm2."""
        return np.outer(np.diff(self.x_edges), np.diff(self.y_edges)).ravel()


@final
@dataclass(frozen=True, kw_only=True)
class PolarGrid:
    """Rings around the shower axis cut into equal slices of alpha; flat order is r fastest, then alpha."""

    kind: ClassVar[Literal["polar"]] = "polar"
    r_edges: tuple[float, ...]
    """Bin edges in radius, mm; the first is usually 0."""
    n_alpha: int
    """Number of equal slices in alpha from -pi to pi; 1 means rings only."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "r_edges", _check_edges("r_edges", self.r_edges))
        if self.r_edges[0] < 0:
            raise ConfigError(f"r_edges must not be negative, got {self.r_edges[0]} mm.")
        object.__setattr__(self, "n_alpha", integer(self.n_alpha, "n_alpha", low=1, high=1_000_000))

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_alpha, n_r)``."""
        return self.n_alpha, len(self.r_edges) - 1

    @property
    def n_voxels(self) -> int:
        """Number of voxels of the grid."""
        return math.prod(self.shape)

    @property
    def alpha_edges(self) -> tuple[float, ...]:
        """Bin edges in alpha, rad, from -pi to pi."""
        return tuple(np.linspace(-math.pi, math.pi, self.n_alpha + 1).tolist())

    def polar_centres(self) -> tuple[Float[np.ndarray, " V"], Float[np.ndarray, " V"]]:
        """Alpha (rad) and r (mm) of the voxel centres in flat order."""
        alpha, r = (np.convolve(edges, [0.5, 0.5], "valid") for edges in (self.alpha_edges, self.r_edges))
        grid_alpha, grid_r = np.meshgrid(alpha, r, indexing="ij")
        return grid_alpha.ravel(), grid_r.ravel()

    def centres(self) -> tuple[Float[np.ndarray, " V"], Float[np.ndarray, " V"]]:
        """Eta-like ``r cos(alpha)`` and phi-like ``r sin(alpha)`` of the voxel centres in flat order, mm.

        A ring that is not cut in alpha has its centre on the axis, as in the CaloChallenge's definition,
        where such layers enter no centroid.
        """
        alpha, r = self.polar_centres()
        if self.n_alpha == 1:
            return np.zeros_like(r), np.zeros_like(r)
        return r * np.cos(alpha), r * np.sin(alpha)

    def areas(self) -> Float[np.ndarray, " V"]:
        """Areas of the voxels across the shower axis in flat order, mm2."""
        return np.outer(np.diff(self.alpha_edges), np.diff(np.square(self.r_edges)) / 2).ravel()


Grid = CartesianGrid | PolarGrid
