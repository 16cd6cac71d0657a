"""All that metrics and pictures need to know of a sample, found in one pass over its showers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from caloforge.evaluation.average_showers import AverageShower
from caloforge.evaluation.catalogue import Feature
from caloforge.evaluation.profiles import Profile, VoxelSpectrum
from caloforge.geometry import Geometry
from caloforge.showers import Showers

__all__ = ["EnergySlice", "SampleStatistics", "sample_statistics"]


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class EnergySlice:
    """The showers between two incident energies."""

    low: float
    """MeV, included."""
    high: float
    """MeV, excluded; the highest of all slices is included."""
    n_showers: int
    average: AverageShower | None
    """``None`` without showers."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class SampleStatistics:
    """A sample in numbers: one value per shower and feature, averages and spectra."""

    geometry: Geometry
    n_showers: int
    threshold: float
    """Softer voxels counted as empty, MeV."""
    e_inc: Float[np.ndarray, " n"]
    """Incident energies, MeV, ``(n,)``."""
    features: tuple[Feature, ...]
    """As :func:`~caloforge.evaluation.catalogue.high_level_features` gives them, in its order."""
    average: AverageShower
    by_energy: tuple[EnergySlice, ...]
    """Averages in slices of the incident energy; none unless edges were asked for."""
    longitudinal: Profile
    """Mean energy per layer."""
    radial: Profile
    """Mean energy per distance from the axis, over all layers."""
    radial_by_layer: tuple[Profile, ...]
    """The same, layer by layer."""
    spectrum: VoxelSpectrum
    """Voxel energies."""

    def feature(self, name: str) -> Feature:
        """One feature by its name.

        Raises:
            UnknownNameError: There is none of that name.
        """
        raise NotImplementedError

    def matrix(self, names: Iterable[str] | None = None) -> Float[np.ndarray, "n F"]:
        """Features as columns, ``(n, F)``, e.g. for correlations; all of them by default."""
        raise NotImplementedError


def sample_statistics(
    chunks: Iterable[Showers],
    *,
    threshold: float = 0.0,
    energy_edges: Iterable[float] = (),
    voxel_edges: Iterable[float] | None = None,
) -> SampleStatistics:
    """Everything about a sample, in one pass and constant memory per voxel.

    The result is the same, bit for bit, however the showers are cut into chunks.

    Args:
        chunks: Showers, e.g. of :func:`~caloforge.io.read_chunks`; or ``[showers]``.
        threshold: Softer voxels count as empty, MeV.
        energy_edges: Incident energies between which averages are made, too, MeV.
        voxel_edges: Bin edges of the voxel spectrum, MeV; by default ten per decade.

    Raises:
        GeometryMismatchError: The chunks have different voxels.
        ValueRangeError: There are no showers, or the threshold or the edges make no sense.
    """
    raise NotImplementedError
