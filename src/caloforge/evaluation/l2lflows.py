"""Input of the high-level classifier of the L2LFlows papers: ten numbers per shower.

Nine of them are those that the configuration of the convolutional L2LFlows marks for its classifier: incident
energy, energy ratio, occupancy, and mean and standard deviation of z, x and y over all voxels, weighted with their
energy. The papers speak of ten; we take the visible (deposited) energy for the tenth, which is the product of two
of the others. There z counts layers, and x and y count cells; here x and y are in mm, which makes no difference
after the standardisation of the inputs that their classifier begins with. Voxels below 0.1 MeV are empty there.

References:
    S. Diefenbacher et al., L2LFlows: generating high-fidelity 3D calorimeter images, arXiv:2302.11594.
    T. Buss et al., Convolutional L2LFlows: generating accurate showers in highly granular calorimeters using
    convolutional normalizing flows, arXiv:2405.20407.
"""

from typing import Final

import numpy as np
from jaxtyping import Float

from caloforge.evaluation.catalogue import lateral_axes, usual_features
from caloforge.evaluation.sample import SampleStatistics
from caloforge.geometry import Geometry
from caloforge.showers import Showers

__all__ = ["l2lflows_feature_names", "l2lflows_features"]

_NAMES: Final = (
    "e_inc",
    "e_dep",
    "e_ratio",
    "occupancy",
    "shower_depth",
    "shower_mean_x",
    "shower_mean_y",
    "shower_depth_width",
    "shower_width_x",
    "shower_width_y",
)


def l2lflows_feature_names(geometry: Geometry) -> tuple[str, ...]:
    """What the columns of :func:`l2lflows_features` are: ten, without x or y where no layer is cut along it."""
    cut = {axis for layer in geometry.layers for axis in lateral_axes(layer.grid)}
    return tuple(name for name in _NAMES if name[-2:] not in ("_x", "_y") or name[-1] in cut)


def l2lflows_features(sample: Showers | SampleStatistics) -> Float[np.ndarray, "n F"]:
    """One row per shower, ``(n, F)``; energies in MeV, lengths in mm, not standardised.

    Args:
        sample: Showers, with soft voxels set to 0 where that is wanted, or their statistics.
    """
    features = usual_features(sample) if isinstance(sample, Showers) else sample.features
    known = {feature.name: feature.values for feature in features}
    names = l2lflows_feature_names(sample.geometry)
    return np.column_stack([sample.e_inc, *(known[name] for name in names[1:])])
