"""Time per shower of models, of Geant4 and of other libraries: the same machine, the same run.

Every figure is measured in a process of its own (:mod:`caloforge.benchmark.child`), so that memory, threads and
caches of one do not meet those of another.
"""

from caloforge.benchmark.run import run_benchmark
from caloforge.benchmark.schema import load_benchmark
from caloforge.benchmark.settings import BenchmarkSettings
from caloforge.benchmark.tables import markdown_table, replace_table

__all__ = ["BenchmarkSettings", "load_benchmark", "markdown_table", "replace_table", "run_benchmark"]
