"""Encode/decode pairs between energies in MeV and the space a model works in.

Each step is fitted from the training split and keeps what it learned in buffers, so it travels inside the
checkpoint. Shapes: B showers, L layers, V voxels.

References:
    C. Krause, D. Shih, CaloFlow, arXiv:2106.05285 (u-variables, logit, noise)
"""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["logit", "expit", "Standardize", "LayerShares", "layer_sums"]


def logit(share: Float[Tensor, "*any"], alpha: float) -> Float[Tensor, "*any"]:
    r"""``log(p / (1 - p))`` of :math:`p = \alpha + (1 - 2 \alpha) \mathrm{share}`, finite at 0 and 1."""
    p = alpha + (1 - 2 * alpha) * share
    return p.log() - (-p).log1p()


def expit(x: Float[Tensor, "*any"], alpha: float) -> Float[Tensor, "*any"]:
    """Inverse of :func:`logit`, clamped to [0, 1]."""
    return ((x.sigmoid() - alpha) / (1 - 2 * alpha)).clamp(0.0, 1.0)


def layer_sums(values: Float[Tensor, "B V"], layer_sizes: Sequence[int]) -> Float[Tensor, "B L"]:
    """Sum over the voxels of each layer; in a fixed order on every device, as scattered additions are not."""
    return torch.stack([layer.sum(1) for layer in torch.split(values, list(layer_sizes), dim=1)], dim=1)


@final
class Standardize(nn.Module):
    """Zero mean and unit width per feature; a constant feature keeps its scale."""

    mean: Tensor
    std: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("std", torch.ones(n_features))

    def fit(self, x: Float[Tensor, "n F"]) -> None:
        """Estimate from the training split."""
        std = x.std(dim=0, correction=0)
        self.mean.copy_(x.mean(dim=0))
        self.std.copy_(torch.where(std > 1e-12, std, 1.0))

    def encode(self, x: Float[Tensor, "B F"]) -> Float[Tensor, "B F"]:
        """To zero mean and unit width."""
        return (x - self.mean) / self.std

    def decode(self, x: Float[Tensor, "B F"]) -> Float[Tensor, "B F"]:
        """Back."""
        return x * self.std + self.mean


@final
class LayerShares(nn.Module):
    r"""Layer energies as the u-variables of CaloFlow, in logit space.

    .. math:: u_0 = \frac{\sum_i E_i}{r_{max} E_{inc}}, \quad u_k = \frac{E_{k-1}}{\sum_{j \ge k-1} E_j}

    The first is how much is deposited in all, each further one what share of the rest its layer takes;
    so energies that are decoded are positive and never exceed ``r_max * e_inc``.
    """

    max_e_ratio: Tensor

    def __init__(self, n_layers: int, *, alpha: float = 1e-6) -> None:
        super().__init__()
        self.n_layers, self.alpha = n_layers, alpha
        self.register_buffer("max_e_ratio", torch.ones((), dtype=torch.float64))

    def encode(self, e_layer: Float[Tensor, "B L"], e_inc: Float[Tensor, " B"]) -> Float[Tensor, "B L"]:
        """Layer and incident energies in MeV to logit u; computed in float64, shares outside [0, 1] are clamped."""
        e_layer, e_inc = e_layer.double(), e_inc.double()
        rest = e_layer.flip(1).cumsum(1).flip(1)  # rest[:, k]: energy in layers k and deeper
        u_total = rest[:, :1] / (self.max_e_ratio * e_inc[:, None])
        u_layers = e_layer[:, :-1] / rest[:, :-1].clamp_min(1e-30)
        return logit(torch.cat([u_total, u_layers], dim=1).clamp(0.0, 1.0), self.alpha)

    def decode(self, x: Float[Tensor, "B L"], e_inc: Float[Tensor, " B"]) -> Float[Tensor, "B L"]:
        """Logit u to layer energies in MeV."""
        taken, rest = self.parts(x.double(), e_inc.double())
        return torch.cat([taken[:, 1:], rest[:, -1:]], dim=1)

    def parts(
        self, x: Float[Tensor, "B L"], e_inc: Float[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B L"], Float[Tensor, "B L"]]:
        """What each logit u takes for its layer, and what it leaves for the layers behind, MeV.

        The first takes nothing: it leaves all that is deposited.
        """
        rest, parts = self.max_e_ratio.to(x.dtype) * e_inc.to(x.dtype), []
        for k in range(self.n_layers):
            parts.append(self.part(k, x[:, k], rest))
            rest = parts[k][1]
        taken, left = zip(*parts, strict=True)
        return torch.stack(taken, dim=1), torch.stack(left, dim=1)

    def part(self, k: int, x: Float[Tensor, "*B"], rest: Float[Tensor, "*B"]) -> tuple[Tensor, Tensor]:
        """The same for variable ``k`` alone, given what the one before leaves (the first: what it may at most)."""
        share = rest * expit(x, self.alpha)
        # What is left is not the difference, in which little would be lost.
        return (torch.zeros_like(share), share) if k == 0 else (share, rest * expit(-x, self.alpha))
