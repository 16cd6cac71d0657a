"""Copies in a report: as plain data, and in words for the first screen and for ``compare``."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from caloforge.evaluation.copies import COPY, LIKE_ENERGY, CopyCheck, CopyChecks
from caloforge.report.formatting import sig

__all__ = ["copy_alarms", "copy_facts", "copy_note", "copy_words"]

_ALARMS = {
    "training": "copies of training showers: {share}",
    "reference": "copies of reference showers: {share}",
    "generated": "they repeat themselves: {share} have a twin",
}
_SHORT = _ALARMS | {"generated": "repeats itself: {share}"}


def copy_facts(found: CopyChecks) -> dict[str, Any]:
    """Shares and histograms of the distances; copies of an original to the last digit are in the first bin."""
    checks = {name: check for name in _ALARMS if (check := getattr(found, name)) is not None}
    curves = {"reference_to_reference": found.reference.reference}
    curves |= {f"generated_to_{name}": check.generated for name, check in checks.items()}
    values = np.concatenate(list(curves.values()))
    edges = np.geomspace(0.01, max(1.001 * float(np.quantile(values, 0.999)), 2 * COPY), 41)
    return {
        "checks": {name: _check_facts(check) for name, check in checks.items()},
        "n_showers": len(found.reference.generated),
        "n_not_judged": found.reference.n_not_judged,
        "copy": COPY,
        "like_energy": LIKE_ENERGY,
        "histogram": {
            "edges": edges,
            "counts": {
                name: np.histogram(np.clip(v, edges[0], edges[-1]), edges)[0] for name, v in curves.items()
            },
        },
    }


def _check_facts(check: CopyCheck) -> dict[str, Any]:
    return {
        "n_originals": check.n_originals,
        "median": np.median(check.generated),
        "reference_median": np.median(check.reference),
        "copies": check.copies,
        "copies_error": check.copies_error,
        "natural": check.natural,
        "alarm": check.alarm,
    }


def copy_alarms(report: Mapping[str, Any]) -> list[str]:
    """What no classifier says, in words that can follow a "but"."""
    return _alarmed(report, _ALARMS)


def copy_words(report: Mapping[str, Any]) -> str | None:
    """Whether a sample copies, in few words; ``None`` where that could not be looked at."""
    if not (checks := _checks(report)):
        return None
    if found := _alarmed(report, _SHORT):
        return ", ".join(found)
    return "no copies" if "training" in checks else "no copies (training showers not compared)"


def copy_note(report: Mapping[str, Any]) -> str:
    """What was compared, for beside :func:`copy_words`."""
    if copy_alarms(report):
        return "no other number of this page sees it"
    if "training" in _checks(report):
        return "of training or reference showers, or of each other"
    if (report.get("training") or {}).get("status") == "none":
        return "of reference showers or of each other; no model was trained"
    return "of reference showers or of each other; training showers were not compared"


def _alarmed(report: Mapping[str, Any], words: Mapping[str, str]) -> list[str]:
    checks = _checks(report)
    return [
        text.format(share=f"{sig(100 * checks[name]['copies'], 2)} %")
        for name, text in words.items()
        if name in checks and checks[name]["alarm"]
    ]


def _checks(report: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (report.get("copies") or {}).get("checks") or {}
    return found
