"""The showers that trained the model in question: as given, or where its showers say that they are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np

from caloforge.errors import CaloForgeError
from caloforge.evaluation.leakage import LeakageReport
from caloforge.io.digests import sample_fingerprint, shower_digests
from caloforge.report.samples import Sample, check_independent
from caloforge.showers import Showers

__all__ = ["TrainingShowers", "find_training"]

_CAUTION = "so copies of them would not be seen; give them by --training FILE[START:STOP]"


@final
@dataclass(frozen=True, kw_only=True)
class TrainingShowers:
    """What copies are searched among, and how it was found."""

    sample: Sample | None
    status: Literal["given", "other", "found", "none", "missing", "unknown", "in the reference"]
    """``"other"``: given, but not those that the generated showers name; ``"none"``: no model was trained;
    ``"missing"``: known, but not at hand."""
    message: str
    """A sentence for people."""

    @property
    def caution(self) -> str | None:
        """The message, where it limits what the report can say."""
        return None if self.status in ("given", "found", "none") else self.message


def find_training(
    given: str | Path | Showers | None,
    generated: Sample,
    reference: Sample,
    leakage: LeakageReport,
    find: Callable[..., Sample],
    *,
    allow_leakage: bool,
) -> TrainingShowers:
    """The training showers to compare with.

    Args:
        given: As the user gives them; they are taken, even if they are others than the generated showers name.
        generated: The showers in question.
        reference: The reference; a file of the name that is asked for is looked for beside it, beside
            ``generated``, and in the current folder.
        leakage: What is known of the training.
        find: Opens a sample; takes a source and ``role``.
        allow_leakage: Do without a comparison, instead of an error, if the reference holds training showers.

    Raises:
        SameSampleError: Showers given here are in the reference, too.
        CaloForgeError: A given file cannot be read or is of another calorimeter.
    """
    if given is not None:
        return _given(given, generated, reference, leakage, find, allow_leakage=allow_leakage)
    if leakage.status == "leak":
        return _in_reference()
    facts = leakage.trained_on
    if facts is None:
        if leakage.status == "independent":
            return TrainingShowers(
                sample=None,
                status="none",
                message="The showers in question are simulated, so there are no training showers to copy.",
            )
        return TrainingShowers(
            sample=None, status="unknown", message=f"Training showers were not compared, {_CAUTION}."
        )
    return _named(facts, generated, reference, find)


def _given(
    given: str | Path | Showers,
    generated: Sample,
    reference: Sample,
    leakage: LeakageReport,
    find: Callable[..., Sample],
    *,
    allow_leakage: bool,
) -> TrainingShowers:
    sample = find(given, role="training")
    reference.geometry.require_same_voxels(
        sample.geometry, mine="The reference sample", theirs="the training one"
    )
    if check_independent(reference, sample, allow_shared=allow_leakage):
        return _in_reference()
    what = f"{sample.name}, showers {sample.start} to {sample.stop}"
    message = f"Copies were searched among training showers as given: {what}."
    known = generated.provenance.get("trained_on")
    if leakage.trained_on and isinstance(known, Mapping) and not _holds(sample, known):
        message += f" They are others than the generated showers name ({_words(leakage.trained_on)})."
        return TrainingShowers(sample=sample, status="other", message=message)
    return TrainingShowers(sample=sample, status="given", message=message)


def _in_reference() -> TrainingShowers:
    return TrainingShowers(
        sample=None,
        status="in the reference",
        message="Training showers were not compared, as some are in the reference, which cannot say then what "
        "distances are natural.",
    )


def _named(
    facts: Mapping[str, Any], generated: Sample, reference: Sample, find: Callable[..., Sample]
) -> TrainingShowers:
    name, start, stop = facts.get("file"), facts.get("start"), facts.get("stop")
    others = 0
    known = generated.provenance["trained_on"]
    if isinstance(name, str) and name and isinstance(start, int) and isinstance(stop, int):
        for path in _places(Path(name).name, generated, reference):
            try:
                sample = find(path, role="training", start=start, stop=stop)
                same = sample.geometry.same_voxels(reference.geometry) and _holds(sample, known)
            except (CaloForgeError, OSError):
                same = False
            if same:
                return TrainingShowers(
                    sample=sample,
                    status="found",
                    message=f"Copies were searched among the training showers that the generated ones name: {path}, "
                    f"showers {start} to {stop}.",
                )
            others += 1
    where = "a file of that name holds other showers" if others else "that file is not at hand"
    return TrainingShowers(
        sample=None,
        status="missing",
        message=f"The model was trained on {_words(facts)}; {where}. Training showers were not compared, {_CAUTION}.",
    )


def _words(facts: Mapping[str, Any]) -> str:
    return f"showers {facts.get('start')} to {facts.get('stop')} of {facts.get('file')}"


def _places(name: str, *samples: Sample) -> list[Path]:
    folders = [sample.source.parent for sample in samples if isinstance(sample.source, Path)]
    found = {(folder / name).resolve(): folder / name for folder in [*folders, Path()]}
    return [path for path in found.values() if path.is_file()]


def _holds(sample: Sample, trained_on: Mapping[str, Any]) -> bool:
    """Whether a sample is what a model says it was trained on: the same energies, or all showers that it names."""
    spots = {spot for spot in trained_on.get("spots") or () if isinstance(spot, str) and spot}
    e_inc, e_dep, found = [], [], set[str]()
    for part in sample.raw_chunks():
        e_inc.append(part.e_inc)
        e_dep.append(part.e_dep)
        found |= spots.intersection(shower_digests(part)) if spots else set()
    fingerprint = sample_fingerprint(np.concatenate(e_inc), np.concatenate(e_dep))
    return fingerprint == trained_on.get("fingerprint") or (bool(spots) and found == spots)
