"""Mean energy along the shower and around its axis, and how often a voxel has which energy."""

import functools
import math
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from caloforge.evaluation.layer_sums import axis_positions
from caloforge.evaluation.running_mean import RunningMean
from caloforge.geometry import Geometry, PolarGrid
from caloforge.geometry.grid import Grid

__all__ = ["Profile", "RadialProfiles", "SpectrumCounter", "VoxelSpectrum", "longitudinal_profile"]

_MOST_RINGS = 40  # of Cartesian grids, whose pitch may be far below their size


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """Mean energy per shower in each bin of one coordinate."""

    name: str
    """``"longitudinal"``, ``"radial"`` or ``"radial_0"`` (of one layer, by its number)."""
    label: str
    """Of the coordinate, for people; without the unit."""
    unit: str
    """Of the coordinate: ``"mm"``, or empty for layer numbers."""
    edges: Float[np.ndarray, " b+1"]
    """Bin edges of the coordinate."""
    mean: Float[np.ndarray, " b"]
    """Mean energy of a shower in each bin, MeV, ``(b,)``."""
    error: Float[np.ndarray, " b"]
    """Its standard error over the showers, MeV, ``(b,)``; NaN for a single shower."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class VoxelSpectrum:
    """Number of voxels per bin of voxel energy, over all showers."""

    edges: Float[np.ndarray, " b+1"]
    """Bin edges, MeV."""
    counts: Int[np.ndarray, " b"]
    """Voxels with energy in each bin, ``(b,)``; the last bin includes its upper edge."""
    per_shower: Float[np.ndarray, " b"]
    """Mean number of voxels per shower, 1, ``(b,)``."""
    error: Float[np.ndarray, " b"]
    """Its standard error over the showers (the voxels of a shower are not independent); NaN for one shower."""
    below: int
    """Voxels below the first edge, those without energy among them."""
    above: int
    """Voxels above the last edge."""


def longitudinal_profile(e_layer: Float[np.ndarray, "n L"]) -> Profile:
    """Mean energy per layer, from the layer energies of all showers, MeV, ``(n, L)``."""
    average = RunningMean(e_layer.shape[1])
    average.add(e_layer)
    return Profile(
        name="longitudinal",
        label="layer",
        unit="",
        edges=np.arange(e_layer.shape[1] + 1) - 0.5,
        mean=average.mean,
        error=average.error,
    )


@final
class RadialProfiles:
    """Energy around the axis, per layer and over all layers, of blocks of showers.

    Each voxel counts with all its energy at the distance of its centre from the axis. The bins of a polar layer
    are its rings; those of a Cartesian one are as wide as the root of its voxels' mean area, or wider to have
    at most 40. Over all layers they are those of the layer with the fewest, continued by the others to the
    farthest voxel. Bins without a voxel's centre are joined to the one before.

    Args:
        geometry: The calorimeter.
    """

    def __init__(self, geometry: Geometry) -> None:
        self._slices = geometry.layer_slices
        grids = [layer.grid for layer in geometry.layers]
        self._own = [_Rings(grid, _own_edges(grid)) for grid in grids]
        edges = _common_edges(grids)
        self._common = [_Rings(grid, edges) for grid in grids]
        self._by_layer = [RunningMean(len(rings.used)) for rings in self._own]
        self._used = functools.reduce(np.union1d, [rings.used for rings in self._common])
        self._edges = _joined(edges, self._used)
        self._over_all = RunningMean(len(self._used))

    def add(self, voxels: Float[np.ndarray, "m V"]) -> None:
        """Take in a block of showers, MeV, float64."""
        over_all = np.zeros((len(voxels), len(self._used)))
        for own, common, average, where in zip(
            self._own, self._common, self._by_layer, self._slices, strict=True
        ):
            columns = own.columns(voxels[:, where])
            average.add(columns @ own.belongs)
            over_all[:, np.searchsorted(self._used, common.used)] += columns @ common.belongs
        self._over_all.add(over_all)

    def over_all(self) -> Profile:
        """Over all layers."""
        return _radial("radial", self._edges, self._over_all)

    def by_layer(self) -> tuple[Profile, ...]:
        """Of each layer."""
        return tuple(
            _radial(f"radial_{k}", rings.edges, average)
            for k, (rings, average) in enumerate(zip(self._own, self._by_layer, strict=True))
        )


def _radial(name: str, edges: tuple[float, ...], average: RunningMean) -> Profile:
    return Profile(
        name=name,
        label="distance from the axis",
        unit="mm",
        edges=np.array(edges),
        mean=average.mean,
        error=average.error,
    )


@final
class _Rings:
    """How the voxels of a grid fall into bins of the distance from the axis."""

    def __init__(self, grid: Grid, edges: tuple[float, ...]) -> None:
        r = axis_positions(grid)[2]
        self._shape = None
        if isinstance(grid, PolarGrid):
            self._shape, r = grid.shape, r[: grid.shape[1]]
        self.used, index = np.unique(np.searchsorted(edges, r, side="right") - 1, return_inverse=True)
        """Bins with a voxel."""
        self.edges = _joined(edges, self.used)
        """Of these bins, mm."""
        self.belongs: Float[np.ndarray, "c b"] = np.eye(len(self.used))[index]
        """1 where a column belongs to a bin."""

    def columns(self, voxels: Float[np.ndarray, "m v"]) -> Float[np.ndarray, "m c"]:
        """The rings of a polar grid, the voxels of another, MeV."""
        if self._shape is None:
            return voxels
        return voxels.reshape(len(voxels), *self._shape).sum(axis=1)


def _joined(edges: tuple[float, ...], bins: Int[np.ndarray, " b"]) -> tuple[float, ...]:
    """Edges of some of the bins, each made to reach up to the next."""
    return (edges[0], *(edges[k] for k in bins[1:]), edges[bins[-1] + 1])


def _own_edges(grid: Grid) -> tuple[float, ...]:
    """Edges of the distance from the axis for one grid, mm."""
    if isinstance(grid, PolarGrid):
        return grid.r_edges
    area = np.ptp(grid.x_edges) * np.ptp(grid.y_edges) / grid.n_voxels
    farthest = axis_positions(grid)[2].max()
    step = max(math.sqrt(area), farthest / (_MOST_RINGS - 0.5))
    return tuple((step * np.arange(math.floor(farthest / step) + 2)).tolist())


def _common_edges(grids: list[Grid]) -> tuple[float, ...]:
    """Edges of the distance from the axis into which all grids fit, mm."""
    choices = {_own_edges(grid) for grid in grids}
    edges = [min(choice[0] for choice in choices)]
    while edges[-1] < max(choice[-1] for choice in choices):
        farther = [[edge for edge in choice if edge > edges[-1]] for choice in choices]
        edges += min((len(rest), -rest[-1], rest) for rest in farther if rest)[2]
    return tuple(edges)


@final
class SpectrumCounter:
    """Counts voxels by their energy, of blocks of showers.

    Args:
        edges: Increasing bin edges, MeV, all above 0, ``(b + 1,)``.
    """

    def __init__(self, edges: Float[np.ndarray, " b+1"]) -> None:
        self._edges = edges
        self._average = RunningMean(len(edges) + 1)
        self._counts = np.zeros(len(edges) + 1, dtype=np.int64)

    def add(self, voxels: Float[np.ndarray, "m V"]) -> None:
        """Take in a block of showers, MeV, float64."""
        size = len(self._edges) + 1
        flat = np.flatnonzero(voxels > 0)
        energies = voxels.ravel()[flat]
        bins = np.searchsorted(self._edges, energies, side="right")
        bins[energies == self._edges[-1]] -= 1
        bins += flat // voxels.shape[1] * size  # shower by shower
        counts = np.bincount(bins, minlength=len(voxels) * size).reshape(len(voxels), size)
        counts[:, 0] += voxels.shape[1] - counts.sum(axis=1)  # those without energy
        self._counts += counts.sum(axis=0)
        self._average.add(counts.astype(np.float64))

    @property
    def n_showers(self) -> int:
        """Showers counted so far."""
        return self._average.n

    def spectrum(self) -> VoxelSpectrum:
        """What was counted."""
        return VoxelSpectrum(
            edges=self._edges,
            counts=self._counts[1:-1],
            per_shower=self._average.mean[1:-1],
            error=self._average.error[1:-1],
            below=int(self._counts[0]),
            above=int(self._counts[-1]),
        )
