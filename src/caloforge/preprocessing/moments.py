"""Centre and width of the energy in each layer, and voxels that are brought to have just these.

Shapes: B showers, L layers, V voxels, M moments. Between :meth:`LayerMoments.close` and its caller voxels lie
first, ``(V, B)``, as a sweep over groups of voxels leaves them.
"""

from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from caloforge.geometry import Geometry, PolarGrid
from caloforge.geometry.grid import Grid

__all__ = ["LayerMoments", "grid_positions"]

_UNIT = 100.0  # mm; keeps fourth powers of positions within float32
_CORE = 5.0  # mm; means are linear below and logarithmic above, as few are large
_LEAST_VARIANCE = 1.0  # mm^2; a layer with less has one hit, which no factor moves
_STEPS = 2
_STEEPEST = 1.0  # largest change of a voxel's logarithm in a step


@final
class LayerMoments(nn.Module):
    r"""Mean and width of position in each layer, weighted with energy.

    The positions are x and y of Cartesian grids, :math:`r \cos\alpha` and :math:`r \sin\alpha` of polar ones, and
    r alone where rings are not cut. Per layer and position there are two moments, :math:`\sinh^{-1}(\bar x / 5)` and
    :math:`\log(1 + \sigma^2)`, with the mean in mm and the variance in mm^2, which
    resolve narrow and wide showers alike.

    Args:
        geometry: The calorimeter.
    """

    where: Tensor

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.slices = list(geometry.layer_slices)
        axes = [grid_positions(layer.grid) for layer in geometry.layers]
        self.n_layers, self.n_axes = len(axes), max(1, *map(len, axes))
        # A layer with fewer positions than another has zeros in place of them: no width, nothing to move.
        for k, (layer, positions) in enumerate(zip(geometry.layers, axes, strict=True)):
            padded = [*positions, *[np.zeros(layer.n_voxels)] * (self.n_axes - len(positions))]
            powers = [np.ones(layer.n_voxels)] + [(p / _UNIT) ** n for p in padded for n in (1, 2, 3, 4)]
            stacked = torch.from_numpy(np.stack(powers)).float()
            self.register_buffer(f"powers_{k}", stacked, persistent=False)
            # What an exponent is made of: the powers 0, then 1 and 2 of each position.
            curve = [0] + [1 + 4 * axis + n for axis in range(self.n_axes) for n in (0, 1)]
            self.register_buffer(f"curve_{k}", stacked[curve], persistent=False)
        moments = [(k, a, n) for k in range(self.n_layers) for a in range(len(axes[k])) for n in (0, 1)]
        places = [(k * self.n_axes + a) * 2 + n for k, a, n in moments]
        self.register_buffer("where", torch.tensor(places, dtype=torch.long), persistent=False)
        self.layer_of_moment = [k for k, *_ in moments]
        """Layer that each moment belongs to."""

    @property
    def n_moments(self) -> int:
        """M: two per layer and position."""
        return len(self.layer_of_moment)

    def encode(self, voxels: Float[Tensor, "B V"]) -> Float[Tensor, "B M"]:
        """Moments of voxels in MeV; those of a layer without energy are 0."""
        mean, variance, _ = self._central(self._sums(voxels.T))
        moments = torch.stack([(_UNIT / _CORE * mean).asinh(), (_UNIT**2 * variance).log1p()], dim=2)
        return moments.flatten(0, 2)[self.where].T

    def valid(self, e_layer: Float[Tensor, "B L"], threshold: float) -> Bool[Tensor, "B M"]:
        """Which moments mean something: those of layers with at least the energy ``threshold``, MeV."""
        return (e_layer >= threshold)[:, self.layer_of_moment]

    def close(self, voxels: Float[Tensor, "V B"], moments: Float[Tensor, "M B"]) -> Float[Tensor, "V B"]:
        r"""Voxels whose layers have, nearly, the moments given; their energies change and need scaling.

        Each voxel is multiplied by :math:`\exp(a + b x + c x^2 + \dots)`, the gentlest change that moves the
        moments; b and c come from Newton steps that neglect the skewness. Voxels without energy stay so, and a
        layer whose energy is in one place only is left alone.

        Args:
            voxels: Energies up to a factor per layer.
            moments: As :meth:`encode` gives them.
        """
        mean, variance = self.central(moments)
        for _ in range(_STEPS):
            tilts = self._tilts(self._sums(voxels), mean, variance)
            factors = [
                torch.mm(self.get_buffer(f"curve_{k}").T.to(tilt.dtype), tilt)
                .clamp_(-_STEEPEST, _STEEPEST)
                .exp_()
                for k, tilt in enumerate(tilts)
            ]
            voxels = voxels * torch.cat(factors)
        return voxels

    def central(self, moments: Float[Tensor, "M B"]) -> tuple[Float[Tensor, "L A B"], Float[Tensor, "L A B"]]:
        """Mean and variance that moments stand for, in units of 100 mm; 0 where a layer has no such position."""
        n_batch = moments.shape[1]
        wanted = moments.new_zeros(self.n_layers * self.n_axes * 2, n_batch)
        wanted[self.where] = moments
        mean, width = wanted.view(self.n_layers, self.n_axes, 2, n_batch).unbind(2)
        return mean.sinh() * (_CORE / _UNIT), width.expm1().clamp_min(0.0) / _UNIT**2

    def powers(self, layer: int) -> Float[Tensor, "P v"]:
        """Of each voxel of a layer: 1, then of each position its powers 1 to 4, in units of 100 mm."""
        return self.get_buffer(f"powers_{layer}")

    def _sums(self, voxels: Float[Tensor, "V B"]) -> Float[Tensor, "L P B"]:
        """Sums of energy times powers of position."""
        powers = [self.get_buffer(f"powers_{k}").to(voxels.dtype) for k in range(self.n_layers)]
        return torch.stack([p @ voxels[layer] for p, layer in zip(powers, self.slices, strict=True)])

    def _tilts(self, sums: Tensor, wanted_mean: Tensor, wanted_variance: Tensor) -> Float[Tensor, "L C B"]:
        """Coefficients of the exponents: constant, then linear and quadratic of each position."""
        mean, variance, fourth = self._central(sums)
        movable = variance > _LEAST_VARIANCE / _UNIT**2
        safe = torch.where(movable, variance, torch.ones_like(variance))
        slope = movable * (wanted_mean - mean) / safe
        bend = (
            movable * (wanted_variance - variance) / (fourth - safe.square()).clamp_min(0.1 * safe.square())
        )
        # slope (x - mean) + bend (x - mean)^2, by powers of x
        constant = (mean * (bend * mean - slope)).sum(1, keepdim=True)
        curve = torch.stack([slope - 2 * bend * mean, bend], dim=2).flatten(1, 2)
        return torch.cat([constant, curve], dim=1)

    def _central(self, sums: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, variance and fourth central moment, ``(L, A, B)``, in units of 100 mm, from sums of powers."""
        total = sums[:, :1]
        empty = total <= 0
        shares = ~empty * sums[:, 1:] / torch.where(empty, torch.ones_like(total), total)
        m1, m2, m3, m4 = shares.unflatten(1, (self.n_axes, 4)).unbind(2)  # type: ignore[no-untyped-call]
        square = m1.square()
        variance = (m2 - square).clamp_min(0.0)
        return m1, variance, m4 - 4 * m1 * m3 + 3 * square * (2 * m2 - square)


def grid_positions(grid: Grid) -> list[np.ndarray]:
    """Positions of the voxels of a layer that energies are averaged over, mm."""
    if isinstance(grid, PolarGrid) and grid.n_alpha < 3:
        return [grid.polar_centres()[1]] if grid.n_voxels > 1 else []
    return [axis for axis in grid.centres() if np.ptp(axis) > 0]
