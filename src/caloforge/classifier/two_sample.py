"""The classifier test: can a classifier tell generated showers from reference ones?"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from caloforge.classifier.checkpoints import FinishedTrainings
from caloforge.classifier.config import ClassifierConfig
from caloforge.classifier.images import portion_size
from caloforge.classifier.inputs import InputRows, InputTable
from caloforge.classifier.network_training import TrainedScores, train_network
from caloforge.classifier.networks import build_network, image_shape
from caloforge.classifier.result import ClassifierProgress, ClassifierResult, TrainingResult
from caloforge.classifier.scores import auc_with_error, calibrate, calibration_curve, jensen_shannon, pooled
from caloforge.classifier.splitting import MIN_SHOWERS, Split, count_twins, draw_split
from caloforge.classifier.trees import train_trees
from caloforge.devices import check_device
from caloforge.errors import NonFiniteError, ValueRangeError
from caloforge.seeding import derive_seed
from caloforge.showers import Showers

__all__ = ["SAVE_SECONDS", "OnProgress", "classifier_test"]

SAVE_SECONDS = 60.0

OnProgress = Callable[[ClassifierProgress], None]

_SMALL = 2000


def classifier_test(
    generated: Showers,
    reference: Showers,
    config: ClassifierConfig | None = None,
    *,
    checkpoint_dir: Path | None = None,
    device: torch.device | str = "cpu",
    save_seconds: float = SAVE_SECONDS,
    on_progress: OnProgress = lambda progress: None,
) -> ClassifierResult:
    """Train classifiers to tell two samples apart, and say how well they do on showers they never saw.

    An AUC of 0.5 and a JSD of 0 mean that no difference was found, 1 that every shower is told apart. A number
    means something only beside the same test of reference against reference (pass two reference samples), and
    beside others with as many showers: a classifier with more of them sees more (:func:`learning_curve`).

    Each training has its own weights and its own split of each sample into training, selection and result
    showers; the epoch is chosen and the scores are calibrated on the selection showers, all numbers are from the
    result showers. Of the larger sample some showers are left out, others in each training. Showers of equal
    incident energy are split together, see :mod:`~caloforge.classifier.splitting`.

    The result is the same each time on the same machine with the same number of threads; on a GPU the ResNet's
    is not to the last digit.

    Args:
        generated: Showers in question, thresholds applied.
        reference: Showers that are right, with the same thresholds and spectrum of energies.
        config: What to train; by default as in the CaloFlow papers.
        checkpoint_dir: Folder to keep finished trainings and the state of the running one in; a test that was
            killed goes on from there when it is repeated, to the same numbers.
        device: ``"cpu"``, ``"cuda"`` ...; of networks, trees are always grown on the CPU.
        save_seconds: Time between saves of the running training.
        on_progress: Told about each epoch.

    Raises:
        GeometryMismatchError: The samples have different voxels, or the ResNet cannot see them.
        ValueRangeError: A sample has fewer than 10 showers or only empty ones, or there is no such device.
        NonFiniteError: A training diverged, or voxels are not finite.
        OutputError: ``checkpoint_dir`` cannot be written.

    References:
        C. Krause, D. Shih, CaloFlow, arXiv:2106.05285; C. Krause et al., CaloChallenge 2022, arXiv:2410.21611.
    """
    config = config or ClassifierConfig()
    where = check_device(device)
    _check(generated, reference, config)
    finished = FinishedTrainings(checkpoint_dir, generated, reference, config, device=where)
    runner = _Runner(generated, reference, config, device=where)
    trainings = []
    for number in range(config.trainings):
        known = finished.load(number)
        if known is None:

            def on_epoch(epoch: int, accuracy: float | None, number: int = number) -> None:
                on_progress(
                    ClassifierProgress(
                        training=number,
                        n_trainings=config.trainings,
                        epoch=epoch,
                        n_epochs=config.epochs,
                        accuracy=accuracy,
                        n_showers=min(len(generated), len(reference)),
                    )
                )

            known = runner.train(
                number, state=finished.state(number), save_seconds=save_seconds, on_epoch=on_epoch
            )
            finished.save(number, known)
        trainings.append(known)
    return _summary(generated, reference, config, runner, trainings)


class _Runner:
    """Trains; what all trainings share is made when the first needs it."""

    def __init__(
        self, generated: Showers, reference: Showers, config: ClassifierConfig, *, device: torch.device
    ) -> None:
        self._energies = generated.e_inc, reference.e_inc
        self.config, self.device = config, torch.device("cpu") if config.architecture == "trees" else device
        self.table = InputTable(generated, reference, config)
        self._rows: InputRows | None = None

    def split(self, number: int) -> Split:
        return draw_split(
            *self._energies, shares=self.config.split, seed=derive_seed(self.seed(number), "split")
        )

    def seed(self, number: int) -> int:
        return derive_seed(self.config.seed, "classifier", number)

    def train(
        self,
        number: int,
        *,
        state: Path | None,
        save_seconds: float,
        on_epoch: Callable[[int, float | None], None],
    ) -> TrainingResult:
        begin = time.perf_counter()
        seed, split = self.seed(number), self.split(number)
        on_epoch(0, None)
        if self.config.architecture == "trees":
            scores = train_trees(self.table, split, self.config, seed=seed)
            on_epoch(self.config.epochs, None)
        else:
            self._rows = self._rows or InputRows(self.table, self.device)
            scores = train_network(
                build_network(self.config, self.table.geometry, self.table.n_inputs, seed=seed).to(
                    self.device
                ),
                self._rows,
                split,
                self.config,
                moments=self.table.moments(split.train) if self.table.standardised else None,
                portion=portion_size(self.table.geometry) if self.config.architecture == "images" else None,
                seed=seed,
                state=state,
                save_seconds=save_seconds,
                on_epoch=on_epoch,
            )
        return _judge(scores, self.table, split, seed=seed, seconds=time.perf_counter() - begin)

    def n_parameters(self) -> int | None:
        if self.config.architecture == "trees":
            return None
        with torch.device("meta"):  # sizes without numbers
            net = build_network(self.config, self.table.geometry, self.table.n_inputs, seed=0)
        return sum(parameter.numel() for parameter in net.parameters())


def _judge(
    scores: TrainedScores, table: InputTable, split: Split, *, seed: int, seconds: float
) -> TrainingResult:
    label = table.labels[split.test]
    selection, test = (_sigmoid(logits) for logits in (scores.selection, scores.test))
    calibrated = calibrate(selection, table.labels[split.selection], test)
    auc, auc_error = auc_with_error(calibrated, label)
    return TrainingResult(
        seed=seed,
        auc=auc,
        auc_error=auc_error,
        auc_uncalibrated=auc_with_error(scores.test, label)[0],
        jsd=jensen_shannon(calibrated, label),
        epoch=scores.epoch,
        epochs=scores.epochs,
        seconds=seconds,
        before=calibration_curve(test, label),
        after=calibration_curve(calibrated, label),
    )


def _summary(
    generated: Showers,
    reference: Showers,
    config: ClassifierConfig,
    runner: _Runner,
    trainings: list[TrainingResult],
) -> ClassifierResult:
    split = runner.split(0)
    aucs, jsds = [t.auc for t in trainings], [t.jsd for t in trainings]
    twins = count_twins(generated.e_inc, reference.e_inc)
    return ClassifierResult(
        config=config,
        auc=float(np.mean(aucs)),
        auc_spread=_spread(aucs),
        auc_error=float(np.mean([t.auc_error for t in trainings])),
        auc_uncalibrated=float(np.mean([t.auc_uncalibrated for t in trainings])),
        jsd=float(np.mean(jsds)),
        jsd_spread=_spread(jsds),
        aucs=tuple(aucs),
        jsds=tuple(jsds),
        trainings=tuple(trainings),
        calibration_before=pooled([t.before for t in trainings]),
        calibration_after=pooled([t.after for t in trainings]),
        n_generated=len(generated),
        n_reference=len(reference),
        n_train=len(split.train) // 2,
        n_selection=len(split.selection) // 2,
        n_test=len(split.test) // 2,
        n_inputs=runner.table.n_inputs,
        n_parameters=runner.n_parameters(),
        n_twins=twins,
        device=str(runner.device),
        notes=tuple(_notes(generated, reference, split, twins)),
        seconds=sum(t.seconds for t in trainings),
    )


def _notes(generated: Showers, reference: Showers, split: Split, twins: int) -> list[str]:
    n, notes = min(len(generated), len(reference)), []
    if len(generated) != len(reference):
        notes.append(
            f"Each training used {n:,} showers of each sample, of {len(generated):,} generated and "
            f"{len(reference):,} reference ones."
        )
    if twins:
        notes.append(
            f"{twins:,} generated showers have the incident energy of a reference shower; such showers were kept "
            "on the same side of every split, as they would mislead the classifier otherwise."
        )
    if n < _SMALL:
        k = len(split.test) // 2
        notes.append(
            f"Only {len(split.train) // 2:,} showers of each sample train the classifier and {k:,} judge it: the AUC "
            f"of one training is uncertain by about {1 / np.sqrt(6 * k):.2g}, and differences that thousands "
            "of showers would show stay hidden."
        )
    return notes


def _check(generated: Showers, reference: Showers, config: ClassifierConfig) -> None:
    reference.geometry.require_same_voxels(
        generated.geometry, mine="The reference sample", theirs="the generated one"
    )
    for name, showers in (("generated", generated), ("reference", reference)):
        if len(showers) < MIN_SHOWERS:
            showers_word = "shower" if len(showers) == 1 else "showers"
            raise ValueRangeError(
                f"The {name} sample has {len(showers)} {showers_word}; the classifier test needs {MIN_SHOWERS} to "
                "run at all, and thousands to mean anything."
            )
        if not np.isfinite(showers.voxels.sum(dtype=np.float64)):
            raise NonFiniteError(f"The {name} showers have voxels that are not finite.")
        if not showers.voxels.any():
            raise ValueRangeError(
                f"All {len(showers):,} {name} showers are empty; is the threshold too high, or a unit wrong?"
            )
    if config.architecture == "resnet":
        image_shape(reference.geometry)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * logits))  # without overflow


def _spread(values: list[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
