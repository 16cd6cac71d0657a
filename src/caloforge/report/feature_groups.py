"""How far a sample is off in each group of features: trees that see one group only, and its worst feature in words."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from caloforge.classifier import ClassifierConfig, classifier_test
from caloforge.evaluation import GROUPS
from caloforge.evaluation.nearest import showers_of_both
from caloforge.evaluation.voxel_correlations import BEHIND
from caloforge.report.classifier_tests import standard_error
from caloforge.report.formatting import sig
from caloforge.seeding import derive_seed
from caloforge.showers import Showers

__all__ = ["group_tests", "group_words", "ranked_groups"]

_TRAININGS: Final = 2
_MOST: Final = 4_000
"""Showers of each sample; they say which group is off, not by how much the last digit."""
_CLEAR = 5.0
"""Standard errors from which a difference of means is what a sentence is about."""


def group_tests(
    generated: Showers, reference: Showers, *, groups: Sequence[str], threshold: float, seed: int
) -> list[dict[str, Any]]:
    """The AUC of boosted trees for each group of features and the incident energy.

    Args:
        generated: The showers in question.
        reference: The showers that are right.
        groups: Those that the calorimeter has features of.
        threshold: That was applied, MeV.
        seed: Of drawing, splits and trees.
    """
    generated, reference = showers_of_both(
        generated, reference, max_showers=_MOST, seed=derive_seed(seed, "groups")
    )
    found = []
    for group in GROUPS:
        if group not in groups:
            continue
        config = ClassifierConfig(
            architecture="trees",
            inputs="features",
            groups=(group,),
            threshold=threshold,
            trainings=_TRAININGS,
            seed=seed,
        )
        result = classifier_test(generated, reference, config)
        found.append(
            {
                "group": group,
                "auc": result.auc,
                "auc_spread": result.auc_spread,
                "auc_error": standard_error(vars(result)),
                "n_showers": min(len(generated), len(reference)),
                "n_features": result.n_inputs - 1,
            }
        )
    return found


def ranked_groups(report: Mapping[str, Any], reference_name: str) -> list[dict[str, Any]]:
    """The groups of a report, the one that is farthest off first, each with its worst feature in words."""
    tests = report.get("groups") or []
    if not isinstance(tests, list):  # left out, with a reason
        return []
    rows = []
    for test in sorted(tests, key=lambda test: -test["auc"]):
        features = [row for row in report["features"] if row["group"] == test["group"]]
        differs = test["auc"] - 0.5 > 2 * test["auc_error"]
        rows.append(
            test
            | {
                "differs": differs,
                "words": group_words(test["group"], features, report, reference_name) if differs else "",
            }
        )
    return rows


def group_words(
    group: str, features: Sequence[Mapping[str, Any]], report: Mapping[str, Any], reference_name: str
) -> str:
    """The feature of a group that differs most, and for local structure the correlation that does, with numbers."""
    found = []
    failing = [row for row in features if row["separation"] > row["floor_95"]]
    if failing:
        found.append(
            _of_feature(max(failing, key=lambda row: row["separation"] - row["floor_95"]), reference_name)
        )
    else:
        found.append("no single feature; only several of them together")
    if group == "local structure" and (words := _of_correlation(report, reference_name)):
        found.append(words)
    return "; ".join(found)


def _of_feature(row: Mapping[str, Any], reference_name: str) -> str:
    mine, theirs, unit = row["generated"], row["reference"], f" {row['unit']}" if row["unit"] else ""
    error = math.hypot(mine["mean_error"] or 0.0, theirs["mean_error"] or 0.0)
    if abs(mine["mean"] - theirs["mean"]) > _CLEAR * error:
        what, a, b = row["label"], mine["mean"], theirs["mean"]
    elif mine["std"] is not None and abs(mine["std"] - theirs["std"]) > _CLEAR * math.hypot(
        mine["std_error"] or 0.0, theirs["std_error"] or 0.0
    ):
        what, a, b = f"spread of {row['label']}", mine["std"], theirs["std"]
    else:
        ratio = row["separation"] / row["floor"] if row["floor"] else math.inf
        return f"shape of {row['label']} (separation {sig(row['separation'], 2)}, {ratio:.0f} × its floor)"
    return f"{what}: {sig(a)}{unit}, {reference_name} {sig(b)}{unit}"


def _of_correlation(report: Mapping[str, Any], reference_name: str) -> str | None:
    rows = [row for row in report.get("voxel_correlations") or [] if row["relation"] != BEHIND]
    if not rows:
        return None
    row = max(rows, key=lambda row: abs(row["generated"] - row["reference"]))
    layer = report["geometry"]["layers"][row["layer"]]["name"]
    return (
        f"neighbouring voxels along {row['relation']} in layer {layer} fluctuate together with a correlation of "
        f"{sig(row['generated'], 2)}, {reference_name} {sig(row['reference'], 2)}"
    )
