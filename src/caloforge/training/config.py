"""Settings of a training run: which model, and for each of its stages how it is optimised."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, final

from caloforge.config import apply_settings, from_mapping, to_mapping
from caloforge.errors import ConfigError
from caloforge.models import DistillationConfig

__all__ = ["StageConfig", "RunConfig"]


@final
@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """Optimisation of one stage."""

    epochs: int = 100
    """Passes over the training split."""
    batch_size: int = 200
    """Showers per step, over all processes together."""
    learning_rate: float = 1e-4
    """Adam's step size at the start (``milestones``) or at the top (``onecycle``, ``cosine``)."""
    schedule: Literal["milestones", "onecycle", "cosine"] = "milestones"
    """``milestones`` multiplies by ``decay`` at given epochs; ``cosine`` falls to zero, after a linear
    warm-up over 2 % of the run; ``onecycle`` rises over 30 % and falls."""
    milestones: tuple[int, ...] = ()
    """Epochs at which the learning rate is multiplied by ``decay`` (schedule ``milestones``)."""
    decay: float = 0.5
    """Factor at each milestone."""
    weight_decay: float = 0.0
    """Decoupled weight decay (AdamW); 0 is plain Adam."""
    clip_norm: float | None = None
    """Largest gradient norm; ``None`` leaves gradients as they are."""
    accumulate: tuple[int, ...] = (1,)
    """Batches whose gradients are averaged for one step of the optimizer; a second number holds from the first
    of ``milestones`` on, and so forth."""
    patience: int | None = None
    """Stop after so many epochs without a better validation loss; ``None`` runs all epochs."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not 0 < self.learning_rate < 1:
            raise ConfigError(f"learning_rate must lie between 0 and 1, got {self.learning_rate}.")
        if not 0 < self.decay <= 1:
            raise ConfigError(f"decay must lie in (0, 1], got {self.decay}.")
        if not 0 <= self.weight_decay < float("inf"):
            raise ConfigError(f"weight_decay must be finite and not negative, got {self.weight_decay}.")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ConfigError(f"clip_norm must be positive, got {self.clip_norm}.")
        if not self.accumulate or min(self.accumulate) < 1:
            raise ConfigError(
                f"accumulate must be one or more numbers from 1 up, got {list(self.accumulate)}."
            )
        if len(self.accumulate) > 1 + len(self.milestones):
            raise ConfigError(
                f"accumulate = {list(self.accumulate)} needs {len(self.accumulate) - 1} milestones, one for each "
                f"change; there are {len(self.milestones)}."
            )
        if self.patience is not None and self.patience < 1:
            raise ConfigError(f"patience must be at least 1, got {self.patience}.")


@final
@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A complete run; a recipe file holds exactly this."""

    family: str
    """Model family, a key of :data:`caloforge.models.FAMILIES`."""
    summary: str = ""
    """One line for listings."""
    geometry: str = "calogan"
    """Catalogue name of the calorimeter the recipe was made for; another one may be trained all the same."""
    source: str = ""
    """Paper that the numbers come from."""
    precision: Literal["float32", "float64", "bfloat16"] = "float32"
    """Of weights and arithmetic; ``bfloat16`` keeps float32 weights and runs matrix products in bfloat16."""
    validation: float = 0.1
    """Share of the showers kept from training to choose the best epoch."""
    seed: int = 1
    """Fixes split, initial weights, order, noise."""
    model: dict[str, Any] = field(default_factory=dict)
    """Settings of the model; checked by the family."""
    training: dict[str, StageConfig] = field(default_factory=dict)
    """One section per stage; a stage without one takes the defaults."""
    distillation: DistillationConfig | None = None
    """Of a student, how it is compared with its teacher."""

    def __post_init__(self) -> None:
        if not 0 < self.validation < 1:
            raise ConfigError(f"validation must lie between 0 and 1, got {self.validation}.")
        if self.seed < 0:
            raise ConfigError(f"seed must not be negative, got {self.seed}.")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], settings: Sequence[str] = ()) -> "RunConfig":
        """From plain data (a recipe) and ``--set`` assignments."""
        return from_mapping(cls, apply_settings(data, settings))

    def to_dict(self) -> dict[str, Any]:
        """Plain data; :meth:`from_dict` gives it back."""
        return to_mapping(self)

    def with_seed(self, seed: int) -> "RunConfig":
        """The same run with another seed."""
        return dataclasses.replace(self, seed=seed)
