"""Normalizing flows in torch. No calorimeter words here: features ``x``, latents ``z``, a ``context``."""

from caloforge.flows.autoregressive import AutoregressiveSpline
from caloforge.flows.bijection import Bijection, Chain, Inverse, Permutation
from caloforge.flows.coupling import CouplingSpline
from caloforge.flows.distillation import LoopTerms, x_loop, z_loop
from caloforge.flows.flow import Flow
from caloforge.flows.grouped import GroupedMADE, GroupSweep
from caloforge.flows.masked import MADE, MaskedLinear
from caloforge.flows.mixture import LogisticMixture
from caloforge.flows.spline import InverseSpline, RationalQuadratic

__all__ = [
    "MADE",
    "AutoregressiveSpline",
    "Bijection",
    "Chain",
    "CouplingSpline",
    "Flow",
    "GroupSweep",
    "GroupedMADE",
    "Inverse",
    "InverseSpline",
    "LogisticMixture",
    "LoopTerms",
    "MaskedLinear",
    "Permutation",
    "RationalQuadratic",
    "x_loop",
    "z_loop",
]
