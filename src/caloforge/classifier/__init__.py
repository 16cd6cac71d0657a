"""The classifier test: a classifier is trained to tell generated showers from reference ones."""

from caloforge.classifier.config import ARCHITECTURES, INPUTS, Architecture, ClassifierConfig, Inputs
from caloforge.classifier.learning import learning_curve
from caloforge.classifier.result import (
    CalibrationCurve,
    ClassifierProgress,
    ClassifierResult,
    LearningCurve,
    LearningPoint,
    TrainingResult,
)
from caloforge.classifier.two_sample import classifier_test

__all__ = [
    "ARCHITECTURES",
    "INPUTS",
    "Architecture",
    "CalibrationCurve",
    "ClassifierConfig",
    "ClassifierProgress",
    "ClassifierResult",
    "Inputs",
    "LearningCurve",
    "LearningPoint",
    "TrainingResult",
    "classifier_test",
    "learning_curve",
]
