"""Coupling spline: half of the features are moved, given the other half; both directions cost one small network.

References:
    L. Dinh, J. Sohl-Dickstein, S. Bengio, Density estimation using Real NVP, arXiv:1605.08803
    C. Durkan, A. Bekasov, I. Murray, G. Papamakarios, Neural Spline Flows, arXiv:1906.04032
"""

import itertools
from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from caloforge.errors import ConfigError
from caloforge.flows.bijection import Bijection
from caloforge.flows.spline import RationalQuadratic

__all__ = ["CouplingSpline"]


@final
class CouplingSpline(Bijection):
    """Spline of each moved feature, whose parameters come from the kept features and the context.

    Args:
        moved: For each feature whether it is moved; at least one must be.
        n_context: Features of the context.
        hidden: Units of each hidden layer of the network.
        depth: Hidden layers.
        spline: The spline.
        dropout: Of hidden units while training.
    """

    moved: Tensor
    kept: Tensor
    order: Tensor

    def __init__(
        self,
        moved: Sequence[bool],
        *,
        n_context: int,
        hidden: int,
        depth: int,
        spline: RationalQuadratic,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not any(moved) or min(hidden, depth) < 1 or not 0 <= dropout < 1:
            raise ConfigError(
                "A coupling needs a feature to move, hidden units, depth >= 1 and 0 <= dropout < 1; got "
                f"{sum(moved)} of {len(moved)} features moved, {hidden}, {depth}, {dropout}."
            )
        self.spline = spline
        mask = torch.tensor(list(moved))
        self.register_buffer("moved", torch.nonzero(mask)[:, 0], persistent=False)
        self.register_buffer("kept", torch.nonzero(~mask)[:, 0], persistent=False)
        order = torch.argsort(torch.cat([self.moved, self.kept]))
        self.register_buffer("order", order, persistent=False)
        sizes = [len(self.kept) + n_context, *depth * [hidden]]
        layers: list[nn.Module] = []
        for size, following in itertools.pairwise(sizes):
            layers += [nn.Linear(size, following), nn.ReLU(), nn.Dropout(dropout)]
        last = nn.Linear(hidden, spline.n_params * len(self.moved))
        with torch.no_grad():
            # As in MADE: an untrained spline is close to the identity, so training starts calm.
            last.weight.mul_(0.1)
            last.bias.mul_(0.1)
        self.network = nn.Sequential(*layers, last)

    @staticmethod
    def count_parameters(
        *, n_moved: int, n_kept: int, n_context: int, n_params: int, hidden: int, depth: int
    ) -> int:
        """Parameters of a coupling of these sizes, without building it."""
        first = (n_kept + n_context + 1) * hidden
        return first + (depth - 1) * (hidden + 1) * hidden + (hidden + 1) * n_params * n_moved

    def forward(
        self, x: Float[Tensor, "B F"], context: Float[Tensor, "B C"]
    ) -> tuple[Float[Tensor, "B F"], Float[Tensor, " B"]]:
        """Data to latent."""
        kept = x[:, self.kept]
        moved, log_slope = self.spline.forward(x[:, self.moved], self._params(kept, context))
        return torch.cat([moved, kept], dim=1)[:, self.order], log_slope.sum(-1)

    def inverse(
        self, z: Float[Tensor, "B F"], context: Float[Tensor, "B C"]
    ) -> tuple[Float[Tensor, "B F"], Float[Tensor, " B"]]:
        """Latent to data, at the same cost."""
        kept = z[:, self.kept]
        moved, log_slope = self.spline.inverse(z[:, self.moved], self._params(kept, context))
        return torch.cat([moved, kept], dim=1)[:, self.order], log_slope.sum(-1)

    def decode(self, z: Float[Tensor, "B F"], context: Float[Tensor, "B C"]) -> Float[Tensor, "B F"]:
        """As :meth:`inverse`, without the log-determinant."""
        kept = z[:, self.kept]
        moved = self.spline.decode(z[:, self.moved], self._params(kept, context))
        return torch.cat([moved, kept], dim=1)[:, self.order]

    def _params(self, kept: Tensor, context: Tensor) -> Float[Tensor, "B P M"]:
        params = self.network(torch.cat([kept, context], dim=1))
        # Under autocast the network may run in bfloat16; the spline never does.
        return params.to(kept.dtype).view(len(kept), self.spline.n_params, len(self.moved))
