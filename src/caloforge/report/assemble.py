"""Every number of a report, piece by piece."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
from jaxtyping import Float

from caloforge import __version__
from caloforge.errors import ValueRangeError
from caloforge.evaluation import compare
from caloforge.evaluation.challenge import (
    challenge_comparison,
    challenge_data_set,
    challenge_features,
    challenge_voxel_edges,
)
from caloforge.evaluation.copies import check_copies
from caloforge.evaluation.correlation import compare_correlations
from caloforge.evaluation.distances import feature_distances
from caloforge.evaluation.fpd import frechet_physics_distance
from caloforge.evaluation.kpd import kernel_physics_distance
from caloforge.evaluation.nearest import nearest_showers
from caloforge.evaluation.physics_distance import PHYSICS_DISTANCE_SETTINGS
from caloforge.evaluation.prdc import shower_prdc
from caloforge.evaluation.sample import SampleStatistics, sample_statistics, voxel_spectrum
from caloforge.evaluation.voxel_comparison import compare_voxels
from caloforge.evaluation.voxel_correlations import compare_voxel_correlations
from caloforge.evaluation.voxel_sums import voxel_sums
from caloforge.report.classifier_tests import ClassifierTests, OnStep
from caloforge.report.copies import copy_facts
from caloforge.report.energy_slices import energy_slices
from caloforge.report.feature_groups import group_tests
from caloforge.report.pieces import CLASSIFIERS, Pieces
from caloforge.report.plain import plain
from caloforge.report.profiles import profile_pair, spectrum_pair
from caloforge.report.published import separations
from caloforge.report.samples import Sample
from caloforge.report.settings import EvaluationSettings
from caloforge.report.single_showers import single_showers, sparse_shower, target_energies
from caloforge.seeding import derive_seed
from caloforge.showers import Showers

__all__ = ["Assembly", "correlated_features", "memory_notes"]

_MAX_BYTES = 3 * 2**30
"""Voxels of one sample in memory for what needs single showers; a larger sample is cut, and the report says so."""
_MAX_LAYERS, _MAX_WHOLE, _FEW_LAYERS = 60, 12, 4
_CORRELATED = ("e_layer", "sparsity", "brightest_ratio", "width_y", "width_r")
"""Kinds of features per layer in the correlation matrix; of many layers the first kind only."""
_NEIGHBOURS = {"fast": 4_000, "full": 10_000}
"""Showers per sample whose nearest neighbours are searched; the time grows with the square."""


@final
class Assembly:
    """The pieces of one evaluation, in the order in which they are made.

    Args:
        generated: The showers in question.
        reference: The showers that are right.
        second: More right showers, for the floor.
        training: The showers that trained the model, if they are at hand.
        settings: Level, seed, trainings.
        pieces: Where finished ones are kept.
    """

    def __init__(
        self,
        generated: Sample,
        reference: Sample,
        second: Sample | None,
        training: Sample | None = None,
        *,
        settings: EvaluationSettings,
        pieces: Pieces,
    ) -> None:
        self._generated, self._reference, self._second = generated, reference, second
        self._training = training
        self._settings, self._pieces = settings, pieces

    @property
    def _steps(self) -> list[tuple[str, str, Callable[[], Any]]]:
        """Name, title for a progress bar, and function of every piece but the classifiers."""
        return [
            ("features", "features", self._features),
            ("average_showers", "average showers", self._average_showers),
            ("shapes", "profiles", self._profiles),
            ("energy_slices", "slices of energy", self._energy_slices),
            ("voxel_correlations", "correlations of voxels", self._voxel_correlations),
            ("groups", "groups of features", self._groups),
            ("correlations", "correlations", self._correlations),
            ("challenge", "CaloChallenge's histograms", self._challenge),
            ("single_voxels", "single voxels", self._single_voxels),
            ("distances", "FPD, KPD", self._distances),
            ("prdc", "precision, recall", self._prdc),
            ("copies", "copies", self._copies),
            ("neighbours", "nearest neighbours", self._neighbours),
            ("single_showers", "single showers", lambda: single_showers(self._generated, self._reference)),
        ]

    def run(self, on_step: OnStep) -> dict[str, Any]:
        """Make all pieces; ``on_step`` is told the title, the number done, and of how many."""
        tests = ClassifierTests(
            self._showers,
            self._second_showers,
            geometry=self._reference.geometry,
            threshold=self._reference.threshold,
            settings=self._settings,
            folder=self._pieces.folder / CLASSIFIERS,
        )
        total, report = len(self._steps) + len(tests.configs), {}
        for number, (name, title, make) in enumerate(self._steps):
            on_step(title, number, total)
            report[name] = self._pieces.get(name, self._key(name), functools.partial(_or_reason, make))
        done = len(self._steps)
        report["classifiers"] = [
            self._pieces.get(
                f"classifier-{name}",
                self._key(config),
                functools.partial(tests.run, name, _from(on_step, done + k, total)),
            )
            for k, (name, config) in enumerate(tests.configs.items())
        ]
        return report

    def _key(self, what: Any) -> Any:
        samples = (self._generated, self._reference, self._second, self._training)
        settings = self._settings
        return [
            what,
            __version__,
            [sample and sample.fingerprint for sample in samples],
            settings.seed,
            settings.level,
            settings.trainings,
        ]

    @functools.cache  # noqa: B019 - lives as long as the evaluation
    def _showers(self) -> tuple[Showers, Showers]:
        seed = self._settings.seed
        return _load(self._generated, seed), _load(self._reference, seed)

    @functools.cache  # noqa: B019
    def _second_showers(self) -> Showers | None:
        return None if self._second is None else _load(self._second, self._settings.seed)

    @functools.cached_property
    def _statistics(self) -> tuple[SampleStatistics, SampleStatistics]:
        one, other = (
            sample_statistics(sample.chunks(), threshold=sample.threshold)
            for sample in (self._generated, self._reference)
        )
        return one, other

    def _matrices(
        self, names: Sequence[str] | None = None
    ) -> tuple[Float[np.ndarray, "n F"], Float[np.ndarray, "m F"]]:
        """Features as columns, all by default."""
        generated, reference = self._statistics
        return generated.matrix(names), reference.matrix(names)

    def _features(self) -> Any:
        rows = plain(compare(*self._statistics, seed=self._settings.seed))
        generated, reference = self._matrices()
        names = [feature.name for feature in self._statistics[1].features]
        found = feature_distances(
            generated, reference, names=names, seed=self._settings.seed, draws=_draws(len(names))
        )
        for row, distance in zip(rows, plain(found), strict=True):
            row["distances"] = distance
        return rows

    def _average_showers(self) -> Any:
        return {
            name: {
                "n_showers": found.n_showers,
                "mean": found.average.mean,
                "error": found.average.error,
            }
            for name, found in zip(("generated", "reference"), self._statistics, strict=True)
        }

    def _profiles(self) -> Any:
        """Longitudinal and radial profile, and the spectrum of voxel energies."""
        generated, reference = self._statistics
        return {
            "profiles": [
                profile_pair(getattr(generated, name), getattr(reference, name))
                for name in ("longitudinal", "radial")
            ],
            "voxel_spectrum": spectrum_pair(generated.spectrum, reference.spectrum),
        }

    def _energy_slices(self) -> Any:
        generated, reference = self._statistics
        return energy_slices(generated.features, reference.features, generated.e_inc, reference.e_inc)

    def _voxel_correlations(self) -> Any:
        generated, reference = self._statistics
        return compare_voxel_correlations(generated.voxel_correlations, reference.voxel_correlations)

    def _groups(self) -> Any:
        generated, reference = self._showers()
        return group_tests(
            generated,
            reference,
            groups=sorted({feature.group for feature in self._statistics[1].features}),
            threshold=self._reference.threshold,
            seed=self._settings.seed,
        )

    def _correlations(self) -> Any:
        labels = {feature.name: feature.label for feature in self._statistics[1].features}
        names = correlated_features(list(labels))
        found = compare_correlations(*self._matrices(names), names=names)
        return {"result": found, "labels": [labels[name] for name in names]}

    def _challenge(self) -> Any:
        """The challenge's own histograms; that of the voxels for its data sets only, as it takes a pass of its own."""
        generated, reference = self._statistics
        voxels = None
        if challenge_data_set(reference.geometry) is not None:
            edges = challenge_voxel_edges(reference)
            one, other = (
                voxel_spectrum(sample.chunks(), edges, threshold=sample.threshold)
                for sample in (self._generated, self._reference)
            )
            voxels = one, other
        found = challenge_comparison(generated, reference, voxels=voxels, seed=self._settings.seed)
        return {"histograms": found, "metrics": separations(found)}

    def _single_voxels(self) -> Any:
        """Which voxel differs most, and which defect of one voxel would be seen; a pass of its own over all showers."""
        samples = (self._generated, self._reference)
        lowest = min(float(sample.e_inc.min()) for sample in samples)
        highest = max(float(sample.e_inc.max()) for sample in samples)
        found = compare_voxels(
            *(
                voxel_sums(sample.chunks(), e_inc_range=(lowest, highest), threshold=sample.threshold)
                for sample in samples
            )
        )
        per_voxel = ("hits", "share", "energy", "visible_factor")
        kept = {f.name: getattr(found, f.name) for f in dataclasses.fields(found) if f.name not in per_voxel}
        return kept | {"n_voxels": len(found.hits), "differs": found.differs}

    def _distances(self) -> Any:
        generated, reference = (challenge_features(sample) for sample in self._statistics)
        draws = _draws(generated.shape[1])
        return {
            "inputs": f"the {generated.shape[1]} inputs of the CaloChallenge's high-level classifier",
            "settings": {
                name: {
                    "fpd": frechet_physics_distance(generated, reference, settings=name, draws=draws),
                    "kpd": kernel_physics_distance(generated, reference, settings=name),
                }
                for name in PHYSICS_DISTANCE_SETTINGS
            },
        }

    def _prdc(self) -> Any:
        """Against the reference, and the same number of right showers against it: their numbers are the goal."""
        seed = self._settings.seed
        generated, reference = self._showers()
        if (right := self._second_showers()) is None:
            order = np.random.default_rng(derive_seed(seed, "halves")).permutation(len(reference))
            reference, right = reference[order[::2]], reference[order[1::2]]
        n = min(len(generated), len(right), _NEIGHBOURS[self._settings.level])
        judge = functools.partial(shower_prdc, max_showers=n, seed=seed)
        return {
            "result": judge(generated, reference),
            "floor": judge(right, reference),
            "halves": self._second is None,
        }

    def _neighbours(self) -> Any:
        generated, reference = self._showers()
        nearest = nearest_showers(generated, reference, e_inc=target_energies(generated.e_inc))
        return {
            "pairs": [
                {
                    "e_inc_MeV": asked,
                    "distance_MeV": distance,
                    "generated": sparse_shower(generated, mine),
                    "reference": sparse_shower(reference, theirs),
                }
                for asked, mine, theirs, distance in zip(
                    nearest.asked_e_inc.tolist(),
                    nearest.generated_index[:, 0].tolist(),
                    nearest.reference_index[:, 0].tolist(),
                    nearest.distance[:, 0].tolist(),
                    strict=True,
                )
            ]
        }

    def _copies(self) -> Any:
        found = check_copies(
            *self._showers(),
            None if self._training is None else self._training.chunks(),
            max_showers=_NEIGHBOURS[self._settings.level],
            seed=self._settings.seed,
        )
        return copy_facts(found)


def correlated_features(names: list[str]) -> list[str]:
    """Features of a correlation matrix that can be read: those of whole showers and a few kinds of each layer.

    Example:
        >>> correlated_features(["e_ratio", "e_layer_0", "centroid_x_0", "e_layer_1"])
        ['e_ratio', 'e_layer_0', 'e_layer_1']
    """
    layers = [name for name in names if name.startswith("e_layer_")]
    kinds = _CORRELATED if len(layers) <= _FEW_LAYERS else _CORRELATED[:1]
    chosen = [name for name in names if name.rpartition("_")[0] in kinds]
    whole = [name for name in names if not name.rpartition("_")[2].isdigit()]
    return whole[:_MAX_WHOLE] + chosen[: max(_MAX_LAYERS, len(kinds) * _FEW_LAYERS)]


def _draws(n_features: int) -> int:
    """Bootstrap samples behind errors and floors: of hundreds of features fewer, as each takes long."""
    return 100 if n_features <= 100 else 25


def _from(on_step: OnStep, done: int, total: int) -> Callable[[str, float], None]:
    return lambda title, part: on_step(title, done + part, total)


def _or_reason(make: Callable[[], Any]) -> Any:
    """The piece; what samples of this size or kind cannot give is left out, with the reason."""
    try:
        return make()
    except ValueRangeError as err:
        return {"left_out": str(err)}


def memory_notes(samples: Sequence[Sample]) -> list[str]:
    """A sentence for each sample that is too large to be held in memory whole."""
    return [
        f"Of the {len(sample):,} {sample.role} showers {limit:,}, drawn at random, are used where single showers are "
        "needed (classifiers, precision, neighbours); features, profiles and averages use all."
        for sample in samples
        if len(sample) > (limit := _limit(sample))
    ]


def _limit(sample: Sample) -> int:
    return _MAX_BYTES // (4 * sample.geometry.n_voxels)


def _load(sample: Sample, seed: int) -> Showers:
    return sample.load(_limit(sample), seed=derive_seed(seed, "in memory", sample.role))
