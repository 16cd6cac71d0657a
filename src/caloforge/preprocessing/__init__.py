"""Between energies in MeV and model space: steps with ``encode`` and ``decode``, fitted and saved with the weights."""

from caloforge.preprocessing.closing import Closing
from caloforge.preprocessing.groups import voxel_groups
from caloforge.preprocessing.moments import LayerMoments
from caloforge.preprocessing.steps import LayerShares, Standardize, expit, layer_sums, logit
from caloforge.preprocessing.symmetry import Symmetry, mirrored, voxel_symmetries
from caloforge.preprocessing.voxels import (
    AnyEncoding,
    Encoding,
    LogEnergies,
    LogitShares,
    Shares,
    VoxelStep,
    voxel_step,
)

__all__ = [
    "AnyEncoding",
    "Closing",
    "Encoding",
    "LayerMoments",
    "LayerShares",
    "LogEnergies",
    "LogitShares",
    "Shares",
    "Standardize",
    "Symmetry",
    "VoxelStep",
    "expit",
    "layer_sums",
    "logit",
    "mirrored",
    "voxel_groups",
    "voxel_step",
    "voxel_symmetries",
]
