"""Between energies in MeV and model space: steps with ``encode`` and ``decode``, fitted and saved with the weights."""

from caloforge.preprocessing.steps import LayerShares, Standardize, expit, layer_sums, logit
from caloforge.preprocessing.symmetry import voxel_symmetries
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
    "Encoding",
    "LayerShares",
    "LogEnergies",
    "LogitShares",
    "Shares",
    "Standardize",
    "VoxelStep",
    "expit",
    "layer_sums",
    "logit",
    "voxel_step",
    "voxel_symmetries",
]
