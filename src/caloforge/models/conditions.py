"""What several stages do with showers before their networks see them: energies as a condition, reflections."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from caloforge.units import keV

__all__ = ["log_energies", "mirrored"]


def log_energies(e_layer: Float[Tensor, "B L"], e_inc: Float[Tensor, " B"]) -> Float[Tensor, "B C"]:
    """Decimal logarithms of incident and layer energies, MeV, the incident one first; C = 1 + L."""
    # One keV keeps the logarithm of an empty layer finite, as in CaloFlow (1e-8 of 100 GeV).
    return torch.cat([e_inc[:, None].log10(), (e_layer + keV).log10()], dim=1)


def mirrored(
    voxels: Float[Tensor, "B V"], symmetries: Int[Tensor, "S V"], generator: torch.Generator
) -> Float[Tensor, "B V"]:
    """Each shower under a random one of the symmetries."""
    if len(symmetries) == 1:
        return voxels
    choice = torch.randint(len(symmetries), (len(voxels),), generator=generator, device=voxels.device)
    return voxels.gather(1, symmetries[choice])
