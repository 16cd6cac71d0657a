"""Fidelity against speed: sizes of the compact model, and the shipped weights, on e+ showers.

    python benchmarks/pareto.py --data eplus.h5 --runs runs/pareto [-o benchmarks/results/pareto.json]

Each variant is trained on the training part of the file with one change of the recipe, then asked for as many
showers as the test part has. Boosted trees on all features are the judge: five trainings, mean and spread. Time
is the engine's on one thread for 4096 showers, from energies to voxels in memory, after one warm-up; least of the
repeats, in processor time, so that a busy machine does not count. Variants that are trained already are not trained
again.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch

import caloforge
from caloforge import io
from caloforge.classifier import ClassifierConfig, classifier_test
from caloforge.files import atomic_path
from caloforge.generation import Precision, ShowerGenerator, load_model
from caloforge.showers import Showers

TRAINED = 7500
"""Showers from this one on are the test part, as for the shipped weights."""
VARIANTS: dict[str, list[str]] = {
    "recipe": [],
    "hidden 64": ["model.voxels.hidden=64"],
    "hidden 128": ["model.voxels.hidden=128"],
    "hidden 512": ["model.voxels.hidden=512"],
    "4 groups": ["model.voxels.groups=4"],
    "8 groups": ["model.voxels.groups=8"],
    "32 groups": ["model.voxels.groups=32"],
    "1 component": ["model.voxels.components=1"],
    "4 components": ["model.voxels.components=4"],
}
SEED = 20260101
THRESHOLD = 1e-3  # MeV


def train(data: Path, folder: Path, settings: list[str]) -> Path:
    """A run of the recipe with some settings changed; nothing if it is there."""
    if not (folder / "finished").exists():
        words = [
            "caloforge",
            "train",
            "groupwise",
            "--data",
            str(data),
            "--stop",
            str(TRAINED),
            "-o",
            str(folder),
        ]
        options = [word for setting in settings for word in ("--set", setting)]
        subprocess.run([sys.executable, "-m", *words, *options, "--resume"], check=True)
        (folder / "finished").touch()
    return folder


def milliseconds(generator: ShowerGenerator, n: int = 4096, repeats: int = 5) -> float:
    """Processor time per shower."""
    e_inc = np.linspace(*generator.e_inc_range, n)
    seconds = []
    for k in range(repeats + 1):
        begin = time.process_time()
        generator.sample(e_inc, seed=1, start=k * n)
        seconds.append(time.process_time() - begin)
    return 1000 * min(seconds[1:]) / n


def judged(generator: ShowerGenerator, reference: Showers) -> dict[str, Any]:
    """AUC of boosted trees on all features."""
    rng = np.random.default_rng(SEED)
    e_inc = rng.uniform(*generator.e_inc_range, len(reference))
    showers = generator.sample(e_inc, seed=SEED)
    result = classifier_test(showers, reference, ClassifierConfig(architecture="trees", inputs="features"))
    return {"auc": result.auc, "auc_spread": result.auc_spread}


def row(weights: str | Path, reference: Showers, *, precision: Precision = "float32") -> dict[str, Any]:
    """Time, size and fidelity of one model."""
    generator = load_model(weights, precision=precision)
    n_parameters = generator.model.n_parameters()
    return {
        "ms_per_shower": milliseconds(generator),
        "parameters": n_parameters,
        **judged(generator, reference),
    }


def plot(rows: dict[str, dict[str, Any]], path: Path) -> None:
    """AUC against time."""
    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    for (name, found), colour in zip(rows.items(), plt.get_cmap("tab20").colors, strict=False):
        at = found["ms_per_shower"], found["auc"], found["auc_spread"]
        axes.errorbar(*at, fmt="s" if "-" in name else "o", color=colour, capsize=2, label=name)
    axes.axhline(0.5, color="gray", lw=0.8)
    axes.set(xscale="log", xlabel="ms per shower, one thread", ylabel="AUC of boosted trees (0.5 is perfect)")
    ticks = [0.02, 0.03, 0.04, 0.06, 0.1, 0.2, 0.3]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    axes.set_xticks([], minor=True)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), title="squares: shipped weights", fontsize=9)
    axes.set_title("e+ showers: left and low is better")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Train, measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--shipped", default="caloflow-eplus,groupwise-eplus,caloman-eplus")
    parser.add_argument("--only", help="Variants, by name, separated by commas.")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = io.read(args.data, start=TRAINED)
    voxels = np.where(found.voxels < THRESHOLD, 0, found.voxels).astype(found.voxels.dtype)
    reference = Showers(e_inc=found.e_inc, voxels=voxels, geometry=found.geometry)
    rows: dict[str, dict[str, Any]] = {}
    for name in args.shipped.split(","):
        rows[name] = row(name, reference)
        print(name, rows[name], flush=True)
    names = args.only.split(",") if args.only else list(VARIANTS)
    for name in names:
        folder = train(args.data, args.runs / name.replace(" ", "-"), VARIANTS[name])
        rows[name] = row(folder, reference) | {"settings": VARIANTS[name]}
        print(name, rows[name], flush=True)
        if name == "recipe":
            rows["bfloat16"] = row(folder, reference, precision="bfloat16")
            print("bfloat16", rows["bfloat16"], flush=True)
    print(f"{'model':24s}{'ms/shower':>12s}{'parameters':>14s}{'AUC':>18s}")
    for name, r in rows.items():
        auc = f"{r['auc']:.3f} ± {r['auc_spread']:.3f}"
        print(f"{name:24s}{r['ms_per_shower']:12.4f}{r['parameters']:14,}{auc:>18s}")
    if args.output:
        report = {
            "data": args.data.name,
            "test_showers": len(reference),
            "machine": platform.machine(),
            "torch": torch.__version__,
            "caloforge": caloforge.__version__,
            "rows": rows,
        }
        with atomic_path(args.output) as part:
            part.write_text(json.dumps(report, indent=1) + "\n")
        plot(rows, args.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
