"""Mean energy along the shower and around its axis, and how often a voxel has which energy."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

__all__ = ["Profile", "VoxelSpectrum"]


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
