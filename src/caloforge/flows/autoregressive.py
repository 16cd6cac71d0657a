"""Autoregressive spline: one dense pass from data to latent, one sweep over the features back.

References:
    G. Papamakarios, T. Pavlakou, I. Murray, Masked Autoregressive Flow, arXiv:1705.07057
    C. Durkan, A. Bekasov, I. Murray, G. Papamakarios, Neural Spline Flows, arXiv:1906.04032
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from caloforge.flows.bijection import Bijection
from caloforge.flows.masked import MADE
from caloforge.flows.panels import encode_in_panels
from caloforge.flows.spline import InverseSpline, RationalQuadratic

__all__ = ["AutoregressiveSpline"]


@final
class AutoregressiveSpline(Bijection):
    """Spline of each feature whose parameters come from the features before it and the context."""

    def __init__(self, made: MADE, spline: RationalQuadratic | InverseSpline) -> None:
        super().__init__()
        self.made, self.spline = made, spline

    def forward(
        self, x: Float[Tensor, "B F"], context: Float[Tensor, "B C"]
    ) -> tuple[Float[Tensor, "B F"], Float[Tensor, " B"]]:
        """Fast direction: all features at once."""
        z, log_slope = self.spline.forward(x, self.params(x, context))
        return z, log_slope.sum(-1)

    def encode(self, x: Float[Tensor, "B F"], context: Float[Tensor, "B C"]) -> Float[Tensor, "B F"]:
        """As :meth:`forward`, without the log-determinant; where no gradient is wanted, without the masked half."""
        if torch.is_grad_enabled() or self.made.residual:
            return self.spline.encode(x, self.params(x, context))
        return encode_in_panels(self.made, self.spline, x, context)

    def params(self, x: Float[Tensor, "B F"], context: Float[Tensor, "B C"]) -> Float[Tensor, "B P F"]:
        """The spline's raw parameters."""
        # Under autocast the network may run in bfloat16; the spline never does.
        return self.made(x, context).to(x.dtype)

    def inverse(
        self, z: Float[Tensor, "B F"], context: Float[Tensor, "B C"]
    ) -> tuple[Float[Tensor, "B F"], Float[Tensor, " B"]]:
        """Slow direction: feature after feature, but at the cost of one dense pass in all.

        It works in place, so no gradient flows through it.
        """
        sweep = self.made.sweep(context)
        latent = z.T.contiguous()
        log_det = z.new_zeros(len(z))
        for k in range(len(latent)):
            x, log_slope = self.spline.inverse(latent[k], sweep.params(k))
            log_det = log_det + log_slope
            sweep.feed(k, x)
        return sweep.x.T.contiguous(), log_det

    def decode(self, z: Float[Tensor, "B F"], context: Float[Tensor, "B C"]) -> Float[Tensor, "B F"]:
        """As :meth:`inverse`, without the log-determinant."""
        sweep = self.made.sweep(context)
        latent = z.T.contiguous()
        for k in range(len(latent)):
            sweep.feed(k, self.spline.decode(latent[k], sweep.params(k)))
        return sweep.x.T.contiguous()
