"""What stages that draw voxels are conditioned on, and the rows that they are trained on."""

import torch
from jaxtyping import Float
from torch import Tensor

from caloforge.models.base import Batch
from caloforge.showers import Showers
from caloforge.units import keV

__all__ = ["energies_and_moments", "hit_rows", "log_energies"]


def log_energies(e_layer: Float[Tensor, "B L"], e_inc: Float[Tensor, " B"]) -> Float[Tensor, "B C"]:
    """Decimal logarithms of incident and layer energies, MeV, the incident one first; C = 1 + L."""
    # One keV keeps the logarithm of an empty layer finite, as in CaloFlow (1e-8 of 100 GeV).
    return torch.cat([e_inc[:, None].log10(), (e_layer + keV).log10()], dim=1)


def energies_and_moments(
    e_layer: Float[Tensor, "B L"], moments: Float[Tensor, "B M"], e_inc: Float[Tensor, " B"]
) -> Float[Tensor, "B C"]:
    """:func:`log_energies` and the layers' moments in one row, in the type of the moments; C = 1 + L + M."""
    return torch.cat([log_energies(e_layer, e_inc).to(moments.dtype), moments], dim=1)


def hit_rows(showers: Showers, *, threshold: float, dtype: torch.dtype) -> Batch:
    """Voxels, of which those below the threshold are 0, layer and incident energies, all in MeV."""
    voxels = torch.from_numpy(showers.voxels).to(dtype)
    voxels = torch.where(voxels < threshold, torch.zeros_like(voxels), voxels)
    e_layer, e_inc = (torch.from_numpy(a).to(dtype) for a in (showers.e_layer, showers.e_inc))
    return {"voxels": voxels, "e_layer": e_layer, "e_inc": e_inc}
