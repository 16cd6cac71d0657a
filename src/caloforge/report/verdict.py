"""The result in words."""

from collections.abc import Mapping
from typing import Any

__all__ = ["verdict"]


def verdict(report: Mapping[str, Any]) -> dict[str, Any]:
    """How distinguishable the sample is, and where it fails worst."""
    rows = sorted(report["features"], key=lambda row: row["floor"] - row["separation"])
    failing = [row for row in rows if row["separation"] > row["floor_95"]]
    return {
        "headline": f"{len(failing)} of {len(rows)} features differ.",
        "sentences": [],
        "worst_features": [row["name"] for row in failing[:6]],
        "n_features": len(rows),
        "n_failing": len(failing),
    }
