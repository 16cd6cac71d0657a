"""Profiles and the voxel spectrum of both samples as plain data with their labels."""

from typing import Any

from caloforge.evaluation.profiles import Profile, VoxelSpectrum

__all__ = ["profile_pair", "spectrum_pair"]


def profile_pair(generated: Profile, reference: Profile) -> dict[str, Any]:
    """One profile of both samples; energies in MeV."""
    return {
        "name": reference.name,
        "x_label": f"{reference.label} [{reference.unit}]" if reference.unit else reference.label,
        "y_label": "mean energy [MeV]",
        "edges": reference.edges,
        "logarithmic": False,
        "generated": {"mean": generated.mean, "error": generated.error},
        "reference": {"mean": reference.mean, "error": reference.error},
    }


def spectrum_pair(generated: VoxelSpectrum, reference: VoxelSpectrum) -> dict[str, Any]:
    """Number of voxels per shower and bin of energy, in the bins that any of the two has voxels in."""
    filled = (generated.counts + reference.counts).nonzero()[0]
    first, last = (int(filled[0]), int(filled[-1]) + 1) if len(filled) else (0, 1)
    part = slice(first, last)
    return {
        "name": "voxel_spectrum",
        "x_label": "voxel energy [MeV]",
        "y_label": "voxels per shower",
        "edges": reference.edges[first : last + 1],
        "logarithmic": True,
        "generated": {"mean": generated.per_shower[part], "error": generated.error[part]},
        "reference": {"mean": reference.per_shower[part], "error": reference.error[part]},
    }
