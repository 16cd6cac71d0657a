"""Symmetries of a calorimeter seen by a centred, perpendicular beam, as permutations of the voxels.

Showers may be reflected (Cartesian grids) or turned and reflected (polar grids) without changing their
probability, so a random element per shower and epoch multiplies the training set at no cost.
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from caloforge.errors import ConfigError
from caloforge.geometry import CartesianGrid, Geometry

__all__ = ["Symmetry", "mirrored", "voxel_symmetries"]

Symmetry = Literal["none", "all"]


def voxel_symmetries(geometry: Geometry, which: Symmetry = "all") -> Int[Tensor, "S V"]:
    """Symmetries: row s lists, for each voxel, the voxel whose content it receives; row 0 is the identity.

    ``"none"`` gives the identity alone. Of ``"all"``, Cartesian geometries have the 4 reflections in x and y, polar
    ones the rotations common to all layers that are cut in alpha, each also reflected.

    Raises:
        ConfigError: A Cartesian layer is not symmetric about the axis, or grids of both kinds are mixed.
    """
    if which == "none":
        return torch.arange(geometry.n_voxels)[None]
    kinds = {layer.grid.kind for layer in geometry.layers}
    if len(kinds) > 1:
        raise ConfigError(
            f'Geometry {geometry.name!r} mixes Cartesian and polar layers; set symmetry = "none".'
        )
    elements = _reflections(geometry) if kinds == {"cartesian"} else _rotations(geometry)
    return torch.from_numpy(np.stack(elements))


def _whole(geometry: Geometry, per_layer: list[np.ndarray]) -> np.ndarray:
    starts = [where.start for where in geometry.layer_slices]
    return np.concatenate([start + index.ravel() for start, index in zip(starts, per_layer, strict=True)])


def _reflections(geometry: Geometry) -> list[np.ndarray]:
    for layer in geometry.layers:
        grid = layer.grid
        assert isinstance(grid, CartesianGrid)
        for axis, edges in (("x", grid.x_edges), ("y", grid.y_edges)):
            if not np.allclose(edges, -np.array(edges)[::-1], atol=1e-6):
                raise ConfigError(
                    f'Layer {layer.name!r} of {geometry.name!r} is not symmetric in {axis}; set symmetry = "none".'
                )
    flat = [np.arange(layer.n_voxels).reshape(layer.grid.shape) for layer in geometry.layers]
    return [
        _whole(geometry, [index[:: 1 - 2 * flip_x, :: 1 - 2 * flip_y] for index in flat])
        for flip_x in (0, 1)
        for flip_y in (0, 1)
    ]


def _rotations(geometry: Geometry) -> list[np.ndarray]:
    n_alpha = [layer.grid.shape[0] for layer in geometry.layers]
    n_turns = int(np.gcd.reduce([n for n in n_alpha if n > 1] or [1]))
    flat = [np.arange(layer.n_voxels).reshape(layer.grid.shape) for layer in geometry.layers]
    elements = []
    # Two slices are swapped by half a turn already; from three on a reflection is no rotation.
    for mirror in (1, -1) if max(n_alpha) > 2 else (1,):
        for turn in range(n_turns):
            turned = [
                np.roll(index, turn * len(index) // n_turns, axis=0) if len(index) > 1 else index
                for index in flat
            ]
            elements.append(_whole(geometry, [index[::mirror] for index in turned]))
    return elements


def mirrored(
    voxels: Float[Tensor, "B V"], symmetries: Int[Tensor, "S V"], generator: torch.Generator
) -> Float[Tensor, "B V"]:
    """Each shower after one of the symmetries, drawn from ``generator``; one symmetry alone is the identity."""
    if len(symmetries) == 1:
        return voxels
    choice = torch.randint(len(symmetries), (len(voxels),), generator=generator, device=voxels.device)
    return voxels.gather(1, symmetries[choice])
