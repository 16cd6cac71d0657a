"""Training of any model on showers: one loop, resumable, on one or several processes."""

from caloforge.training.config import RunConfig, StageConfig
from caloforge.training.loop import BEST, LAST, METRICS, STATE, TrainingEvent
from caloforge.training.run import (
    RUN,
    DataFacts,
    check_folder,
    check_settings,
    complete_config,
    initial_model,
    start_or_resume,
)
from caloforge.training.state import EpochRecord
from caloforge.training.teacher import Teacher
from caloforge.training.trainer import split_showers, train

__all__ = [
    "BEST",
    "LAST",
    "METRICS",
    "RUN",
    "STATE",
    "DataFacts",
    "EpochRecord",
    "RunConfig",
    "StageConfig",
    "Teacher",
    "TrainingEvent",
    "check_folder",
    "check_settings",
    "complete_config",
    "initial_model",
    "split_showers",
    "start_or_resume",
    "train",
]
