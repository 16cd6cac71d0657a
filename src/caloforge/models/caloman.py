"""CaloMan: showers on a learned manifold.

The energies of the layers are drawn first, or their centres and widths with them; then a flow draws the shower's
coordinates on the manifold, and a decoder makes voxels of them: small networks and a few splines, no pass through a
network as wide as the calorimeter.

References:
    J. C. Cresswell, B. L. Ross, G. Loaiza-Ganem, H. Reyes-Gonzalez, M. Letizia, A. L. Caterini, CaloMan: Fast
    generation of calorimeter showers with density estimation on learned manifolds, arXiv:2211.15380
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
from caloforge.models.layer_energies import LayerEnergies, LayerEnergiesConfig
from caloforge.models.limits import check_threshold
from caloforge.models.manifold import (
    Manifold,
    ManifoldConfig,
    check_latent,
    estimated_latent,
    n_context,
)
from caloforge.models.manifold_density import ManifoldDensity, ManifoldDensityConfig
from caloforge.models.shower_moments import ShowerMoments, ShowerMomentsConfig
from caloforge.noise import ShowerNoise
from caloforge.showers import Showers

__all__ = ["CaloMan", "CaloManConfig"]


@final
@dataclass(frozen=True, kw_only=True)
class CaloManConfig:
    """What is drawn first, by ``energies`` or by ``moments``, and two parts more; the defaults are the paper's."""

    energies: LayerEnergiesConfig = field(default_factory=LayerEnergiesConfig)
    """Flow of the layer energies, p(e_layer | e_inc)."""
    moments: ShowerMomentsConfig = field(default_factory=ShowerMomentsConfig)
    """The same for energies, centres and widths of the layers, if ``manifold.moments``; in place of ``energies``."""
    manifold: ManifoldConfig = field(default_factory=ManifoldConfig)
    """Autoencoder between voxels and coordinates z."""
    density: ManifoldDensityConfig = field(default_factory=ManifoldDensityConfig)
    """Flow of the coordinates, p(z | e_layer, e_inc)."""


@final
class CaloMan(ShowerModel):
    """p(voxels | e_inc) = p(layers | e_inc) p(z | layers, e_inc) p(voxels | z, layers, e_inc), integrated over z."""

    def __init__(self, geometry: Geometry, config: CaloManConfig) -> None:
        super().__init__(geometry)
        self.config = config
        wanted = config.manifold
        if wanted.moments:
            self.moments = ShowerMoments(
                geometry, config.moments, threshold=wanted.threshold, symmetry=wanted.symmetry
            )
        else:
            self.energies = LayerEnergies(geometry, config.energies)
        self.manifold = Manifold(geometry, wanted)
        self.density = ManifoldDensity(config.density, self.manifold)
        self._compiled: dict[int, Callable[..., Tensor]] = {}

    @classmethod
    def build(cls, settings: Mapping[str, Any], geometry: Geometry) -> "CaloMan":
        """From a recipe's ``[model]`` table."""
        return cls(geometry, from_mapping(CaloManConfig, settings, where="model"))

    @classmethod
    def complete(cls, settings: Mapping[str, Any], showers: Showers, *, seed: int) -> dict[str, Any]:
        """The number of coordinates, if it is open: the dimension of the training showers, rounded up."""
        config = from_mapping(CaloManConfig, settings, where="model")
        check_threshold(config.manifold.threshold, showers, name="model.manifold.threshold")
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
        layers = (
            ShowerMoments.count_parameters(geometry, config.moments)
            if config.manifold.moments
            else LayerEnergies.count_parameters(geometry, config.energies)
        )
        return (
            layers
            + Manifold.count_parameters(geometry, config.manifold)
            + ManifoldDensity.count_parameters(config.density, latent, n_context(geometry, config.manifold))
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The table that builds this model."""
        return to_mapping(self.config)

    @property
    def stages(self) -> dict[str, Stage]:
        """Layer energies, autoencoder, and the density of its coordinates, which needs it trained."""
        layers = {"moments": self.moments} if self.config.manifold.moments else {"energies": self.energies}
        return {**layers, "manifold": self.manifold, "density": self.density}

    def set_products(self, dtype: torch.dtype) -> None:
        """Of the decoder's last layer, where nearly all the arithmetic is."""
        self.manifold.products = dtype

    def compile_for(self, sizes: Sequence[int]) -> None:
        """Of single showers; blocks, whose voxels are drawn in chunks that fit a cache, are faster as they are."""
        compiled = torch.compile(self.decode, dynamic=False)
        self._compiled = {size: compiled for size in sizes if size == 1}

    def generate(self, e_inc: Float[Tensor, " B"], noise: ShowerNoise) -> Float[Tensor, "B V"]:
        """Layer energies (and moments), coordinates, voxels that have them."""
        if self.config.manifold.moments:
            of_layers = noise.uniform(self.moments.n_noise)
        else:
            of_layers = noise.normal(self.geometry.n_layers)
        normal, u = noise.normal(self.manifold.n_latent), noise.uniform(self.manifold.likelihood.n_noise)
        return self._compiled.get(len(e_inc), self.decode)(of_layers, normal, u, e_inc)

    def decode(
        self,
        of_layers: Float[Tensor, "B M"],
        normal: Float[Tensor, "B Z"],
        u: Float[Tensor, "B N"],
        e_inc: Float[Tensor, " B"],
    ) -> Float[Tensor, "B V"]:
        """Random numbers to voxels in MeV.

        Args:
            of_layers: Uniform numbers for energies and moments, or normal ones for energies alone.
            normal: Normal numbers for the coordinates.
            u: Uniform numbers for the voxels.
            e_inc: Incident energies, MeV.
        """
        if self.config.manifold.moments:
            e_layer, moments = self.moments.decode(of_layers, e_inc)
        else:
            e_layer = self.energies.decode(of_layers, e_inc)
            moments = e_layer.new_empty(len(e_inc), 0)
        context = self.manifold.context(e_layer, moments, e_inc)
        z = self.density.decode(normal, context)
        return self.manifold.decode(z, context, e_layer, moments, u)

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
            context = manifold.context(e_layer, manifold.moments_of(rows["voxels"]), rows["e_inc"])
            z, _ = manifold.encode(x, context)
            log_density = self.density.log_prob(z, context)
            return log_density - manifold.log_volume(z, context) if volume else log_density
