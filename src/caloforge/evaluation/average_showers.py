"""The average shower: mean energy of each voxel over a sample."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from caloforge.errors import ValueRangeError
from caloforge.evaluation.running_mean import RunningMean
from caloforge.geometry import Geometry
from caloforge.showers import Showers

__all__ = ["AverageShower", "average_ratio", "average_shower"]

_BLOCK = 2**20  # voxels at a time


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class AverageShower:
    """Mean energy per voxel of a sample."""

    geometry: Geometry
    n_showers: int
    mean: Float[np.ndarray, " V"]
    """Mean energy of each voxel, MeV, ``(V,)``."""
    error: Float[np.ndarray, " V"]
    """Standard error of the mean, MeV, ``(V,)``; NaN for a single shower."""


def average_shower(showers: Showers) -> AverageShower:
    """Mean energy per voxel, over all incident energies of the sample.

    Args:
        showers: The showers.

    Raises:
        ValueRangeError: There are no showers.
    """
    n = len(showers)
    if n == 0:
        raise ValueRangeError("The average of a sample without showers is not defined.")
    average = RunningMean(showers.geometry.n_voxels)
    rows = max(1, _BLOCK // showers.geometry.n_voxels)
    for start in range(0, n, rows):
        average.add(showers.voxels[start : start + rows].astype(np.float64))
    return AverageShower(geometry=showers.geometry, n_showers=n, mean=average.mean, error=average.error)


def average_ratio(
    generated: AverageShower, reference: AverageShower, *, max_error: float = 0.25
) -> Float[np.ndarray, " V"]:
    """Generated over reference mean energy per voxel; NaN where the reference is too uncertain.

    Only the reference's error counts: a voxel in which few generated showers have far too much energy has
    a large error, too, and must be seen.

    Args:
        generated: Average of the generated showers.
        reference: Average of the reference showers.
        max_error: Largest relative standard error of the reference.

    Returns:
        The ratio, 1, ``(V,)``. A voxel that only the reference has energy in is 0.

    Raises:
        GeometryMismatchError: The averages are of different voxels.
    """
    reference.geometry.require_same_voxels(
        generated.geometry, mine="The reference average", theirs="the generated one"
    )
    known = (reference.mean > 0) & (reference.error <= max_error * reference.mean)
    return np.divide(generated.mean, reference.mean, out=np.full(len(reference.mean), np.nan), where=known)
