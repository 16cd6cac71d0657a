"""Every number of a report, piece by piece."""

import functools
from collections.abc import Callable
from typing import Any, final

from caloforge.evaluation import average_shower, compare
from caloforge.report.pieces import Pieces
from caloforge.report.samples import Sample
from caloforge.report.settings import EvaluationSettings
from caloforge.report.single_showers import single_showers
from caloforge.showers import Showers

__all__ = ["Assembly"]


@final
class Assembly:
    """The pieces of one evaluation, in the order in which they are made.

    Args:
        generated: The showers in question.
        reference: The showers that are right.
        second: More right showers, for the floor.
        settings: Level, seed, trainings.
        pieces: Where finished ones are kept.
    """

    def __init__(
        self,
        generated: Sample,
        reference: Sample,
        second: Sample | None,
        *,
        settings: EvaluationSettings,
        pieces: Pieces,
    ) -> None:
        self._generated, self._reference, self._second = generated, reference, second
        self._settings, self._pieces = settings, pieces

    def steps(self) -> list[tuple[str, str, Callable[[], Any]]]:
        """Name, title for a progress bar, and function of every piece that this level has."""
        return [
            ("features", "features", self._features),
            ("average_showers", "average showers", self._average_showers),
            ("single_showers", "single showers", self._single_showers),
        ]

    def run(self, on_step: Callable[[str, int, int], None]) -> dict[str, Any]:
        """Make all pieces; ``on_step`` is told the title, the number done, and of how many."""
        steps = self.steps()
        report = {}
        for number, (name, title, make) in enumerate(steps):
            on_step(title, number, len(steps))
            report[name] = self._pieces.get(name, self._key(name), make)
        return report

    def _key(self, name: str) -> Any:
        samples = (self._generated, self._reference, self._second)
        return [name, [sample and sample.fingerprint for sample in samples], self._settings.seed]

    @functools.cached_property
    def _showers(self) -> tuple[Showers, Showers]:
        return self._generated.load(), self._reference.load()

    def _features(self) -> Any:
        return compare(*self._showers, seed=self._settings.seed)

    def _average_showers(self) -> Any:
        averages = (average_shower(showers) for showers in self._showers)
        return {
            name: {"n_showers": found.n_showers, "mean": found.mean, "error": found.error}
            for name, found in zip(("generated", "reference"), averages, strict=True)
        }

    def _single_showers(self) -> Any:
        return single_showers(self._generated, self._reference)
