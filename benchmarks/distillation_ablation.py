"""Which terms of the distillation loss a student needs: the ablation of CaloFlow II, on a small preset.

    python benchmarks/distillation_ablation.py [--data eplus.h5] [-o benchmarks/results/distillation-ablation.json]

Students of ``caloflow-eplus`` by the recipe ``caloflow-v2-small`` with fewer hidden units and epochs, the same
for all; only the terms differ. Trained on showers 0 to 7499 of the file, judged on 7500 to 9499: negative
log-likelihood of these showers, divergence KL(student || teacher) on the student's own, AUC of boosted trees between
them and as many generated ones, on one thread. About ten minutes of one core; a run that was stopped goes on.

References:
    C. Krause, D. Shih, CaloFlow II, arXiv:2110.11377, section 3
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import caloforge
from caloforge import io
from caloforge.classifier import ClassifierConfig, classifier_test
from caloforge.energies import Spectrum
from caloforge.files import atomic_path
from caloforge.generation import load_model
from caloforge.models import DistillationConfig
from caloforge.models.checkpoint import load_checkpoint
from caloforge.recipes import load_recipe
from caloforge.showers import Showers
from caloforge.training import BEST, DataFacts, RunConfig, Teacher, start_or_resume
from caloforge.units import GeV, keV

TEACHER, PRESET = "caloflow-eplus", "caloflow-v2-small"
SPLIT, END = 7500, 9500
SETTINGS = ("model.shape.hidden=128", "distillation.nll=false")
TERMS = ("z_loss", "x_loss", "steps", "parameters")
VARIANTS = {
    "z": ("z_loss",),
    "x": ("x_loss",),
    "z + x": ("z_loss", "x_loss"),
    "z + x, steps": ("z_loss", "x_loss", "steps"),
    "z + x, parameters": ("z_loss", "x_loss", "parameters"),
    "z + x, steps, parameters": TERMS,
}


def train_variant(
    terms: Sequence[str], showers: Showers, facts: DataFacts, teacher: Teacher, folder: Path, epochs: int
) -> None:
    """Distil one student, or go on."""
    switches = [f"distillation.{term}={str(term in terms).lower()}" for term in TERMS]
    settings = [*SETTINGS, f"training.shape.epochs={epochs}", *switches]
    config = RunConfig.from_dict(load_recipe(PRESET), settings)
    start_or_resume(folder, config, showers, facts, recipe=PRESET, teacher=teacher, resume=True)


@torch.no_grad()
def densities(weights: Path, teacher: Teacher, test: Showers) -> dict[str, float]:
    """Means over the test showers of what distillation watches."""
    student, _ = load_checkpoint(weights)
    frozen = teacher.in_precision(torch.float32)
    stage = student.distillation(frozen, DistillationConfig())["shape"].eval()
    generator = torch.Generator().manual_seed(1)
    sums: dict[str, float] = {}
    for start in range(0, len(test), 500):
        batch = stage.draw(stage.rows(test[start : start + 500]), generator)
        for name, values in stage.judge(batch).items():
            sums[name] = sums.get(name, 0.0) + float(values.double().sum())
    return {name: total / len(test) for name, total in sums.items()}


def auc_of(model: str | Path, test: Showers, trainings: int) -> dict[str, float]:
    """Boosted trees between the test showers and as many of the model, softest voxels cut in both."""
    generator = load_model(model)
    energies = Spectrum(low=1.01 * GeV, high=99.9 * GeV).e_inc(1, 0, len(test))
    return trees(generator.sample(energies, seed=1), test, trainings)


def trees(showers: Showers, test: Showers, trainings: int) -> dict[str, float]:
    config = ClassifierConfig(architecture="trees", inputs="features", trainings=trainings)
    result = classifier_test(showers.above(keV), test.above(keV), config)
    return {"auc": result.auc, "auc_spread": result.auc_spread}


def print_table(rows: dict[str, dict[str, float]]) -> None:
    print("| loss | NLL | KL | AUC, trees |\n|---|---|---|---|")
    for name, row in rows.items():
        nll, kl = (f"{row[key]:.1f}" if key in row else "" for key in ("nll", "kl"))
        print(f"| {name} | {nll} | {kl} | {row['auc']:.3f} ± {row['auc_spread']:.3f} |")


def main() -> None:
    """Train, judge, store after each student, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/showers/eplus.h5"))
    parser.add_argument("--runs", type=Path, default=Path("runs/distillation-ablation"))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--trainings", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    teacher = Teacher.load(TEACHER)
    training = io.read(args.data, stop=SPLIT)
    test = io.read(args.data, start=SPLIT, stop=END)
    facts = DataFacts.of(training, file=args.data.name, start=0)
    settings = {
        "teacher": teacher.facts(),
        "preset": PRESET,
        "settings": list(SETTINGS),
        "epochs": args.epochs,
        "trainings": args.trainings,
        "data": {"file": facts.file, "fingerprint": facts.fingerprint, "test": [SPLIT, END]},
    }
    rows = known_rows(args.output, settings)
    for name, terms in VARIANTS.items():
        if name in rows:
            continue
        begin = time.monotonic()
        folder = args.runs / "-".join(terms)
        train_variant(terms, training, facts, teacher, folder, args.epochs)
        row = densities(folder / BEST, teacher, test)
        rows["teacher"] = {"nll": row.pop("teacher_nll")} | (
            rows.get("teacher") or auc_of(TEACHER, test, args.trainings)
        )
        rows[name] = row | auc_of(folder, test, args.trainings)
        print(f"{name}: {time.monotonic() - begin:.0f} s", flush=True)
        store(args.output, settings, rows)
    if "Geant4" not in rows:
        floor = trees(training[len(training) - len(test) :], test, args.trainings)
        rows["Geant4"] = floor
        store(args.output, settings, rows)
    print_table(rows)


def known_rows(path: Path | None, settings: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Rows of an earlier call with the same settings."""
    if path is None or not path.exists():
        return {}
    report = json.loads(path.read_text())
    return report["rows"] if report["settings"] == settings else {}


def store(path: Path | None, settings: dict[str, Any], rows: dict[str, dict[str, float]]) -> None:
    """Write the report, whole."""
    if path is None:
        return
    report = {
        "settings": settings,
        "threads": 1,
        "torch": torch.__version__,
        "caloforge": caloforge.__version__,
        "rows": rows,
    }
    with atomic_path(path) as part:
        part.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
