"""Training of any model on showers: one loop, resumable, on one or several processes."""

from caloforge.training.config import RunConfig, StageConfig
from caloforge.training.state import EpochRecord
from caloforge.training.trainer import BEST, LAST, METRICS, STATE, TrainingEvent, split_showers, train

__all__ = [
    "BEST",
    "LAST",
    "METRICS",
    "STATE",
    "EpochRecord",
    "RunConfig",
    "StageConfig",
    "TrainingEvent",
    "split_showers",
    "train",
]
