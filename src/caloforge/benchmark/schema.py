"""The format of ``benchmark.json``: its version, and reading one back."""

from pathlib import Path
from typing import Any, Final

from caloforge.report.plain import read_result

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
    return read_result(
        path,
        name=BENCHMARK_FILE,
        schema=SCHEMA,
        version=SCHEMA_VERSION,
        needed=_NEEDED,
        what=("result of caloforge benchmark", "benchmark"),
        again="measure again",
    )
