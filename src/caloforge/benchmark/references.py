"""The Geant4 samples that models are compared with."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from caloforge.benchmark.cells import geant4_job
from caloforge.benchmark.settings import BenchmarkSettings
from caloforge.benchmark.subjects import Subject
from caloforge.errors import ConfigError
from caloforge.simulation import why_not_simulatable

__all__ = ["geant4_arguments", "plan_geant4"]

_PHYSICS: Final = "FTFP_BERT"
_CUT: Final = 0.7
"""mm, where the weights do not say; as ``caloforge simulate``."""


def plan_geant4(
    subjects: Iterable[Subject], settings: BenchmarkSettings
) -> tuple[list[dict[str, Any]], list[str]]:
    """One sample per calorimeter, particle and spectrum, with the ``models`` that it is for.

    Returns:
        The samples, checked, and notes about models that have none.

    Raises:
        CaloForgeError: Geant4 or its data are missing, a name is not known, or no model has a sample.
    """
    samples: list[dict[str, Any]] = []
    problems = []
    for subject in sorted(subjects, key=lambda subject: subject.particle is None):
        particle = subject.particle or settings.particle
        same = [known for known in samples if known["geometry"] == subject.geometry.to_dict()]
        if problem := _problem(subject, particle, same=bool(same)):
            problems.append(problem)
            continue
        sample = {
            "particle": particle,
            "geometry": subject.geometry.to_dict(),
            "e_inc_range": list(subject.e_inc_range),
            "physics": settings.physics or subject.physics or _PHYSICS,
            "production_cut": subject.production_cut or _CUT,
        }
        # An untrained network has no particle of its own: any sample of its calorimeter will do.
        fitting = [known for known in same if particle is None or _close(known, sample)]
        if fitting:
            fitting[0]["models"].append(subject.name)
            continue
        job = geant4_job(
            **geant4_arguments(sample, settings) | {"geometry": subject.geometry}, output=Path("geant4.h5")
        )
        job.check()
        samples.append(sample | {"models": [subject.name]})
    if not samples:
        raise ConfigError(" ".join(problems))
    return samples, problems


def geant4_arguments(sample: dict[str, Any], settings: BenchmarkSettings) -> dict[str, Any]:
    """What determines a sample, as JSON types."""
    data = settings.geant4_data
    return {key: value for key, value in sample.items() if key != "models"} | {
        "n_showers": settings.geant4_showers,
        "seed": settings.seed,
        "geant4_data": None if data is None else str(data.absolute()),
    }


def _problem(subject: Subject, particle: str | None, *, same: bool) -> str | None:
    """Why there is no sample for a model."""
    if reason := why_not_simulatable(subject.geometry):
        return (
            f"{subject.name} has no Geant4 row: its calorimeter {subject.geometry.name!r} cannot be simulated, "
            f"as it has {reason}."
        )
    if particle is None and not same:
        return f"{subject.name} does not say which particle it is for, so it has no Geant4 row; say it: --particle e+."
    return None


def _close(known: dict[str, Any], sample: dict[str, Any]) -> bool:
    """The same showers but for a per cent of the spectrum's limits, which a training sample hardly reaches."""
    if any(known[key] != sample[key] for key in ("particle", "physics", "production_cut")):
        return False
    pairs = zip(known["e_inc_range"], sample["e_inc_range"], strict=True)
    return all(abs(a - b) <= 0.01 * max(a, b) for a, b in pairs)
