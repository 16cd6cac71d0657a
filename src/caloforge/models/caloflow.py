"""CaloFlow: flow I draws the layer energies, flow II spreads each over its voxels.

References:
    C. Krause, D. Shih, CaloFlow: fast and accurate generation of calorimeter showers, arXiv:2106.05285
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

from jaxtyping import Float
from torch import Tensor

from caloforge.config import from_mapping, to_mapping
from caloforge.geometry import Geometry
from caloforge.models.base import ShowerModel, Stage
from caloforge.models.layer_energies import LayerEnergies, LayerEnergiesConfig
from caloforge.models.shower_shape import ShowerShape, ShowerShapeConfig
from caloforge.noise import ShowerNoise

__all__ = ["CaloFlow", "CaloFlowConfig"]


@final
@dataclass(frozen=True, kw_only=True)
class CaloFlowConfig:
    """The two flows; the defaults are the teacher of the paper."""

    energies: LayerEnergiesConfig = field(default_factory=LayerEnergiesConfig)
    """Flow I, p(e_layer | e_inc)."""
    shape: ShowerShapeConfig = field(default_factory=ShowerShapeConfig)
    """Flow II, p(voxels | e_layer, e_inc)."""


@final
class CaloFlow(ShowerModel):
    """p(voxels | e_inc) = p(e_layer | e_inc) p(voxels | e_layer, e_inc)."""

    def __init__(self, geometry: Geometry, config: CaloFlowConfig) -> None:
        super().__init__(geometry)
        self.config = config
        self.energies = LayerEnergies(geometry, config.energies)
        self.shape = ShowerShape(geometry, config.shape)

    @classmethod
    def build(cls, settings: Mapping[str, Any], geometry: Geometry) -> "CaloFlow":
        """From a recipe's ``[model]`` table."""
        return cls(geometry, from_mapping(CaloFlowConfig, settings, where="model"))

    @classmethod
    def count_parameters(cls, settings: Mapping[str, Any], geometry: Geometry) -> int:
        """Both flows' sizes, from the settings alone."""
        config = from_mapping(CaloFlowConfig, settings, where="model")
        return LayerEnergies.count_parameters(geometry, config.energies) + ShowerShape.count_parameters(
            geometry, config.shape
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The table that builds this model."""
        return to_mapping(self.config)

    @property
    def stages(self) -> dict[str, Stage]:
        """Flow I, then flow II; they do not depend on each other."""
        return {"energies": self.energies, "shape": self.shape}

    def generate(self, e_inc: Float[Tensor, " B"], noise: ShowerNoise) -> Float[Tensor, "B V"]:
        """Layer energies first, then voxels that sum to them."""
        e_layer = self.energies.decode(noise.normal(self.geometry.n_layers), e_inc)
        return self.shape.decode(noise.normal(self.geometry.n_voxels), e_layer, e_inc)
