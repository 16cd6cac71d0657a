"""The format of ``benchmark.json``: its version, and reading one back."""

from pathlib import Path
from typing import Any, Final

from caloforge.errors import FileFormatError
from caloforge.report.plain import read_json

__all__ = ["BENCHMARK_FILE", "PLOT_FILE", "SCHEMA", "SCHEMA_VERSION", "load_benchmark"]

SCHEMA: Final = "caloforge-benchmark"
SCHEMA_VERSION: Final = 1
"""Raised when a field changes its meaning or goes; a new field does not raise it."""
BENCHMARK_FILE: Final = "benchmark.json"
PLOT_FILE: Final = "benchmark.png"

_NEEDED = {
    "settings": dict,
    "machine": dict,
    "models": dict,
    "geant4": list,
    "rows": list,
    "notes": list,
    "complete": bool,
}


def load_benchmark(path: str | Path) -> dict[str, Any]:
    """Read ``benchmark.json``, or the one in a folder.

    Raises:
        FileFormatError: It is missing, damaged, something else, or of a version that this one cannot read.
    """
    path = Path(path)
    if path.is_dir():
        path = path / BENCHMARK_FILE
    try:
        data = read_json(path)
    except OSError as err:
        raise FileFormatError(path, f"cannot be read: {err.strerror}.") from err
    except (ValueError, RecursionError) as err:
        raise FileFormatError(path, f"is not valid JSON: {err}.") from err
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise FileFormatError(path, "is no result of caloforge benchmark.")
    if data.get("schema_version") != SCHEMA_VERSION:
        raise FileFormatError(
            path,
            f"has benchmark version {data.get('schema_version')!r}, this caloforge reads version {SCHEMA_VERSION}; "
            "measure again.",
        )
    for key, kind in _NEEDED.items():
        if not isinstance(data.get(key), kind):
            raise FileFormatError(path, f"the entry {key!r} is missing or damaged.")
    return data
