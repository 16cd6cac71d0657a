"""What a classifier test found: every training's numbers, their mean and spread, and how they came about."""

from dataclasses import dataclass
from typing import final

from caloforge.classifier.config import ClassifierConfig

__all__ = [
    "CalibrationCurve",
    "ClassifierProgress",
    "ClassifierResult",
    "LearningCurve",
    "LearningPoint",
    "TrainingResult",
]


@final
@dataclass(frozen=True, kw_only=True)
class CalibrationCurve:
    """Scores of the result split in equal bins from 0 to 1: what was said and what was true."""

    edges: tuple[float, ...]
    """Edges of the bins, ``b + 1`` of them."""
    showers: tuple[int, ...]
    """Showers per bin."""
    mean_score: tuple[float | None, ...]
    """Mean score of the showers in each bin; ``None`` for an empty bin."""
    reference_fraction: tuple[float | None, ...]
    """Share of reference showers among them; equal to the mean score if the scores are probabilities."""
    error: tuple[float | None, ...]
    """Standard error of that share; ``None`` for an empty bin."""


@final
@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """One training."""

    seed: int
    """Of weights, split and order."""
    auc: float
    """Area under the ROC curve of the calibrated scores, on the result split; 0.5 is indistinguishable."""
    auc_error: float
    """Standard error of ``auc`` from the finite result split, by DeLong's method."""
    auc_uncalibrated: float
    """The same of the scores as the classifier gave them. The steps of the calibration cost about 0.005 where a few
    hundred showers calibrate, and nothing with the tens of thousands of the papers."""
    jsd: float
    """Jensen-Shannon divergence in bits, estimated as 1 - BCE / ln 2 of the calibrated scores; 0 is
    indistinguishable and 1 disjoint. An estimate, so a little below 0 for equal samples."""
    epoch: int
    """The epoch, from 1, whose weights were taken: the best on the selection split, by accuracy, or by cross entropy
    for trees and images."""
    epochs: int
    """Epochs trained."""
    seconds: float
    """Time spent on it, when it was trained."""
    before: CalibrationCurve
    """Of the scores as the classifier gave them."""
    after: CalibrationCurve
    """Of the calibrated scores."""


@final
@dataclass(frozen=True, kw_only=True)
class ClassifierResult:
    """The classifier test of a generated against a reference sample."""

    config: ClassifierConfig
    auc: float
    """Mean over the trainings; 0.5 is indistinguishable, 1 is told apart for sure."""
    auc_spread: float | None
    """Standard deviation over the trainings (weights and splits); ``None`` for one training."""
    auc_error: float
    """Mean standard error of one training's ``auc`` from its finite result split."""
    auc_uncalibrated: float
    """Mean of the scores' own."""
    jsd: float
    """Mean, bits."""
    jsd_spread: float | None
    """Standard deviation over the trainings; ``None`` for one training."""
    aucs: tuple[float, ...]
    """Every training's ``auc``."""
    jsds: tuple[float, ...]
    """Every training's ``jsd``."""
    trainings: tuple[TrainingResult, ...]
    calibration_before: CalibrationCurve
    """Of all trainings together, scores as the classifier gave them."""
    calibration_after: CalibrationCurve
    """Of all trainings together, calibrated scores."""
    n_generated: int
    """Generated showers given."""
    n_reference: int
    """Reference showers given."""
    n_train: int
    """Showers of each class in the training split."""
    n_selection: int
    """Showers of each class in the split that chooses the epoch and calibrates."""
    n_test: int
    """Showers of each class in the split of the result."""
    n_inputs: int
    """Numbers per shower that the classifier sees."""
    n_parameters: int | None
    """Trainable parameters; ``None`` for trees."""
    n_twins: int
    """Generated showers whose incident energy a reference shower has, too, and which were split together."""
    device: str
    notes: tuple[str, ...]
    """Sentences on what a reader should know: left-out showers, twins, few showers."""
    seconds: float
    """Time of all trainings, when they were trained."""


@final
@dataclass(frozen=True, kw_only=True)
class LearningPoint:
    """The test at one sample size."""

    n_showers: int
    """Showers of each class that took part, in all splits together."""
    auc: float
    auc_spread: float | None
    auc_error: float
    jsd: float
    jsd_spread: float | None
    aucs: tuple[float, ...]
    jsds: tuple[float, ...]


@final
@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """AUC against the number of showers: if it still rises at the end, a larger sample would show more."""

    config: ClassifierConfig
    points: tuple[LearningPoint, ...]
    """By growing number of showers."""
    seconds: float


@final
@dataclass(frozen=True, kw_only=True)
class ClassifierProgress:
    """Where a test stands."""

    training: int
    """Number of the running training, from 0."""
    n_trainings: int
    epoch: int
    """Its finished epochs."""
    n_epochs: int
    accuracy: float | None
    """On the selection split after the last epoch; ``None`` where not known."""
    n_showers: int
    """Showers per class; it grows along a learning curve."""

    @property
    def fraction(self) -> float:
        """Share of all trainings that is done, 0 to 1."""
        return min(1.0, (self.training + self.epoch / self.n_epochs) / self.n_trainings)
