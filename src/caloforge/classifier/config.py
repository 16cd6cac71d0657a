"""What to train for the classifier test, how often, and on which share of the showers."""

from dataclasses import dataclass
from typing import Any, Final, Literal, final, get_args

import numpy as np

from caloforge.errors import ConfigError, UnknownNameError
from caloforge.evaluation.catalogue import GROUPS, Group
from caloforge.showers import check_threshold

__all__ = ["ARCHITECTURES", "INPUTS", "Architecture", "ClassifierConfig", "Inputs"]

Architecture = Literal["caloflow", "calochallenge", "resnet", "trees", "images"]
Inputs = Literal["unnormalised", "normalised", "high-level", "l2lflows", "features", "log-voxels"]
ARCHITECTURES: Final[tuple[str, ...]] = get_args(Architecture)
INPUTS: Final[tuple[str, ...]] = get_args(Inputs)

_DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "caloflow": {"epochs": 150, "learning_rate": 1e-3, "precision": "float32"},
    "calochallenge": {"epochs": 50, "learning_rate": 2e-4, "precision": "float64"},
    "resnet": {"epochs": 50, "learning_rate": 2e-4, "precision": "float32"},
    "trees": {"epochs": 200, "learning_rate": 0.1, "precision": "float64"},
    "images": {"epochs": 10, "learning_rate": 3e-3, "precision": "float32", "batch_size": 100},
}


@final
@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """One classifier test. A field left at 0 or empty takes the value of its architecture.

    References:
        C. Krause, D. Shih, CaloFlow, arXiv:2106.05285; C. Krause et al., CaloChallenge 2022, arXiv:2410.21611.
    """

    architecture: Architecture = "caloflow"
    """``"caloflow"``: 3 hidden layers of 512, Adam 1e-3, 150 epochs. ``"calochallenge"``: 3 of 2048, in float64,
    Adam 2e-4, 50 epochs. ``"resnet"``: the CaloChallenge's 3-D ResNet-18, for layers that share one grid; in float32,
    where the challenge's script takes float64, which a GPU is many times slower in (``precision``).
    ``"trees"``: gradient-boosted trees, for an answer within two minutes. ``"images"``: a small convolutional
    network, see :mod:`caloforge.classifier.images`; it needs no features and is as quick."""
    inputs: Inputs = "unnormalised"
    """``"unnormalised"``: voxels. ``"normalised"``: voxels over the energy of their layer, and the layers'
    energies. ``"high-level"``: the features of the CaloChallenge's high-level classifier. ``"l2lflows"``: the ten
    of the L2LFlows papers, see :mod:`caloforge.evaluation.l2lflows`. ``"features"``: all features of the catalogue.
    ``"log-voxels"``: log(1 + E / keV) of the voxels, so hits of all energies count alike. Each with the incident
    energy. ResNet knows the first only, and the images are the last."""
    trainings: int = 5
    """How often to train, each time with other weights and another split."""
    seed: int = 0
    """Fixes weights, splits and order."""
    epochs: int = 0
    """Passes over the training split; for trees, the largest number of them; for images, equal portions of training,
    see :func:`~caloforge.classifier.network_training.train_network`."""
    batch_size: int = 0
    """Showers per step, of both classes together."""
    learning_rate: float = 0.0
    """Step of Adam; for trees, their shrinkage."""
    precision: str = ""
    """``"float32"`` or ``"float64"``; of networks only."""
    groups: tuple[Group, ...] = ()
    """Groups of features that ``"features"`` are confined to; by default all."""
    threshold: float = 0.0
    """Read-out threshold that was applied to the showers, MeV: where the hit energies of ``"features"`` begin."""
    split: tuple[float, float, float] = (0.6, 0.2, 0.2)
    """Shares of each class for training, for the choice of the epoch and the calibration, and for the result."""

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise UnknownNameError("classifier architecture", str(self.architecture), ARCHITECTURES)
        if self.inputs not in INPUTS:
            raise UnknownNameError("classifier inputs", str(self.inputs), INPUTS)
        for name, value in ({"batch_size": 1000} | _DEFAULTS[self.architecture]).items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)
        for name, least in (("trainings", 1), ("seed", 0), ("epochs", 1), ("batch_size", 2)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise ConfigError(f"{name} must be a whole number, {least} or more; got {value!r}.")
        if not (np.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ConfigError(f"learning_rate must be positive, got {self.learning_rate!r}.")
        if self.precision not in ("float32", "float64"):
            raise ConfigError(f"precision must be 'float32' or 'float64', got {self.precision!r}.")
        object.__setattr__(self, "groups", tuple(self.groups))
        for group in self.groups:
            if group not in GROUPS:
                raise UnknownNameError("group of features", str(group), GROUPS)
        if self.groups and self.inputs != "features":
            raise ConfigError(f"groups choose among 'features', not among {self.inputs!r} inputs.")
        check_threshold(self.threshold)
        object.__setattr__(self, "split", tuple(map(float, self.split)))
        if len(self.split) != 3 or min(self.split) <= 0 or abs(sum(self.split) - 1) > 1e-9:
            raise ConfigError(f"split must be three positive shares that add up to 1, got {self.split}.")
        if self.architecture == "resnet" and self.inputs != "unnormalised":
            raise ConfigError(f"The ResNet takes unnormalised voxels only, not {self.inputs!r} inputs.")
        if self.architecture == "images" and self.inputs != "log-voxels":
            raise ConfigError(f"The image network takes inputs='log-voxels' only, not {self.inputs!r}.")
