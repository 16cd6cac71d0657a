"""What an evaluation is asked to do."""

from dataclasses import dataclass
from typing import Final, Literal, final

from caloforge.errors import ConfigError, UnknownNameError, ValueRangeError

__all__ = ["LEVELS", "EvaluationSettings"]

LEVELS: Final = ("fast", "full")


@final
@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How thorough an evaluation is, and its random numbers."""

    level: Literal["fast", "full"] = "fast"
    """Fast: boosted trees on features and the image network, some minutes for 20 000 showers of CaloGAN. Full:
    the papers' classifiers, too."""
    seed: int = 0
    """Of splits, trainings and draws."""
    trainings: int = 5
    """Trainings of each classifier; the spread is that of their results."""
    device: str = "cpu"
    """Where the neural classifiers are trained: ``"cpu"``, ``"cuda"`` ..."""
    overlap: bool = False
    """Use only showers in the range of incident energies that all samples have."""
    allow_leakage: bool = False
    """Go on although reference showers were in training, or the samples share some."""

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise UnknownNameError("level", self.level, LEVELS)
        if self.trainings < 2:
            raise ConfigError(f"At least two trainings are needed for a spread, got {self.trainings}.")
        if not 0 <= self.seed < 2**63:
            raise ValueRangeError(f"A seed must lie in 0 .. 2^63 - 1, got {self.seed}.")
