"""What every generative model of showers is: a pure map from incident energies and noise to voxels.

A model is trained in one or more :class:`Stage` s and, once trained, is asked for one thing: ``generate``.
To add a model, see ``docs/adding-a-model.md``.
"""

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from caloforge.errors import ConfigError
from caloforge.geometry import Geometry
from caloforge.noise import ShowerNoise
from caloforge.showers import Showers

__all__ = ["Batch", "DistillationConfig", "Stage", "ShowerModel"]

Batch = dict[str, Tensor]


@final
@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """What a student is compared with its teacher by; all on is the paper's fully guided loss (Eq. 17).

    References:
        C. Krause, D. Shih, CaloFlow II, arXiv:2110.11377
    """

    z_loss: bool = True
    """Noise through the student to showers, and through the teacher back to noise."""
    x_loss: bool = True
    """Showers through the teacher to noise, and through the student back to showers."""
    steps: bool = True
    """In both, also compare all values between the blocks (the ends among them, as in the paper's code)."""
    parameters: bool = True
    """In both, also compare all raw parameters of the splines."""
    nll: bool = True
    """Watch the student's likelihood of validation showers; its density is slow, so it may be left out."""

    def __post_init__(self) -> None:
        if not (self.z_loss or self.x_loss):
            raise ConfigError("distillation.z_loss and distillation.x_loss are both off; nothing is left.")


class Stage(nn.Module, abc.ABC):
    """A part of a model that is trained on its own, by gradient descent on a loss per shower.

    The trainer calls ``fit`` once on the training split, keeps ``rows`` of all showers in memory, and for
    each mini-batch calls ``draw`` (noise, augmentation) and the module itself (the loss).
    """

    loss_name: ClassVar[str] = "nll"
    """Label in progress displays."""
    criterion: ClassVar[str] = "loss"
    """Which of the numbers of :meth:`judge` chooses the best epoch."""

    @abc.abstractmethod
    def fit(self, showers: Showers, *, seed: int) -> None:
        """Estimate the preprocessing from the training split; stored in buffers."""

    @abc.abstractmethod
    def rows(self, showers: Showers) -> Batch:
        """Tensors with one row per shower, everything that does not change from epoch to epoch."""

    @abc.abstractmethod
    def draw(self, rows: Batch, generator: torch.Generator) -> Batch:
        """A training batch from rows: fresh noise and augmentation, from ``generator`` alone."""

    @property
    def _dtype(self) -> torch.dtype:
        """Floating type of the weights."""
        return next(self.parameters()).dtype

    @abc.abstractmethod
    def forward(self, batch: Batch) -> Float[Tensor, " B"]:
        """Loss of each shower of a batch."""

    def judge(self, batch: Batch) -> dict[str, Float[Tensor, " B"]]:
        """Of each shower of a validation batch: ``loss``, and what else is to be watched, by name.

        Called without gradients. Means over the validation split are written down after every epoch.
        """
        return {"loss": self(batch)}


class ShowerModel(nn.Module, abc.ABC):
    """p(voxels | e_inc) of one calorimeter.

    Args:
        geometry: The calorimeter.
    """

    max_block: ClassVar[int] = 1024
    """Showers that are generated together on a CPU, at most; part of what determines their last bits."""

    e_inc_range: Tensor
    """Lowest and highest incident energy seen in training, MeV; NaN before training."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = geometry
        self.register_buffer("e_inc_range", torch.full((2,), torch.nan, dtype=torch.float64))

    @classmethod
    @abc.abstractmethod
    def build(cls, settings: Mapping[str, Any], geometry: Geometry) -> "ShowerModel":
        """The model of plain-data ``settings`` (a recipe's ``[model]`` table) for a geometry, untrained."""

    @classmethod
    def count_parameters(cls, settings: Mapping[str, Any], geometry: Geometry) -> int:
        """Parameters of the model that :meth:`build` would make, without making it.

        A family that overrides it is protected from settings, in a recipe or a stranger's weights file, that
        exhaust the memory; 0 means unknown and is let through.
        """
        return 0

    @classmethod
    def complete(cls, settings: Mapping[str, Any], showers: Showers, *, seed: int) -> dict[str, Any]:
        """Settings with what only the training showers can tell filled in; by default nothing is missing.

        It is called once, before the model of a run is built, and the run keeps the result. What is given stays
        as it is, so complete settings are returned unchanged.
        """
        return dict(settings)

    @property
    @abc.abstractmethod
    def settings(self) -> dict[str, Any]:
        """The settings that :meth:`build` needs to make this model again."""

    @property
    @abc.abstractmethod
    def stages(self) -> dict[str, Stage]:
        """The stages in the order they are trained; the names are sections of a recipe."""

    @abc.abstractmethod
    def generate(self, e_inc: Float[Tensor, " B"], noise: ShowerNoise) -> Float[Tensor, "B V"]:
        """One shower per incident energy: MeV in, MeV out, all randomness from ``noise``."""

    def set_products(self, dtype: torch.dtype) -> None:
        """Let the large matrix products of :meth:`generate` run in ``dtype``; a family that can overrides it.

        Raises:
            ConfigError: The family generates in the precision of its weights only.
        """
        if dtype != next(self.parameters()).dtype:
            raise ConfigError(
                f"{type(self).__name__} generates in the precision of its weights only, not in {dtype}; leave the "
                "precision at float32."
            )

    def compile_for(self, sizes: Sequence[int]) -> None:
        """Let :meth:`generate` run as compiled code for these numbers of showers; a family that can overrides it.

        Compiling itself happens when such a number is first asked for. An empty list takes it back.

        Raises:
            ConfigError: The family cannot.
        """
        if sizes:
            raise ConfigError(f"{type(self).__name__} cannot be compiled; leave that out.")

    @property
    def needs_teacher(self) -> bool:
        """Whether it is not trained on showers alone but by :meth:`distillation`."""
        return False

    def distillation(self, teacher: "ShowerModel", settings: DistillationConfig) -> dict[str, Stage]:
        """Become the student of a frozen teacher: the stages that train it.

        What is not trained is copied here; the teacher is on the same device and of the same precision.

        Raises:
            ConfigError: The two do not fit, or the family knows no distillation.
        """
        raise ConfigError(
            f"Models of {type(self).__name__} are trained on showers, they have no teacher: caloforge train."
        )

    def fit_range(self, showers: Showers) -> None:
        """Remember the range of incident energies of all showers that were given."""
        if len(showers):
            self.e_inc_range.copy_(
                torch.tensor([np.min(showers.e_inc), np.max(showers.e_inc)], dtype=torch.float64)
            )

    def set_precision(self, dtype: torch.dtype) -> "ShowerModel":
        """Hold weights and standardisation of a new model in ``dtype``; what is float64 by design stays so.

        ``Module.to(dtype)`` would round the energy range and the energy ratio to float32 as well.
        """
        kept = {name: buffer for name, buffer in self.named_buffers() if buffer.dtype == torch.float64}
        self.to(dtype)
        for name, buffer in kept.items():
            module, _, key = name.rpartition(".")
            setattr(self.get_submodule(module), key, buffer)
        return self

    def n_parameters(self, stage: str | None = None) -> int:
        """Number of trainable parameters, masked ones included as the field counts them."""
        module: nn.Module = self if stage is None else self.stages[stage]
        return sum(p.numel() for p in module.parameters())
