"""A small convolutional network that sees a shower as images, and so how neighbouring voxels belong together.

Layers of one grid are stacked to one image in three dimensions, with a branch of its own; at its edges a shower has no
energy, but polar grids close in alpha. Each voxel has two channels: whether it is hit, and the logarithm of its
energy. Two convolutions see each voxel among its neighbours; their averages over the image, together with the incident
energy, give the logit. Nothing depends on where alpha begins.
"""

from typing import Final, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from caloforge.geometry import Geometry, Grid, PolarGrid

__all__ = ["ImageNetwork", "portion_size"]

_CHANNELS, _HIDDEN = 16, 64
_MANY_VOXELS: Final = 4096
_MEAN, _WIDTH = 5.0, 3.0  # about those of log(1 + E / keV) of hits, in any calorimeter


def portion_size(geometry: Geometry) -> int:
    """Showers that make an epoch: so many that ten of them are enough, and take seconds, not minutes."""
    return 3000 if geometry.n_voxels < _MANY_VOXELS else 1000


@final
class ImageNetwork(nn.Module):
    """Logits from rows of log10 of the incident energy and log(1 + E / keV) of the voxels.

    Args:
        geometry: Whose voxels the rows hold.
    """

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        layers: dict[Grid, list[slice]] = {}
        for layer, where in zip(geometry.layers, geometry.layer_slices, strict=True):
            layers.setdefault(layer.grid, []).append(where)
        coarse = geometry.n_voxels >= _MANY_VOXELS
        self.branches = nn.ModuleList(_Branch(grid, where, coarse=coarse) for grid, where in layers.items())
        n_features = 1 + _CHANNELS * len(layers)
        self.head = nn.Sequential(
            nn.BatchNorm1d(n_features), nn.Linear(n_features, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, 1)
        )

    def forward(self, x: Float[Tensor, "B F"]) -> Float[Tensor, " B"]:
        """Logits of the showers."""
        features = [branch(x[:, 1:]) for branch in self.branches]
        return self.head(torch.cat([x[:, :1], *features], dim=1))[:, 0]


class _Branch(nn.Module):
    """Averages of what two convolutions see in the layers of one grid."""

    def __init__(self, grid: Grid, where: list[slice], *, coarse: bool) -> None:
        super().__init__()
        rows, columns = grid.shape
        self.where, self.shape = where, (len(where), rows, columns)
        cyclic = isinstance(grid, PolarGrid)
        step = 2 if coarse else 1  # where voxels are few, to skip some costs 0.02 of the AUC
        self.first = _Convolution(2, self.shape, step=step, cyclic=cyclic)
        self.second = _Convolution(_CHANNELS, self.first.shape_after, step=step, cyclic=cyclic)

    def forward(self, voxels: Float[Tensor, "B V"]) -> Float[Tensor, "B f"]:
        energy = torch.cat([voxels[:, part] for part in self.where], dim=1).reshape(-1, 1, *self.shape)
        hit = (energy > 0).to(energy.dtype)
        image = torch.cat([(energy - _MEAN * hit) / _WIDTH, hit], dim=1)
        seen = self.second(self.first(image.contiguous(memory_format=torch.channels_last_3d)))
        return seen.mean(dim=(2, 3, 4))


class _Convolution(nn.Module):
    """Neighbours in all three dimensions, zeros beyond the edges; in alpha a circle, of which no voxel is skipped."""

    def __init__(self, before: int, shape: tuple[int, int, int], *, step: int, cyclic: bool) -> None:
        super().__init__()
        depth, a, b = (3 if n > 1 else 1 for n in shape)
        self.cyclic = cyclic and a == 3
        steps = (min(step, depth), 1 if cyclic else min(step, a), min(step, b))
        self.convolution = nn.Conv3d(
            before,
            _CHANNELS,
            (depth, a, b),
            stride=steps,
            padding=(depth // 2, 0 if self.cyclic else a // 2, b // 2),
        )
        layers, rows, columns = (-(-n // k) for n, k in zip(shape, steps, strict=True))
        self.shape_after = layers, rows, columns

    def forward(self, x: Float[Tensor, "B c l a b"]) -> Float[Tensor, "B d m p q"]:
        if self.cyclic:
            x = torch.cat([x[..., -1:, :], x, x[..., :1, :]], dim=-2)
        return nn.functional.relu(self.convolution(x))
