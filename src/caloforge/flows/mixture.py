"""Mixture of logistic distributions: a density with as many hills as components, drawn from without a search.

Legend of shapes: ``*`` any leading axes, ``M`` components, ``F`` points. The parameters lie on the second-last
axis, P = 3 M - 1 of them: M - 1 stick logits, M locations, M logarithms of scales.

References:
    T. Salimans, A. Karpathy, X. Chen, D. P. Kingma, PixelCNN++, arXiv:1701.05517 (logistic mixtures)
    J. Sethuraman, Statistica Sinica 4 (1994) 639 (stick breaking)
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid, pad, softplus

from caloforge.errors import ConfigError

__all__ = ["LogisticMixture"]

_LOG_SCALE = (-5.0, 3.0)
"""Range of the logarithm of a scale: a component may narrow to 0.7 % of a unit and no further, so that values
which repeat in the data do not draw an endless likelihood."""

_FEW = 3


@final
@dataclass(frozen=True, kw_only=True)
class LogisticMixture:
    r"""Mixture of ``n_components`` logistic distributions; zero parameters spread them evenly over -1 .. 1.

    Weights are broken off a stick: of what the components before leave over, component k takes the share
    :math:`1 / (1 + e^{-s_k})`, the last one everything. So a draw compares each stick logit with a standard logistic
    number of its own, which needs neither a sum nor a normalisation.
    """

    n_components: int = 3

    def __post_init__(self) -> None:
        if self.n_components < 1:
            raise ConfigError(f"A mixture needs at least 1 component, got {self.n_components}.")

    @property
    def n_params(self) -> int:
        """Raw parameters per point, P = 3 M - 1."""
        return 3 * self.n_components - 1

    @property
    def n_noise(self) -> int:
        """Random numbers per draw, M."""
        return self.n_components

    def log_prob(
        self, x: Float[Tensor, "*batch F"], params: Float[Tensor, "*batch P F"]
    ) -> Float[Tensor, "*batch F"]:
        """Natural logarithm of the density at ``x``, pointwise."""
        m = self.n_components
        stick, location, log_scale = (
            params[..., : m - 1, :],
            params[..., m - 1 : 2 * m - 1, :],
            params[..., 2 * m - 1 :, :],
        )
        spread = torch.tensor(self._spread, dtype=params.dtype, device=params.device)
        log_scale = log_scale.clamp(*_LOG_SCALE)
        taken = pad(logsigmoid(stick), (0, 0, 0, 1))
        left = pad(logsigmoid(-stick).cumsum(-2), (0, 0, 1, 0))
        y = (x.unsqueeze(-2) - location - spread[:, None]) * (-log_scale).exp()
        return torch.logsumexp(taken + left - y - 2 * softplus(-y) - log_scale, dim=-2)

    def sample(
        self, noise: Float[Tensor, "M *batch F"], params: Float[Tensor, "P *batch F"]
    ) -> Float[Tensor, "*batch F"]:
        """A draw per point. Here the parameters come first.

        Args:
            noise: Standard logistic numbers; all but the last choose the component, the last the place in it.
            params: As in :meth:`log_prob`, but along the first axis.
        """
        m = self.n_components
        location, log_scale = self._chosen(noise[: m - 1], params)
        return torch.addcmul(location, log_scale.clamp(*_LOG_SCALE).exp_(), noise[m - 1])

    def _chosen(self, noise: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        """Location and logarithmic scale of the component that is drawn."""
        m = self.n_components
        if m > _FEW:  # one gather costs less than many selections
            here = torch.cat([noise < params[: m - 1], torch.ones_like(noise[:1], dtype=torch.bool)])
            first = here.float().max(0, keepdim=True).indices  # of equals the first
            spread = torch.tensor(self._spread, dtype=params.dtype, device=params.device)
            location = params[m - 1 : 2 * m - 1].gather(0, first)[0] + spread[first[0]]
            return location, params[2 * m - 1 :].gather(0, first)[0]
        location, log_scale = params[2 * m - 2] + self._spread[-1], params[3 * m - 2]
        for k in range(m - 2, -1, -1):
            # As numbers, and exact with 0 and 1: several times faster than a selection by truth values.
            here = torch.lt(noise[k], params[k], out=torch.empty_like(location))
            location = torch.lerp(location, params[m - 1 + k] + self._spread[k], here)
            log_scale = torch.lerp(log_scale, params[2 * m - 1 + k], here)
        return location, log_scale

    @property
    def _spread(self) -> list[float]:
        """Locations of the components of zero parameters."""
        m = self.n_components
        return [2 * k / (m - 1) - 1 for k in range(m)] if m > 1 else [0.0]
