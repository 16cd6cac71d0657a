"""The format of ``report.json``: its version, and reading one back."""

from pathlib import Path
from typing import Any, Final

from caloforge.errors import FileFormatError
from caloforge.report.plain import read_json

__all__ = ["COMPARISON_SCHEMA", "PAGE", "PLOTS", "REPORT_FILE", "SCHEMA", "SCHEMA_VERSION", "load_report"]

SCHEMA: Final = "caloforge-report"
COMPARISON_SCHEMA: Final = "caloforge-comparison"
SCHEMA_VERSION: Final = 1
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
    path = Path(path)
    if path.is_dir():
        path = path / REPORT_FILE
    try:
        data = read_json(path)
    except OSError as err:
        raise FileFormatError(path, f"cannot be read: {err.strerror}.") from err
    except (ValueError, RecursionError) as err:
        raise FileFormatError(path, f"is not valid JSON: {err}.") from err
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise FileFormatError(path, "is no report of caloforge evaluate.")
    if data.get("schema_version") != SCHEMA_VERSION:
        raise FileFormatError(
            path,
            f"has report version {data.get('schema_version')!r}, this caloforge reads version {SCHEMA_VERSION}; "
            "evaluate the showers again.",
        )
    for key, kind in _NEEDED.items():
        if not isinstance(data.get(key), kind):
            raise FileFormatError(path, f"the entry {key!r} is missing or damaged.")
    return data
