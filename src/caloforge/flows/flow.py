"""A normalizing flow: a bijection over a standard normal."""

import math
from typing import final

from jaxtyping import Float
from torch import Tensor, nn

from caloforge.flows.bijection import Bijection

__all__ = ["Flow"]


@final
class Flow(nn.Module):
    """Density of ``x`` given ``context``: the standard normal pulled back through a bijection."""

    def __init__(self, bijection: Bijection) -> None:
        super().__init__()
        self.bijection = bijection

    def forward(self, x: Float[Tensor, "B F"], context: Float[Tensor, "B C"]) -> Float[Tensor, " B"]:
        """Same as :meth:`log_prob`, so that wrappers around modules see it."""
        return self.log_prob(x, context)

    def log_prob(self, x: Float[Tensor, "B F"], context: Float[Tensor, "B C"]) -> Float[Tensor, " B"]:
        """Natural logarithm of the density at ``x``."""
        z, log_det = self.bijection(x, context)
        return _log_normal(z) + log_det

    def decode(self, z: Float[Tensor, "B F"], context: Float[Tensor, "B C"]) -> Float[Tensor, "B F"]:
        """Data of the latent ``z``; normal ``z`` give samples."""
        return self.bijection.decode(z, context)

    def decode_with_log_prob(
        self, z: Float[Tensor, "B F"], context: Float[Tensor, "B C"]
    ) -> tuple[Float[Tensor, "B F"], Float[Tensor, " B"]]:
        """Data of the latent ``z`` and the logarithm of its density: one pass, where :meth:`log_prob` is slow."""
        x, log_det = self.bijection.inverse(z, context)
        return x, _log_normal(z) - log_det


def _log_normal(z: Tensor) -> Tensor:
    """Logarithm of the standard normal density of each row."""
    return -0.5 * z.square().sum(-1) - 0.5 * z.shape[-1] * math.log(2 * math.pi)
