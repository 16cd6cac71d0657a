"""Showers in two strokes: energies, centres and widths of the layers first, then the voxels, group by group.

Both stages are autoregressive networks with mixtures of logistic distributions. Drawing costs a few matrix
products, the density is exact, and training is plain maximum likelihood.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from caloforge.config import from_mapping, to_mapping
from caloforge.geometry import Geometry
from caloforge.models.base import ShowerModel, Stage
from caloforge.models.shower_moments import ShowerMoments, ShowerMomentsConfig
from caloforge.models.voxel_groups import VoxelGroups, VoxelGroupsConfig
from caloforge.noise import ShowerNoise
from caloforge.preprocessing import Symmetry
from caloforge.units import keV

__all__ = ["Groupwise", "GroupwiseConfig"]


@final
@dataclass(frozen=True, kw_only=True)
class GroupwiseConfig:
    """The two stages, and what they share."""

    threshold: float = 1 * keV
    """Voxels below this are zero, in training and in what is generated, MeV."""
    symmetry: Symmetry = "all"
    """Reflect (Cartesian) or turn (polar) training showers at random; right for a centred beam only."""
    moments: ShowerMomentsConfig = field(default_factory=ShowerMomentsConfig)
    """p(layer energies, moments | e_inc)."""
    voxels: VoxelGroupsConfig = field(default_factory=VoxelGroupsConfig)
    """p(voxels | layer energies, moments, e_inc)."""


@final
class Groupwise(ShowerModel):
    """p(voxels | e_inc) = p(energies, moments | e_inc) p(voxels | energies, moments, e_inc)."""

    max_block = 512

    def __init__(self, geometry: Geometry, config: GroupwiseConfig) -> None:
        super().__init__(geometry)
        self.config = config
        threshold, symmetry = config.threshold, config.symmetry
        self.moments = ShowerMoments(geometry, config.moments, threshold=threshold, symmetry=symmetry)
        self.voxels = VoxelGroups(geometry, config.voxels, threshold=threshold, symmetry=symmetry)
        self._compiled: dict[int, Callable[..., Tensor]] = {}

    @classmethod
    def build(cls, settings: Mapping[str, Any], geometry: Geometry) -> "Groupwise":
        """From a recipe's ``[model]`` table."""
        return cls(geometry, from_mapping(GroupwiseConfig, settings, where="model"))

    @classmethod
    def count_parameters(cls, settings: Mapping[str, Any], geometry: Geometry) -> int:
        """Both networks' sizes, from the settings alone."""
        config = from_mapping(GroupwiseConfig, settings, where="model")
        return ShowerMoments.count_parameters(geometry, config.moments) + VoxelGroups.count_parameters(
            geometry, config.voxels
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The table that builds this model."""
        return to_mapping(self.config)

    @property
    def stages(self) -> dict[str, Stage]:
        """Moments, then voxels; they do not depend on each other."""
        return {"moments": self.moments, "voxels": self.voxels}

    def set_products(self, dtype: torch.dtype) -> None:
        """Of the network of the voxels, where nearly all the arithmetic is."""
        self.voxels.products = dtype

    def compile_for(self, sizes: Sequence[int]) -> None:
        """Of everything but the random numbers, which come from elsewhere."""
        compiled = torch.compile(self.decode, dynamic=False)
        self._compiled = dict.fromkeys(sizes, compiled)

    def generate(self, e_inc: Float[Tensor, " B"], noise: ShowerNoise) -> Float[Tensor, "B V"]:
        """Energies and moments first, then voxels that have them."""
        u = noise.uniform(self.moments.n_noise), noise.uniform(self.voxels.n_noise)
        return self._compiled.get(len(e_inc), self.decode)(*u, e_inc)

    def decode(
        self, u_moments: Float[Tensor, "B M"], u_voxels: Float[Tensor, "B N"], e_inc: Float[Tensor, " B"]
    ) -> Float[Tensor, "B V"]:
        """Uniform numbers to voxels in MeV."""
        e_layer, moments = self.moments.decode(u_moments, e_inc)
        return self.voxels.decode(u_voxels, e_layer, moments, e_inc)
