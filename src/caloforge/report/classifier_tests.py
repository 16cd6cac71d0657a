"""Which classifier tests a level has, and their results with the floor and the learning curve."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, final

from caloforge.classifier import (
    ClassifierConfig,
    ClassifierProgress,
    classifier_test,
    learning_curve,
)
from caloforge.geometry import Geometry, PolarGrid
from caloforge.report.settings import EvaluationSettings
from caloforge.showers import Showers

__all__ = ["ClassifierTests", "OnStep", "standard_error", "test_configs", "title_of"]

OnStep = Callable[[str, float, int], None]

_ARCHITECTURES: Final = {
    "caloflow": "CaloFlow's network",
    "calochallenge": "CaloChallenge's network",
    "resnet": "3-D ResNet",
    "trees": "boosted trees",
    "images": "image network",
}
_INPUTS: Final = {
    "unnormalised": "voxels",
    "normalised": "voxels per layer energy",
    "high-level": "high-level features",
    "l2lflows": "L2LFlows features",
    "features": "all features",
    "log-voxels": "log-voxels",
}


def standard_error(result: Mapping[str, Any]) -> float:
    """Of a mean AUC: the trainings share their showers, so the result split's error does not average out.

    Args:
        result: A :class:`~caloforge.classifier.ClassifierResult` as plain data.
    """
    spread = (result["auc_spread"] or 0.0) / math.sqrt(len(result["aucs"]))
    return math.hypot(spread, result["auc_error"] or 0.0)


def title_of(config: ClassifierConfig) -> str:
    """For people.

    Example:
        >>> title_of(ClassifierConfig(architecture="trees", inputs="features"))
        'boosted trees on all features'
        >>> title_of(ClassifierConfig(architecture="images", inputs="log-voxels"))
        'image network on log-voxels'
    """
    return f"{_ARCHITECTURES[config.architecture]} on {_INPUTS[config.inputs]}"


def test_configs(
    geometry: Geometry, settings: EvaluationSettings, *, threshold: float
) -> dict[str, ClassifierConfig]:
    """The tests of a level, by name, the quickest first; the CaloChallenge's own for its calorimeters."""
    kinds = [("trees", "features"), ("images", "log-voxels")]
    if settings.level == "full":
        kinds += [("caloflow", inputs) for inputs in ("unnormalised", "normalised", "high-level")]
        if geometry.name.startswith("calochallenge"):
            kinds += [("calochallenge", inputs) for inputs in ("unnormalised", "normalised", "high-level")]
            if _one_polar_grid(geometry):
                kinds.append(("resnet", "unnormalised"))
    common = {"trainings": settings.trainings, "seed": settings.seed, "threshold": threshold}
    return {
        f"{architecture}-{inputs}": ClassifierConfig(architecture=architecture, inputs=inputs, **common)  # type: ignore[arg-type]
        for architecture, inputs in kinds
    }


def _one_polar_grid(geometry: Geometry) -> bool:
    grids = {layer.grid for layer in geometry.layers}
    return len(geometry.layers) > 1 and len(grids) == 1 and isinstance(next(iter(grids)), PolarGrid)


@final
class ClassifierTests:
    """The classifier tests of an evaluation.

    Args:
        showers: Gives the generated and the reference sample.
        second: Gives the second reference sample, if there is one.
        settings: Level, seed, trainings.
        folder: Where finished trainings are kept.
        geometry: Of the samples.
        threshold: That was applied to them, MeV.
    """

    def __init__(
        self,
        showers: Callable[[], tuple[Showers, Showers]],
        second: Callable[[], Showers | None],
        *,
        geometry: Geometry,
        threshold: float,
        settings: EvaluationSettings,
        folder: Path,
    ) -> None:
        self._showers, self._second, self._folder = showers, second, folder
        self._device = settings.device
        self.configs = test_configs(geometry, settings, threshold=threshold)
        self._curve = {"trees-features", "images-log-voxels", "caloflow-unnormalised"}

    def run(self, name: str, on_part: Callable[[str, float], None]) -> dict[str, Any]:
        """One test: result, floor (``None`` without a second reference), learning curve (of some).

        Args:
            name: A key of ``configs``.
            on_part: Told what is done now and the share of this test that is done.
        """
        config = self.configs[name]
        generated, reference = self._showers()
        second = self._second()
        has_curve = name in self._curve
        n_parts = 1 + (second is not None) + has_curve
        title = title_of(config)

        def part(number: int) -> Callable[[ClassifierProgress], None]:
            return lambda progress: on_part(title, (number + progress.fraction) / n_parts)

        folder, device = self._folder, self._device
        result = classifier_test(
            generated, reference, config, checkpoint_dir=folder, device=device, on_progress=part(0)
        )
        floor = curve = None
        if second is not None:
            floor = classifier_test(
                second, reference, config, checkpoint_dir=folder, device=device, on_progress=part(1)
            )
        if has_curve:
            curve = learning_curve(
                generated,
                reference,
                config,
                checkpoint_dir=folder,
                device=device,
                on_progress=part(n_parts - 1),
            )
        return {"name": name, "title": title, "result": result, "floor": floor, "learning_curve": curve}
