"""The network that draws one block of voxels at a time, with the same weights at every place.

Legend of shapes: B showers, n blocks, m voxels of a block, F inputs of a block, D of a step, C of a shower,
H hidden units, P parameters of a voxel. Features lie first.
"""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

__all__ = ["BlockNet", "VoxelMixture"]

_LOG_SCALE = (-6.0, 2.0)
_N_SEEN = 3  # what the later voxels of a block see of each earlier one


@final
@dataclass(frozen=True, kw_only=True)
class VoxelMixture:
    """Hit or not; if hit, one of some logistic distributions, each over one of two scales of energy.

    The first ``absolute`` components are densities of the mapped energy of :class:`HitEnergies`, the others of the
    logarithm of the share that the voxel takes of the energy left in the layer.
    """

    absolute: int
    relative: int

    @property
    def n_components(self) -> int:
        """K."""
        return self.absolute + self.relative

    @property
    def n_params(self) -> int:
        """P = 1 + 3 K: a logit of being hit, K logits of weights, locations, and logarithms of scales."""
        return 1 + 3 * self.n_components

    def start(self) -> Float[Tensor, " P"]:
        """Parameters that an untrained network gives: components side by side."""
        spread = [
            torch.linspace(-2, 2, n) if n > 1 else torch.zeros(n) for n in (self.absolute, self.relative)
        ]
        zeros = torch.zeros(self.n_components)
        scales = torch.cat([torch.zeros(self.absolute), torch.full((self.relative,), -0.5)])
        return torch.cat([torch.zeros(1), zeros, *spread, scales])

    def log_prob(
        self,
        hit: Bool[Tensor, "m n B"],
        values: tuple[Tensor, Tensor],
        slopes: tuple[Tensor, Tensor],
        params: Float[Tensor, "m P n B"],
    ) -> Float[Tensor, "m n B"]:
        """Log-likelihood of voxels.

        Args:
            hit: Whether they are hit.
            values: Their energies on the absolute and the relative scale, ``(m, n, B)``.
            slopes: Logarithms of the slopes of these.
            params: As the network gives them.
        """
        parts, done, k = [], 1, self.n_components
        for n, value, slope in zip((self.absolute, self.relative), values, slopes, strict=True):
            weight, location, log_scale = (params[:, done + i * k : done + i * k + n] for i in range(3))
            log_scale = log_scale.clamp(*_LOG_SCALE)
            y = (value.unsqueeze(1) - location) * (-log_scale).exp()
            parts.append(weight + logsigmoid(y) + logsigmoid(-y) - log_scale + slope.unsqueeze(1))
            done += n
        norm = torch.logsumexp(params[:, 1 : 1 + k], 1)
        if_hit = logsigmoid(params[:, 0]) + torch.logsumexp(torch.cat(parts, dim=1), 1) - norm
        return torch.where(hit, if_hit, logsigmoid(-params[:, 0]))

    def sample(
        self, u: Float[Tensor, "m n B"], z: Float[Tensor, "m n B"], params: Float[Tensor, "m P n B"]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Whether a voxel is hit, the number drawn, and whether it is one of the absolute scale.

        Args:
            u: Uniform numbers; those that say hit also choose the component.
            z: Standard logistic numbers.
            params: As the network gives them.
        """
        k = self.n_components
        p = params[:, 0].sigmoid()
        hit = (u < p).to(u.dtype)
        weights = params[:, 1 : 1 + k]
        stairs = (weights - weights.amax(1, keepdim=True)).exp().cumsum(1)
        chosen = stairs[:, -1:] * (u / p).unsqueeze(1)
        which = (stairs[:, :-1] < chosen).sum(1, keepdim=True)
        location = params[:, 1 + k : 1 + 2 * k].gather(1, which)[:, 0]
        log_scale = params[:, 1 + 2 * k :].gather(1, which)[:, 0].clamp(*_LOG_SCALE)
        return hit, torch.addcmul(location, log_scale.exp(), z), which[:, 0] < self.absolute


@final
class BlockNet(nn.Module):
    """Parameters of a block's voxels.

    Args:
        n_inputs: F, what a block sees around it.
        n_step: D, what all blocks of a step see.
        n_context: Of a shower.
        n_own: Of a shower, about the layer.
        n_layers: Layers that the network draws.
        n_positions: Places that have biases of their own.
        n_members: Voxels of a block.
        n_first: Those drawn before the others.
        mixture: What is drawn.
        hidden: H.
    """

    def __init__(
        self,
        *,
        n_inputs: int,
        n_step: int,
        n_context: int,
        n_own: int,
        n_layers: int,
        n_positions: int,
        n_members: int,
        n_first: int,
        mixture: VoxelMixture,
        hidden: int,
        late: int,
    ) -> None:
        super().__init__()
        self.n_members, self.n_first, self.mixture, self.hidden = n_members, n_first, mixture, hidden
        h, p, n_late = hidden, mixture.n_params, n_members - n_first
        self.film_in, self.film_own = nn.Linear(n_context, h), nn.Linear(n_own, h, bias=False)
        self.film_layer = nn.Parameter(0.1 * torch.randn(h, n_layers))
        self.film = nn.Linear(h, 3 * h)
        self.first = nn.Linear(n_inputs, h, bias=False)
        self.first_step = nn.Linear(n_step, h, bias=False)
        self.second = nn.Linear(h, h, bias=False)
        self.places = nn.Parameter(0.1 * torch.randn(n_positions, 3, h))
        self.early = nn.Linear(h, n_first * p, bias=False)
        self.bias = nn.Parameter(mixture.start().repeat(n_positions, n_members, 1))
        if n_late:
            self.late_in = nn.Linear(h, late, bias=False)
            self.late_seen = nn.Linear(_N_SEEN * n_first, late, bias=False)
            self.late_places = nn.Parameter(torch.zeros(n_positions, late))
            self.late = nn.Linear(late, n_late * p, bias=False)
        with torch.no_grad():
            for layer in (self.early, self.late) if n_late else (self.early,):
                layer.weight.mul_(0.2)
            self.film.weight.mul_(0.3)
            self.film.bias.zero_()

    def condition(
        self, context: Float[Tensor, "C B"], own: Float[Tensor, "c l B"]
    ) -> Float[Tensor, "3 H l B"]:
        """What a shower changes in the network, for each of its layers."""
        _, n_layers, n_batch = own.shape
        h = self.film_in.weight @ context + self.film_in.bias[:, None]
        h = h[:, None] + (self.film_own.weight @ own.flatten(1)).view(self.hidden, n_layers, n_batch)
        h = (h + self.film_layer[..., None]).relu()
        film = self.film.weight @ h.flatten(1) + self.film.bias[:, None]
        return film.view(3, self.hidden, n_layers, n_batch)

    def trunk(
        self,
        x: Float[Tensor, "F n B"],
        of_step: Float[Tensor, "D s B"],
        condition: Float[Tensor, "3 H s B"],
        position: Int[Tensor, " n"],
    ) -> Float[Tensor, "H n B"]:
        """Hidden units of blocks; s is n, or 1 where all blocks are of one step and layer."""
        shape = x.shape[1:]
        shift_1, gain, shift_2 = condition.unbind(0)
        of_all = (self.first_step.weight @ of_step.flatten(1)).view(self.hidden, *of_step.shape[1:]) + shift_1
        places = self.places.index_select(0, position).permute(1, 2, 0)[..., None]
        h = (self.first.weight @ x.flatten(1)).view(self.hidden, *shape) + of_all + places[0]
        h = h.relu()
        g = (self.second.weight @ h.flatten(1)).view_as(h) * (1 + gain + places[1])
        return h + (g + shift_2 + places[2]).relu()

    def early_params(self, h: Tensor, position: Tensor) -> Float[Tensor, "m P n B"]:
        """Of the voxels that are drawn first."""
        bias = self.bias[:, : self.n_first].index_select(0, position).permute(1, 2, 0)[..., None]
        params = (self.early.weight @ h.flatten(1)).view(self.n_first, self.mixture.n_params, *h.shape[1:])
        return params + bias

    def late_params(
        self, h: Tensor, seen: Float[Tensor, "s n B"], position: Tensor
    ) -> Float[Tensor, "m P n B"]:
        """Of the others, which see those."""
        bias = self.bias[:, self.n_first :].index_select(0, position).permute(1, 2, 0)[..., None]
        g = self.late_in.weight @ h.flatten(1) + self.late_seen.weight @ seen.flatten(1)
        g = (
            g.view(g.shape[0], *h.shape[1:]) + self.late_places.index_select(0, position).T[..., None]
        ).relu()
        params = (self.late.weight @ g.flatten(1)).view(
            self.n_members - self.n_first, self.mixture.n_params, *h.shape[1:]
        )
        return params + bias
