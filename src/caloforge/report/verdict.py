"""The result in words: how distinguishable a sample is, and where it fails."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from caloforge.evaluation.same_physics import physics_difference
from caloforge.report.classifier_tests import standard_error
from caloforge.report.copies import copy_alarms, copy_note, copy_words
from caloforge.report.feature_groups import ranked_groups
from caloforge.report.formatting import auc, pm, sig
from caloforge.report.naming import reference_name
from caloforge.report.spectra import other_energies

__all__ = ["distinguishable", "single_voxel_words", "verdict"]

_N_WORST = 6
_BLIND: Final = 0.1
"""A difference in AUC that is too large to be missed by a test that says there is none."""
_SMALL: Final = 1000
"""Showers per class below which the first screen says what could be seen at all."""
_EQUAL: Final = "not distinguishable from"
_WORDS: Final = (
    (0.55, "almost impossible to tell from"),
    (0.65, "hard to tell from"),
    (0.80, "distinguishable from"),
    (0.95, "clearly distinguishable from"),
    (1.01, "easily told apart from"),
)
"""Upper end of the AUC, and what to call it."""


_PRAISED: Final = 0.65
"""A headline with a smaller AUC sounds like praise, which other findings must limit."""


def distinguishable(auc: float, error: float, floor: float, floor_error: float) -> str:
    """Words for an AUC beside its floor.

    Args:
        auc: Mean AUC of the generated against the reference sample.
        error: Its standard error.
        floor: The AUC of two reference samples; 0.5 where it was not measured.
        floor_error: Its standard error.

    Example:
        >>> distinguishable(0.51, 0.01, 0.50, 0.01), distinguishable(0.72, 0.01, 0.50, 0.01)
        ('not distinguishable from', 'distinguishable from')
    """
    if auc - floor <= 2 * math.hypot(error, floor_error):
        return _EQUAL
    return next(words for limit, words in _WORDS if auc < limit)


def verdict(report: Mapping[str, Any]) -> dict[str, Any]:
    """Headline, sentences and the few facts of the first screen, from the other entries of a report."""
    rows = sorted(report["features"], key=lambda row: row["floor_95"] - row["separation"])
    failing = [row for row in rows if row["separation"] > row["floor_95"]]
    tests = report.get("classifiers") or []
    strongest = max(tests, key=_excess, default=None)
    alarms = copy_alarms(report)
    name = reference_name(report["samples"]["reference"]["provenance"])
    sentences, told_apart = [], True
    if strongest is None:
        headline = f"{len(failing)} of {len(rows)} features differ from {name}."
    else:
        headline, sentence, told_apart = _of_classifier(strongest, name)
        sentences.append(sentence)
    praised = strongest is None or strongest["result"]["auc"] < _PRAISED
    voxels = single_voxel_words(report)
    if praised and voxels:
        alarms.append("single voxels differ")
    value = (
        None
        if strongest is None
        else f"AUC {auc(strongest['result']['auc'], strongest['result']['auc_spread'])}"
    )
    if (unlike := other_energies(report, name, value)) is not None:
        headline, praised, told_apart = unlike, False, True
    if alarms:
        headline = f"{headline.removesuffix('.')}; {'but' if praised else 'and'} {' and '.join(alarms)}."
    elif strongest is not None and praised and len(failing) > len(rows) / 2:
        headline = f"{headline.removesuffix('.')}; but most features differ."
    if told_apart and (words := _of_physics(report)):
        headline = f"{headline.removesuffix('.')}; {words}."
    groups = ranked_groups(report, name)
    sentences += _of_groups(groups)
    sentences.append(_of_features(failing, len(rows)))
    if voxels:
        sentences.append(voxels)
    if strongest is not None and not praised:
        sentences += _despite(report)
    return {
        "headline": headline,
        "groups": groups,
        "sentences": sentences,
        "worst_features": [row["name"] for row in failing[:_N_WORST]],
        "n_features": len(rows),
        "n_failing": len(failing),
        "facts": _facts(report, strongest),
    }


def _of_groups(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which group is farthest off, and its numbers."""
    differing = [group for group in groups if group["differs"]]
    return [
        f"It is farthest off in {worst['group']} (AUC {auc(worst['auc'], None)}): {worst['words']}."
        for worst in differing[:1]
    ]


def _despite(report: Mapping[str, Any]) -> list[str]:
    """Why other numbers may look good although a classifier tells the samples apart."""
    good = []
    if settings := (report.get("distances") or {}).get("settings"):
        row = settings["calochallenge"]["fpd"]
        if row["floor"] is not None and row["value"] < 2 * row["floor"]:
            good.append("FPD looks at energies, centres and widths only")
    found = (report.get("prdc") or {}).get("result")
    if found and found["coverage"] > 0.95 * found["coverage_expected"]:
        good.append("coverage at distances between whole showers, which a few bright voxels decide")
    return [f"That other numbers are good is no contradiction: {' and '.join(good)}."] if good else []


def _excess(test: Mapping[str, Any]) -> float:
    """AUC over its floor: for some data sets even two Geant4 samples are not at 0.5."""
    return test["result"]["auc"] - (0.5 if test["floor"] is None else test["floor"]["auc"])


def _of_physics(report: Mapping[str, Any]) -> str | None:
    """That the samples have different physics, which can explain why they are told apart."""
    samples = report["samples"]
    if "generated" not in samples:
        return None
    found = physics_difference(*(samples[role]["provenance"] for role in ("generated", "reference")))
    return f"but {found.clause}" if found is not None and found.matters else None


def _of_classifier(test: Mapping[str, Any], name: str) -> tuple[str, str, bool]:
    """Headline, sentence, and whether the samples are told apart at all."""
    result, floor = test["result"], test["floor"]
    at_chance = (0.5, 0.0) if floor is None else (floor["auc"], standard_error(floor))
    words = distinguishable(result["auc"], standard_error(result), *at_chance)
    resolution = 2 * math.hypot(standard_error(result), at_chance[1])
    value = f"AUC {auc(result['auc'], result['auc_spread'])}"
    headline = f"The generated showers are {words} {name}: {value}."
    told_apart = words != _EQUAL
    if resolution > _BLIND and not told_apart:
        headline = f"Too few showers to tell whether the generated ones differ from {name}: {value}."
    against = (
        "no second reference was given, so the floor is taken to be 0.5"
        if floor is None
        else f"two reference samples give {auc(floor['auc'], floor['auc_spread'])}"
    )
    n = result["n_train"] + result["n_selection"] + result["n_test"]
    sentence = (
        f"The strongest test ({test['title']}, {n:,} showers per class, {len(result['aucs'])} trainings) ranks a "
        f"reference shower above a generated one in {100 * result['auc']:.0f} of 100 pairs; 50 would be guessing, "
        f"{against}."
    )
    if n < _SMALL and resolution > 0:
        sentence += " " + _of_small_samples(n, at_chance[0] + resolution)
    elif resolution > 0:
        sentence += f" At this size a difference in AUC below {sig(resolution, 1)} would not be seen."
    return headline, sentence, told_apart


def _of_small_samples(n: int, lowest: float) -> str:
    """What could be seen at all.

    Args:
        n: Showers per class.
        lowest: Smallest AUC that is two standard errors above the floor.
    """
    seen = (
        f"no AUC below {sig(lowest, 2)} could be told from the floor"
        if lowest < 1
        else "not even samples that are told apart every time could be told from equal ones"
    )
    return (
        f"With only {n:,} showers per class {seen}; and a classifier that learns from so few finds less than one that "
        "learns from thousands, so its AUC is a lower limit of what is there."
    )


def single_voxel_words(report: Mapping[str, Any]) -> str | None:
    """A sentence on the voxel that differs most; ``None`` where chance explains it, or where that was not looked at.

    Args:
        report: Its entries ``single_voxels`` and ``samples`` are read.
    """
    found = report.get("single_voxels") or {}
    if not found.get("differs"):
        return None
    worst, name = found["worst"][0], reference_name(report["samples"]["reference"]["provenance"])
    if worst["quantity"] == "hits":
        mine, right = (f"{sig(100 * rate, 3)} %" for rate in worst["hit_rate"])
        what = f"is hit in {mine} of the showers ({right} in {name})"
    elif worst["quantity"] == "share":
        mine, right = (f"{sig(energy, 3)} MeV" for energy in worst["mean_energy_MeV"])
        what = f"has {mine} on average ({right} in {name})"
    else:
        factor = pm(worst["energy_factor"], worst["energy_factor_error"])
        what = f"has hits of {factor} times the energy that they have in {name}"
    others = found["n_beyond"] - 1
    also = f"; of {found['n_voxels']:,} voxels {others + 1:,} differ in all" if others else ""
    return (
        f"Single voxels: {worst['place']} {what}, a pull of {sig(abs(worst['pull']), 2)} where chance makes the "
        f"largest of {found['n_pulls']:,} about {sig(found['largest_by_chance'], 2)}{also}."
    )


def _of_features(failing: Sequence[Mapping[str, Any]], n: int) -> str:
    by_chance = 0.05 * n
    # Features go together, so their number fluctuates more than Poisson's; and one that is far off is never chance.
    usual = len(failing) <= 2 * by_chance + 4 * math.sqrt(by_chance)
    gross = any(row["separation"] > row["floor"] + 4 * (row["floor_95"] - row["floor"]) for row in failing)
    if usual and not gross:
        found = f"{len(failing)} of {n}" if failing else f"None of {n}"
        return (
            f"{found} features {'lie' if len(failing) != 1 else 'lies'} above the 95 % range of equal samples, "
            f"no more than chance explains."
        )
    named = [
        f"{row['label']} (separation {sig(row['separation'], 2)}, {row['separation'] / row['floor']:.0f} × its floor)"
        for row in failing[:3]
    ]
    listed = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
    return (
        f"{len(failing)} of {n} features lie above the 95 % range of equal samples (by chance about "
        f"{by_chance:.0f} would); worst are {listed}."
    )


def _jsd(value: float) -> str:
    """None is below 0: the estimate of a divergence near 0 from few showers can be."""
    return "0" if value <= 0 else sig(value, 2)


def _facts(report: Mapping[str, Any], strongest: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """Four numbers at most, each with what it should be."""
    facts = []
    if strongest is not None:
        result, floor = strongest["result"], strongest["floor"]
        note = "0 cannot be told apart, 1 always" if floor is None else f"floor {_jsd(floor['jsd'])}"
        facts.append(("Jensen–Shannon divergence", f"{_jsd(result['jsd'])} bit", note))
    if settings := (report.get("distances") or {}).get("settings"):
        row = settings["calochallenge"]["fpd"]
        note = "0 for equal samples" if row["floor"] is None else f"floor {sig(1000 * row['floor'], 2)}"
        facts.append(("Fréchet physics distance × 10³", sig(1000 * row["value"], 3), note))
    if found := (report.get("prdc") or {}).get("result"):
        note = f"{sig(found['coverage_expected'], 3)} expected of equal samples; more is no better"
        facts.append(("Coverage of the reference", sig(found["coverage"], 3), note))
    if words := copy_words(report):
        facts.append(("Copies", words.partition(" (")[0], copy_note(report)))
    return [{"name": name, "value": value, "note": note} for name, value, note in facts]
