"""Time per shower of models, of Geant4 and of other libraries: the same machine, the same run.

Every figure is measured in a process of its own (:mod:`caloforge.benchmark.child`), so that memory, threads and
caches of one do not meet those of another. Names are loaded at first use: such a process loads only what it times.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caloforge.benchmark.run import run_benchmark
    from caloforge.benchmark.schema import load_benchmark
    from caloforge.benchmark.settings import BenchmarkSettings
    from caloforge.benchmark.tables import markdown_table, replace_table

__all__ = ["BenchmarkSettings", "load_benchmark", "markdown_table", "replace_table", "run_benchmark"]

_HOME = {
    "BenchmarkSettings": "settings",
    "load_benchmark": "schema",
    "markdown_table": "tables",
    "replace_table": "tables",
    "run_benchmark": "run",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
