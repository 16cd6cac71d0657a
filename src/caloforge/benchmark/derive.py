"""Figures that follow from the measured ones."""

import statistics
from typing import Any

__all__ = ["derived_rows"]


def derived_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a report with time per shower, rate, speed-up over Geant4 and share of the machine's peak.

    ``speedup`` is Geant4's processor seconds per shower over the seconds per shower of the row;
    ``speedup_per_core`` divides by the threads, too, and is not given for a GPU. ``gflops`` counts the matrix
    products of the showers asked for, not of padding.
    """
    peaks = {(peak["dtype"], peak["threads"]): peak["gflops"] for peak in report["peaks"]}
    geant4 = {name: row for row in report["geant4"] if "cpu_s_per_shower" in row for name in row["models"]}
    return [
        _derived(row, report["models"][row["model"]], peaks, geant4.get(row["model"]))
        for row in report["rows"]
    ]


def _derived(
    row: dict[str, Any],
    model: dict[str, Any],
    peaks: dict[tuple[str, int], float],
    geant4: dict[str, Any] | None,
) -> dict[str, Any]:
    if not row["seconds"]:
        return row | {"ms_per_shower": None}
    per_shower = sorted(seconds / row["batch"] for seconds in row["seconds"])
    median = statistics.median(per_shower)
    found: dict[str, Any] = {
        "ms_per_shower": {
            "median": 1e3 * median,
            "min": 1e3 * per_shower[0],
            "max": 1e3 * per_shower[-1],
        },
        "showers_per_s": 1 / median,
    }
    own = row["library"] == "caloforge"
    work = model if own else model.get("peers", {}).get(row["library"], {})
    found["dtype"] = work.get("dtype")
    if work.get("mflop_per_shower"):
        found["gflops"] = work["mflop_per_shower"] / 1e3 / median
        if peak := peaks.get((work["dtype"], row["threads"])):
            found["peak_share"] = found["gflops"] / peak
    if geant4 is not None:
        found["geant4"] = geant4["name"]
        found["speedup"] = geant4["cpu_s_per_shower"] / median
        if row["device"].startswith("cpu"):
            found["speedup_per_core"] = found["speedup"] / row["threads"]
    return row | found
