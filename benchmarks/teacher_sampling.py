"""Time to draw a shower from an autoregressive teacher: shipped weights, the paper's size, and nflows.

    python benchmarks/teacher_sampling.py [-o benchmarks/results/teacher-sampling.json]

Milliseconds per shower from incident energies in memory to voxels in MeV in memory, post-processing included, model
loading and one warm-up excluded, one thread, median over repeats. The paper's network is also timed in nflows, whose
inverse runs the whole network once per voxel; ours runs it once in all, a few units at a time. Weights are random in
both (the time does not depend on them) and the nflows row covers flow II without pre- and post-processing.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from nflows.transforms.autoregressive import MaskedPiecewiseRationalQuadraticAutoregressiveTransform

import caloforge
from caloforge.files import atomic_path
from caloforge.generation import load_model
from caloforge.geometry import get_geometry
from caloforge.models import ShowerModel
from caloforge.noise import ShowerNoise
from caloforge.recipes import load_recipe
from caloforge.training import RunConfig, initial_model
from caloforge.units import GeV


def median_ms(draw: Callable[[], object], n_showers: int, repeats: int) -> float:
    """Median time per shower over repeats, after one warm-up, in ms."""
    draw()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        draw()
        times.append(time.perf_counter() - begin)
    return 1000 * statistics.median(times) / n_showers


def time_model(model: ShowerModel, batches: list[int], repeats: int) -> dict[str, float]:
    """Our model at several batch sizes, without the engine's padding to whole blocks."""
    rows = {}
    for batch in batches:
        e_inc = torch.full((batch,), 50 * GeV, dtype=torch.float64)
        rows[str(batch)] = median_ms(
            lambda e=e_inc, n=batch: model.generate(e, ShowerNoise(1, 0, n)), batch, repeats
        )
    return rows


def time_nflows(batch: int) -> dict[str, float]:
    """Eight masked autoregressive transforms of the paper's size; one run, it takes a minute."""
    transforms = [
        MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
            features=504, hidden_features=378, context_features=4, num_blocks=1, num_bins=8, tails="linear",
            tail_bound=14.0, use_residual_blocks=False,
        ).eval()
        for _ in range(8)
    ]  # fmt: skip
    z, context = torch.randn(batch, 504), torch.randn(batch, 4)
    begin = time.perf_counter()
    for transform in transforms:
        z, _ = transform.inverse(z, context)
    return {str(batch): 1000 * (time.perf_counter() - begin) / batch}


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", default="1,10,100,1000,10000")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--nflows-batch", type=int, default=10)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    batches = [int(batch) for batch in args.batches.split(",")]
    torch.set_num_threads(1)

    config = RunConfig.from_dict(load_recipe("caloflow-v1"))
    paper = initial_model(config, get_geometry("calogan")).eval()
    rows = {}
    with torch.inference_mode():
        rows["caloflow-eplus (shipped)"] = time_model(
            load_model("caloflow-eplus").model, batches, args.repeats
        )
        rows["caloflow-v1 (paper's size)"] = time_model(paper, batches, args.repeats)
        rows["nflows, paper's size"] = time_nflows(args.nflows_batch)

    print(f"ms/shower, 1 thread, median of {args.repeats}")
    print(f"{'model':28s}" + "".join(f"{'batch ' + str(batch):>14s}" for batch in batches))
    for name, row in rows.items():
        print(
            f"{name:28s}"
            + "".join(f"{row[str(b)]:14.3f}" if str(b) in row else f"{'-':>14s}" for b in batches)
        )
    report = {
        "unit": "ms/shower",
        "threads": 1,
        "repeats": args.repeats,
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "nflows": version("nflows"),
        "caloforge": caloforge.__version__,
        "rows": rows,
    }
    if args.output:
        with atomic_path(args.output) as part:
            part.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
