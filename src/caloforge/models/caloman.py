"""CaloMan: showers on a learned manifold.

A flow draws the layer energies, another one the shower's coordinates on the manifold, and a decoder makes
voxels of them: two small networks and a few splines, no pass through a network as wide as the calorimeter.

References:
    J. C. Cresswell, B. L. Ross, G. Loaiza-Ganem, H. Reyes-Gonzalez, M. Letizia, A. L. Caterini, CaloMan: Fast
    generation of calorimeter showers with density estimation on learned manifolds, arXiv:2211.15380
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from caloforge.config import from_mapping, to_mapping
from caloforge.geometry import Geometry
from caloforge.models.base import ShowerModel, Stage
from caloforge.models.layer_energies import LayerEnergies, LayerEnergiesConfig
from caloforge.models.manifold import Manifold, ManifoldConfig
from caloforge.models.manifold_density import ManifoldDensity, ManifoldDensityConfig
from caloforge.noise import ShowerNoise
from caloforge.showers import Showers

__all__ = ["CaloMan", "CaloManConfig"]


@final
@dataclass(frozen=True, kw_only=True)
class CaloManConfig:
    """The three parts; the defaults are the paper's."""

    energies: LayerEnergiesConfig = field(default_factory=LayerEnergiesConfig)
    """Flow of the layer energies, p(e_layer | e_inc)."""
    manifold: ManifoldConfig = field(default_factory=ManifoldConfig)
    """Autoencoder between voxels and coordinates z."""
    density: ManifoldDensityConfig = field(default_factory=ManifoldDensityConfig)
    """Flow of the coordinates, p(z | e_layer, e_inc)."""


@final
class CaloMan(ShowerModel):
    """p(voxels | e_inc) = p(e_layer | e_inc) p(z | e_layer, e_inc) p(voxels | z, e_layer, e_inc), integrated over z."""

    def __init__(self, geometry: Geometry, config: CaloManConfig) -> None:
        super().__init__(geometry)
        self.config = config
        self.energies = LayerEnergies(geometry, config.energies)
        self.manifold = Manifold(geometry, config.manifold)
        self.density = ManifoldDensity(geometry, config.density, self.manifold)

    @classmethod
    def build(cls, settings: Mapping[str, Any], geometry: Geometry) -> "CaloMan":
        """From a recipe's ``[model]`` table."""
        return cls(geometry, from_mapping(CaloManConfig, settings, where="model"))

    @classmethod
    def count_parameters(cls, settings: Mapping[str, Any], geometry: Geometry) -> int:
        """All parts' sizes, from the settings alone."""
        config = from_mapping(CaloManConfig, settings, where="model")
        latent = config.manifold.latent_in(geometry)
        return (
            LayerEnergies.count_parameters(geometry, config.energies)
            + Manifold.count_parameters(geometry, config.manifold)
            + ManifoldDensity.count_parameters(geometry, config.density, latent)
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The table that builds this model."""
        return to_mapping(self.config)

    @property
    def stages(self) -> dict[str, Stage]:
        """Layer energies, autoencoder, and the density of its coordinates, which needs it trained."""
        return {"energies": self.energies, "manifold": self.manifold, "density": self.density}

    def generate(self, e_inc: Float[Tensor, " B"], noise: ShowerNoise) -> Float[Tensor, "B V"]:
        """Layer energies, coordinates, voxels that sum to the layer energies."""
        e_layer = self.energies.decode(noise.normal(self.geometry.n_layers), e_inc)
        normal = noise.normal(self.manifold.n_latent)
        z = self.density.decode(normal, self.manifold.context(e_layer, e_inc))
        return self.manifold.decode(z, e_layer, e_inc, noise)
