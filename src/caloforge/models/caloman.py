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
from caloforge.models.manifold import Manifold, ManifoldConfig, check_latent, estimated_latent
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
    def complete(cls, settings: Mapping[str, Any], showers: Showers, *, seed: int) -> dict[str, Any]:
        """The number of coordinates, if it is open: the dimension of the training showers, rounded up."""
        config = from_mapping(CaloManConfig, settings, where="model")
        if (latent := config.manifold.latent) is not None:
            check_latent(latent, showers)
            return dict(settings)
        latent = estimated_latent(showers, threshold=config.manifold.threshold, seed=seed)
        return {**settings, "manifold": {**settings.get("manifold", {}), "latent": latent}}

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

    def log_density(self, showers: Showers, *, volume: bool = False) -> Float[Tensor, " n"]:
        r"""Logarithm of the density at the coordinates of showers, given their energies.

        Of the coordinates z that the encoder gives them, its mean if it scatters,
        :math:`\log p(z | E_{layer}, E_{inc})`.
        With ``volume``, per volume of the manifold in the space of the decoder's features,

        .. math:: \log p(x | E_{layer}, E_{inc}) = \log p(z | \dots) - \frac{1}{2} \log \det J^T J,
            \quad J = \partial x / \partial z

        which is a density wherever the decoder's mean has full rank, and infinite where it has not: where some
        coordinates move nothing.

        Args:
            showers: Of this calorimeter.
            volume: Divide by the volume element.
        """
        self.geometry.require_same_voxels(showers.geometry, mine="The model", theirs="the sample")
        manifold = self.manifold
        with torch.no_grad():
            device = self.e_inc_range.device
            rows = {name: values.to(device) for name, values in manifold.rows(showers).items()}
            generator = torch.Generator(rows["voxels"].device).manual_seed(0)
            x, e_layer = manifold.likelihood.encode(rows["voxels"], generator)
            context = manifold.context(e_layer, rows["e_inc"])
            z, _ = manifold.encode(x, context)
            log_density = self.density.log_prob(z, context)
            return log_density - manifold.log_volume(z, context) if volume else log_density
