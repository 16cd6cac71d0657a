"""CaloFlow: flow I draws the layer energies, flow II spreads each over its voxels.

References:
    C. Krause, D. Shih, CaloFlow: fast and accurate generation of calorimeter showers, arXiv:2106.05285
    C. Krause, D. Shih, CaloFlow II: even faster and still accurate generation, arXiv:2110.11377
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

from jaxtyping import Float
from torch import Tensor

from caloforge.config import from_mapping, to_mapping
from caloforge.errors import ConfigError
from caloforge.geometry import Geometry
from caloforge.models.base import DistillationConfig, ShowerModel, Stage
from caloforge.models.distillation import ShapeDistillation
from caloforge.models.layer_energies import LayerEnergies, LayerEnergiesConfig
from caloforge.models.shower_shape import ShowerShape, ShowerShapeConfig
from caloforge.noise import ShowerNoise

__all__ = ["CaloFlow", "CaloFlowConfig"]

# What of flow II may differ between teacher and student.
_FREE = ("role", "hidden", "depth", "residual", "dropout", "symmetry")


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

    @property
    def needs_teacher(self) -> bool:
        """Whether flow II is a student: its density, the slow direction, gives no gradients to train on showers."""
        return self.config.shape.role == "student"

    def distillation(self, teacher: ShowerModel, settings: DistillationConfig) -> dict[str, Stage]:
        """Take over flow I and all preprocessing; flow II is trained."""
        if not self.needs_teacher:
            raise ConfigError(
                "A model with model.shape.role = 'teacher' is trained on showers (caloforge train); to distil, "
                "choose the --preset of a student."
            )
        if not isinstance(teacher, CaloFlow) or teacher.needs_teacher:
            raise ConfigError("The teacher must be a CaloFlow with model.shape.role = 'teacher'.")
        for section in ("energies", "shape"):
            mine, theirs = (
                to_mapping(getattr(self.config, section)),
                to_mapping(getattr(teacher.config, section)),
            )
            free = _FREE if section == "shape" else ()
            for name in sorted((mine.keys() | theirs.keys()) - set(free)):
                if mine.get(name) != theirs.get(name):
                    raise ConfigError(
                        f"Teacher and student differ in model.{section}.{name}: {theirs.get(name)} against "
                        f"{mine.get(name)}; choose another --preset, or --set it to the teacher's."
                    )
        self.energies.load_state_dict(teacher.energies.state_dict())
        self.shape.take_preprocessing(teacher.shape)
        self.e_inc_range.copy_(teacher.e_inc_range)
        low, high = teacher.e_inc_range.tolist()
        return {
            "shape": ShapeDistillation(self.shape, teacher.shape, teacher.energies, (low, high), settings)
        }

    def generate(self, e_inc: Float[Tensor, " B"], noise: ShowerNoise) -> Float[Tensor, "B V"]:
        """Layer energies first, then voxels that sum to them."""
        e_layer = self.energies.decode(noise.normal(self.geometry.n_layers), e_inc)
        return self.shape.decode(noise.normal(self.geometry.n_voxels), e_layer, e_inc)
