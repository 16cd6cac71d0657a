"""Voxels that are brought near the energies and moments of their layers, mostly by their brighter hits.

What soft hits have is sharp in places, where single particles leave all or a fixed part of their energy, and it is
nearly nothing to the energy of a layer: factors on all voxels would wash these edges out and gain nothing. So the
brighter a hit, the more it takes of what is missing, and none is changed by much: a layer with few hits in the
wrong places keeps them.

Shapes: B showers, L layers, V voxels, M moments, P powers of positions; features lie first.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from caloforge.geometry import Geometry
from caloforge.preprocessing.closing import Closing
from caloforge.preprocessing.moments import LayerMoments

__all__ = ["GentleClosing"]

_STEPS = 3
_STEEPEST = 0.1  # largest change of a voxel's logarithm in a step
_RIDGE = 1e-3  # of the diagonal; a direction in which a layer cannot move stays as it is
_FLOOR = 1e-12


@final
class GentleClosing(nn.Module):
    r"""Energies, centres and widths by factors :math:`\exp(w (a + b x + c x^2 + \dots))`, then :class:`Closing`.

    The weight of a hit is :math:`w = E / (E + E_\mathrm{soft})`, with one soft energy per layer. The coefficients
    solve, in a few Newton steps, the linear equations of all sums at once.

    Args:
        geometry: The calorimeter.
        threshold: As of :class:`Closing`.
    """

    soft: Tensor

    def __init__(self, geometry: Geometry, *, threshold: float) -> None:
        super().__init__()
        self.closing = Closing(geometry, threshold=threshold)
        axes = self.moments.n_axes
        rows = [0] + [1 + 4 * a + n for a in range(axes) for n in (0, 1)]
        self.n_powers = len(rows)
        pairs = [(i, j) for i in range(self.n_powers) for j in range(i + 1)]
        for k in range(self.moments.n_layers):
            powers = self.moments.powers(k)[rows]
            products = torch.stack([powers[i] * powers[j] for i, j in pairs])
            self.register_buffer(f"powers_{k}", powers, persistent=False)
            self.register_buffer(f"products_{k}", products, persistent=False)
        self.register_buffer("soft", torch.ones(self.moments.n_layers))

    @property
    def moments(self) -> LayerMoments:
        """Centres and widths of layers."""
        return self.closing.moments

    def fit(self, voxels: Float[Tensor, "n V"]) -> None:
        """Soft is what has less than twice the geometric mean of a layer's hits.

        Args:
            voxels: Energies over the threshold, 0 where not hit.
        """
        for k, where in enumerate(self.moments.slices):
            hits = voxels[:, where]
            hits = hits[hits > 0]
            if hits.numel():
                self.soft[k] = 2 * hits.log().mean().exp()

    def forward(
        self,
        voxels: Float[Tensor, "V B"],
        surplus: Float[Tensor, "V B"],
        e_layer: Float[Tensor, "L B"],
        moments: Float[Tensor, "M B"],
    ) -> Float[Tensor, "V B"]:
        """Voxels in MeV; arguments as those of :class:`Closing`."""
        mean, variance = self.moments.central(moments)
        powers = torch.stack([mean, variance + mean.square()], dim=2).flatten(1, 2)
        wanted = torch.cat([torch.ones_like(mean[:, :1]), powers], dim=1) * e_layer[:, None]
        closed = [self._layer(k, voxels[where], wanted[k]) for k, where in enumerate(self.moments.slices)]
        return self.closing(torch.cat(closed), surplus, e_layer, None)

    def _layer(
        self, k: int, voxels: Float[Tensor, "v B"], wanted: Float[Tensor, "P B"]
    ) -> Float[Tensor, "v B"]:
        powers, products = self.get_buffer(f"powers_{k}"), self.get_buffer(f"products_{k}")
        powers, products = powers.to(voxels.dtype), products.to(voxels.dtype)
        hit = (voxels > 0).to(voxels.dtype)
        above = (voxels - 1.0).clamp_min(0.0)
        of_hits = powers @ hit
        unit = wanted[:1].clamp_min(1.0)
        for _ in range(_STEPS):
            weight = above / (above + self.soft[k])
            moved = above * weight
            missing = (wanted - of_hits - powers @ above) / unit
            gram = products @ moved / unit
            curve = _solve(gram, missing, self.n_powers)
            above = above * (weight * (powers.T @ curve)).clamp(-_STEEPEST, _STEEPEST).exp()
        return hit + above


def _solve(gram: Float[Tensor, "Q B"], right: Float[Tensor, "P B"], n: int) -> Float[Tensor, "P B"]:
    """Solutions of symmetric equations whose matrices are given by their lower triangles, row after row."""
    matrix = [[gram[i * (i + 1) // 2 + j] for j in range(i + 1)] for i in range(n)]
    # Cholesky without roots: A = L D L^T.
    lower: list[list[Tensor]] = [[] for _ in range(n)]
    diagonal: list[Tensor] = []
    for i in range(n):
        for j in range(i):
            value = matrix[i][j]
            for m in range(j):
                value = value - lower[i][m] * lower[j][m] * diagonal[m]
            lower[i].append(value / diagonal[j])
        pivot = matrix[i][i] * (1 + _RIDGE) + _FLOOR
        for m in range(i):
            pivot = pivot - lower[i][m].square() * diagonal[m]
        diagonal.append(torch.maximum(pivot, _RIDGE * matrix[i][i] + _FLOOR))
    solved: list[Tensor] = []
    for i in range(n):
        value = right[i]
        for m in range(i):
            value = value - lower[i][m] * solved[m]
        solved.append(value)
    solved = [value / d for value, d in zip(solved, diagonal, strict=True)]
    for i in reversed(range(n)):
        for m in range(i + 1, n):
            solved[i] = solved[i] - lower[m][i] * solved[m]
    return torch.stack(solved)
