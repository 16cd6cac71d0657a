"""Normalizing flows in torch. No calorimeter words here: features ``x``, latents ``z``, a ``context``."""

from caloforge.flows.autoregressive import AutoregressiveSpline
from caloforge.flows.bijection import Bijection, Chain, Permutation
from caloforge.flows.coupling import CouplingSpline
from caloforge.flows.flow import Flow
from caloforge.flows.masked import MADE, MaskedLinear
from caloforge.flows.spline import RationalQuadratic

__all__ = [
    "MADE",
    "AutoregressiveSpline",
    "Bijection",
    "Chain",
    "CouplingSpline",
    "Flow",
    "MaskedLinear",
    "Permutation",
    "RationalQuadratic",
]
