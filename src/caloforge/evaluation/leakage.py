"""Whether the reference showers of an evaluation were in the training of the model that it judges.

A model that has seen them can repeat them, and every metric would call that perfect. Generated showers carry what
their model was trained on (``trained_on`` in their provenance): file name, range, a fingerprint of the
whole, and the digests of some showers spread over it, so that the same showers are found in a file of another name,
order or layout.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np

from caloforge.errors import LeakageWarning, SameSampleError
from caloforge.io.digests import sample_fingerprint, shower_digests
from caloforge.showers import Showers

__all__ = ["LeakageReport", "check_leakage"]

_MISSED = 1e-3


@final
@dataclass(frozen=True, kw_only=True)
class LeakageReport:
    """What is known about reference showers in the training; plain data."""

    status: Literal["independent", "leak", "unknown"]
    message: str
    """One or two sentences for people."""
    n_spots: int
    """Digests of training showers that could be looked for."""
    n_found: int
    """Of these, how many the reference has."""
    trained_on: dict[str, Any] | None
    """Training data as the generated showers name them, without the digests."""


def check_leakage(
    provenance: Mapping[str, Any],
    reference: Showers | Iterable[Showers],
    *,
    file: str | Path | None = None,
    start: int = 0,
    allow: bool = False,
) -> LeakageReport:
    """Refuse a reference whose showers trained the model; warn where it cannot be known.

    Args:
        provenance: Of the generated showers; ``trained_on`` in it says what their model has seen.
        reference: The reference showers as they are in their file, best without a threshold, at once or in parts.
        file: File that they are from; its name is compared.
        start: Where in the file they begin.
        allow: Warn about a leak instead of raising.

    Returns:
        What was found. ``"independent"`` can rest on digests of the showers, or on file names and ranges alone; the
        message says which.

    Raises:
        SameSampleError: Reference showers were in training, and ``allow`` is false.

    Warns:
        LeakageWarning: Nobody can know, or ``allow`` is true and there is a leak.
    """
    trained_on = provenance.get("trained_on")
    if not isinstance(trained_on, Mapping) or not trained_on:
        report = _without_facts(provenance)
    else:
        report = _compare(trained_on, reference, name=None if file is None else Path(file).name, start=start)
    if report.status == "leak" and not allow:
        raise SameSampleError(
            f"{report.message} A model can repeat what it has seen, so the result would mean nothing. Give showers "
            "that were not in training, or accept it (--allow-leakage, allow=True)."
        )
    if report.status != "independent":
        warnings.warn(report.message, LeakageWarning, stacklevel=2)
    return report


def _without_facts(provenance: Mapping[str, Any]) -> LeakageReport:
    """Of showers that name no training: simulated ones have none."""
    attributes = provenance.get("attributes")
    known = {**(attributes if isinstance(attributes, Mapping) else {}), **provenance}
    if "geant4" in known or str(known.get("generator", "")).lower() == "geant4":
        return LeakageReport(
            status="independent",
            message="The showers in question say that they are simulated, so no model was trained.",
            n_spots=0,
            n_found=0,
            trained_on=None,
        )
    return LeakageReport(
        status="unknown",
        message="The generated showers do not say what their model was trained on; make sure that the reference "
        "showers were not part of it.",
        n_spots=0,
        n_found=0,
        trained_on=None,
    )


def _compare(
    trained_on: Mapping[str, Any], reference: Showers | Iterable[Showers], *, name: str | None, start: int
) -> LeakageReport:
    spots = {spot for spot in _sequence(trained_on.get("spots")) if isinstance(spot, str) and spot}
    parts = [reference] if isinstance(reference, Showers) else reference
    n_reference, found = 0, set()
    energies: list[tuple[np.ndarray, np.ndarray]] = []
    for part in parts:
        n_reference += len(part)
        if spots:
            found |= spots.intersection(shower_digests(part))
        energies.append((part.e_inc.astype(np.float64), part.e_dep))
    facts = {key: value for key, value in trained_on.items() if key != "spots"}
    first, last = _whole(trained_on.get("start")), _whole(trained_on.get("stop"))
    what = f"showers {first} to {last} of {trained_on.get('file')}"

    def report(status: Literal["independent", "leak", "unknown"], message: str) -> LeakageReport:
        return LeakageReport(
            status=status, message=message, n_spots=len(spots), n_found=len(found), trained_on=facts
        )

    if found:
        share = f"{len(found)} of {len(spots)} training showers that are known by their digest"
        return report("leak", f"Reference showers trained the model: the reference has {share} ({what}).")
    if first is None or last is None or last <= first:
        return report("unknown", "The generated showers do not say which showers trained their model.")
    shared = (
        max(0, min(last, start + n_reference) - max(first, start)) if trained_on.get("file") == name else 0
    )
    if spots and (not shared or (1 - shared / (last - first)) ** len(spots) < _MISSED):
        bound = 1 - 0.05 ** (1 / len(spots))
        return report(
            "independent",
            f"None of {len(spots)} training showers known by their digest is in the reference, so at most "
            f"{100 * bound:.1f} % of the training showers are (95 % confidence).",
        )
    if shared:
        return report(
            "leak", f"By file name and range, {shared:,} reference showers trained the model ({what})."
        )
    if _has_all(energies, first, last, start, trained_on.get("fingerprint")):
        return report(
            "leak", f"The reference holds all training showers of the model ({what}), by their fingerprint."
        )
    if name is not None and trained_on.get("file") == name:
        return report(
            "independent", f"By file name and range no reference shower trained the model ({what})."
        )
    return report(
        "unknown",
        f"The model was trained on {what}; whether the reference{'' if name is None else f' {name}'} holds some "
        "of them under another name cannot be known.",
    )


def _has_all(
    energies: list[tuple[np.ndarray, np.ndarray]], first: int, last: int, start: int, fingerprint: object
) -> bool:
    """Whether the training sample lies in the reference, at its place in the file or at the reference's beginning."""
    if not energies:
        return False
    e_inc, e_dep = (np.concatenate(columns) for columns in zip(*energies, strict=True))
    places = {first - start, 0}
    slices = [slice(place, place + last - first) for place in places if place >= 0]
    return any(
        len(e_inc[where]) == last - first and sample_fingerprint(e_inc[where], e_dep[where]) == fingerprint
        for where in slices
    )


def _sequence(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
