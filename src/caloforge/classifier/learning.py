"""AUC against sample size, so that a small sample cannot flatter."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from caloforge.classifier.config import ClassifierConfig
from caloforge.classifier.result import ClassifierProgress, LearningCurve, LearningPoint
from caloforge.classifier.splitting import MIN_SHOWERS
from caloforge.classifier.two_sample import SAVE_SECONDS, OnProgress, classifier_test
from caloforge.errors import ValueRangeError
from caloforge.seeding import derive_seed
from caloforge.showers import Showers

__all__ = ["learning_curve"]

_FEW = 2  # trainings of each smaller part: the curve shows a trend
_SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)


def learning_curve(
    generated: Showers,
    reference: Showers,
    config: ClassifierConfig | None = None,
    *,
    sizes: Sequence[int] = (),
    checkpoint_dir: Path | None = None,
    device: torch.device | str = "cpu",
    save_seconds: float = SAVE_SECONDS,
    on_progress: OnProgress = lambda progress: None,
) -> LearningCurve:
    """The classifier test with growing parts of both samples.

    Each part holds the one before. The last point, with all showers, is :func:`classifier_test` itself, and its
    trainings are shared through ``checkpoint_dir``.

    Args:
        generated: As in :func:`classifier_test`.
        reference: As in :func:`classifier_test`.
        config: As in :func:`classifier_test`; of smaller parts there are two trainings at most.
        sizes: Showers of each class; by default an eighth, a quarter, half and all of the smaller sample.
        checkpoint_dir: As in :func:`classifier_test`.
        device: As in :func:`classifier_test`.
        save_seconds: As in :func:`classifier_test`.
        on_progress: Told about each epoch; trainings are counted through all sizes.

    Raises:
        ValueRangeError: A size is below 10 or above the smaller sample, or as :func:`classifier_test`.
        GeometryMismatchError: As :func:`classifier_test`.
    """
    config = config or ClassifierConfig()
    most = min(len(generated), len(reference))
    wanted = sorted({int(size) for size in sizes} or {max(MIN_SHOWERS, int(most * s)) for s in _SHARES})
    if wanted[0] < MIN_SHOWERS or wanted[-1] > most:
        raise ValueRangeError(
            f"Sizes of a learning curve must lie in {MIN_SHOWERS} .. {most:,}, the size of the smaller sample; "
            f"got {', '.join(map(str, wanted))}."
        )
    points, seconds = [], 0.0
    counts = [config.trainings if size == most else min(config.trainings, _FEW) for size in wanted]
    for step, size in enumerate(wanted):

        def tell(progress: ClassifierProgress, step: int = step) -> None:
            done = sum(counts[:step])
            on_progress(replace(progress, training=done + progress.training, n_trainings=sum(counts)))

        mine, theirs = (
            _part(showers, size, most, seed=derive_seed(config.seed, "learning curve", name))
            for name, showers in (("generated", generated), ("reference", reference))
        )
        try:
            found = classifier_test(
                mine,
                theirs,
                replace(config, trainings=counts[step]),
                checkpoint_dir=checkpoint_dir,
                device=device,
                save_seconds=save_seconds,
                on_progress=tell,
            )
        except ValueRangeError:
            if size == most or sizes:
                raise
            continue  # too few to be split, e.g. where showers share their energies
        seconds += found.seconds
        points.append(
            LearningPoint(
                n_showers=size,
                auc=found.auc,
                auc_spread=found.auc_spread,
                auc_error=found.auc_error,
                jsd=found.jsd,
                jsd_spread=found.jsd_spread,
                aucs=found.aucs,
                jsds=found.jsds,
            )
        )
    return LearningCurve(config=config, points=tuple(points), seconds=seconds)


def _part(showers: Showers, size: int, most: int, *, seed: int) -> Showers:
    """The first ``size`` showers of a random order; all, in their own order, for the last point."""
    if size == most:
        return showers
    return showers[np.random.default_rng(seed).permutation(len(showers))[:size]]
