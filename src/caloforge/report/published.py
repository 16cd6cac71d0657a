"""The published results of the CaloChallenge, and the place of a sample among them."""

import functools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, final

from caloforge.evaluation.challenge import ChallengeHistogram

__all__ = ["METRICS", "Metric", "challenge_metrics", "published", "rank", "separations"]

_REFERENCE = "Geant4"
_LIKE_PUBLISHED = 50_000
"""Showers per sample from which a comparison with the published numbers is fair."""


@final
@dataclass(frozen=True, kw_only=True)
class Metric:
    """One column of the published table; lower is better in all of them."""

    name: str
    label: str
    digits: int
    """Significant digits in a table."""


METRICS: Final = (
    Metric(name="auc_low", label="AUC, voxels", digits=3),
    Metric(name="auc_high", label="AUC, features", digits=3),
    Metric(name="auc_cnn", label="AUC, ResNet", digits=3),
    Metric(name="fpd_e3", label="FPD × 10³", digits=3),
    Metric(name="kpd_e3", label="KPD × 10³", digits=2),
    Metric(name="separation_e_dep", label="separation, total energy", digits=2),
    Metric(name="separation_e_layer", label="separation, layer energies", digits=2),
    Metric(name="separation_voxel", label="separation, voxel energies", digits=2),
)


_TESTS: Final = {
    "auc_low": "calochallenge-unnormalised",
    "auc_high": "calochallenge-high-level",
    "auc_cnn": "resnet-unnormalised",
}


@functools.cache
def _data() -> Mapping[str, Any]:
    return json.loads((resources.files("caloforge.report") / "published.json").read_text())


def published(geometry: str) -> list[dict[str, Any]]:
    """Rows of a data set: ``submission``, and by metric value and standard deviation; none for other geometries.

    References:
        O. Amram et al., CaloChallenge 2022: a community challenge for fast calorimeter simulation,
        arXiv:2410.21611.

    Example:
        >>> published("calochallenge_2")[0]["submission"]
        'Geant4'
    """
    return _data()["datasets"].get(geometry, [])


def rank(
    geometry: str, mine: Mapping[str, tuple[float, float | None]], *, n_showers: int = _LIKE_PUBLISHED
) -> dict[str, Any] | None:
    """The place of a sample in every metric that it has.

    Args:
        geometry: Name of the sample's geometry.
        mine: Name of a metric to value and error.
        n_showers: Of the smaller of both samples; with few of them the place is not fair, and ``warning`` says so.

    Returns:
        ``None`` for a geometry that the challenge does not have, or without a metric of the table. Else plain
        data: ``source``, ``warning``, ``metrics`` (each with ``place``, ``of``, and ``better``, the submissions
        ahead) and ``rows``, the published ones and this sample in the order of the first metric.
    """
    rows = published(geometry)
    metrics = []
    for metric in METRICS:
        if metric.name not in mine:
            continue
        others = [r for r in rows if metric.name in r and r["submission"] != _REFERENCE]
        if others:
            better = [r["submission"] for r in others if r[metric.name][0] < mine[metric.name][0]]
            metrics.append(
                {
                    "name": metric.name,
                    "label": metric.label,
                    "place": len(better) + 1,
                    "of": len(others) + 1,
                    "better": better,
                }
            )
    if not metrics:
        return None
    first = metrics[0]["name"]
    this: dict[str, Any] = {"submission": "this sample", "mine": True} | {
        name: list(value) for name, value in mine.items()
    }
    entries: list[dict[str, Any]] = [*rows, this]
    ordered = sorted(
        entries, key=lambda row: (first not in row, row[first][0] if first in row else 0.0, row["submission"])
    )
    warning = None
    if n_showers < _LIKE_PUBLISHED:
        warning = (
            f"With {n_showers:,} showers FPD, KPD and separation powers are larger, and AUCs smaller, than with the "
            f"{_LIKE_PUBLISHED:,} and more behind the published numbers: the places are not fair."
        )
    return {"source": _data()["source"], "warning": warning, "metrics": metrics, "rows": ordered}


def challenge_metrics(report: Mapping[str, Any]) -> dict[str, tuple[float, float | None]]:
    """What of a report can be put beside the published table: the challenge's own classifiers, FPD and KPD.

    Args:
        report: Contents of ``report.json``; entries that a level does not have are left out.
    """
    found: dict[str, tuple[float, float | None]] = {}
    tests = {test["name"]: test["result"] for test in report.get("classifiers") or []}
    for metric, name in _TESTS.items():
        if name in tests:
            found[metric] = tests[name]["auc"], tests[name]["auc_spread"]
    settings = (report.get("distances") or {}).get("settings", {})
    for name, row in settings.get("calochallenge", {}).items():
        found[f"{name}_e3"] = 1000 * row["value"], None if row["error"] is None else 1000 * row["error"]
    separations = (report.get("challenge") or {}).get("metrics", {})
    return found | {name: (value, None) for name, value in separations.items() if value is not None}


def separations(histograms: Iterable[ChallengeHistogram]) -> dict[str, float]:
    """Separation powers as the published table has them: total energy, mean over layers, voxels."""
    found = {histogram.name: histogram.separation for histogram in histograms}
    layers = [value for name, value in found.items() if name.startswith("e_layer_")]
    columns = {
        "separation_e_dep": found.get("e_ratio"),
        "separation_e_layer": math.fsum(layers) / len(layers) if layers else None,
        "separation_voxel": found.get("voxels"),
    }
    return {name: value for name, value in columns.items() if value is not None}
