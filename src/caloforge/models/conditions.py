"""Energies as a condition of networks."""

import torch
from jaxtyping import Float
from torch import Tensor

from caloforge.units import keV

__all__ = ["log_energies"]


def log_energies(e_layer: Float[Tensor, "B L"], e_inc: Float[Tensor, " B"]) -> Float[Tensor, "B C"]:
    """Decimal logarithms of incident and layer energies, MeV, the incident one first; C = 1 + L."""
    # One keV keeps the logarithm of an empty layer finite, as in CaloFlow (1e-8 of 100 GeV).
    return torch.cat([e_inc[:, None].log10(), (e_layer + keV).log10()], dim=1)
