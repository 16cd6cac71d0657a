"""What bfloat16 and compiling gain, for single showers and for blocks, on one thread.

    python benchmarks/precision_and_compiling.py [-o benchmarks/results/precision-and-compiling.json]

Milliseconds per shower from incident energies in memory to voxels in memory, median over repeats; the first request
is not counted, and the time to compile is stated apart. Needs a C++ compiler.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import caloforge
from caloforge.files import atomic_path
from caloforge.generation import Precision, ShowerGenerator, load_model

VARIANTS: dict[str, tuple[Precision, bool]] = {
    "float32": ("float32", False),
    "bfloat16": ("bfloat16", False),
    "float32, compiled": ("float32", True),
}

SHOWERS = 4096
"""Of a large request: a whole number of blocks of every family."""


def median_ms(generator: ShowerGenerator, n: int, repeats: int) -> float:
    """Time per shower of requests of ``n``."""
    e_inc = np.linspace(*generator.e_inc_range, n) if n > 1 else [sum(generator.e_inc_range) / 2]
    seconds = []
    for k in range(repeats + 1):
        begin = time.perf_counter()
        generator.sample(e_inc, seed=1, start=k * n, padded=n >= generator.block)
        seconds.append(time.perf_counter() - begin)
    return 1000 * statistics.median(seconds[1:]) / n


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["groupwise-eplus", "caloman-eplus"])
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, dict[str, Any]] = {}
    for model in args.models:
        for name, (precision, compiled) in VARIANTS.items():
            begin = time.perf_counter()
            generator = load_model(model, precision=precision, compiled=compiled)
            row = {
                "load_s": round(time.perf_counter() - begin, 1),
                "compiled": generator.compiled,
                "1": median_ms(generator, 1, 300),
                str(SHOWERS): median_ms(generator, SHOWERS, 10),
            }
            rows[f"`{model}`, {name}"] = row
            print(model, name, row, flush=True)
    report = {
        "unit": "ms/shower",
        "threads": 1,
        "machine": platform.machine(),
        "torch": torch.__version__,
        "caloforge": caloforge.__version__,
        "rows": rows,
    }
    if args.output:
        with atomic_path(args.output) as part:
            part.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
