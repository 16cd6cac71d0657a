"""The format of ``report.json``: its version, and reading one back."""

from pathlib import Path
from typing import Any, Final

from caloforge.report.plain import read_result

__all__ = ["COMPARISON_SCHEMA", "PAGE", "PLOTS", "REPORT_FILE", "SCHEMA", "SCHEMA_VERSION", "load_report"]

SCHEMA: Final = "caloforge-report"
COMPARISON_SCHEMA: Final = "caloforge-comparison"
SCHEMA_VERSION: Final = 2
"""Raised when a field changes its meaning or goes; a new field does not raise it."""
REPORT_FILE: Final = "report.json"
PAGE: Final = "report.html"
PLOTS: Final = "plots"

_NEEDED = {"samples": dict, "settings": dict, "geometry": dict, "features": list, "verdict": dict}


def load_report(path: str | Path) -> dict[str, Any]:
    """Read ``report.json``, or the one in a report's folder.

    Raises:
        FileFormatError: It is missing, damaged, something else, or of a version that this one cannot read.
    """
    return read_result(
        path,
        name=REPORT_FILE,
        schema=SCHEMA,
        version=SCHEMA_VERSION,
        needed=_NEEDED,
        what=("report of caloforge evaluate", "report"),
        again="evaluate the showers again",
    )
