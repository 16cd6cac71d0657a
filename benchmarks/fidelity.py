"""How well shipped weights describe Geant4 showers that they never saw: likelihood and the classifier test.

    python benchmarks/fidelity.py WEIGHTS --reference FILE.h5 --start 7500 -o benchmarks/results/fidelity-NAME.json

The classifier is the one of the CaloFlow papers, see `caloforge.classifier`, in smaller batches and for fewer epochs,
as there are few showers. Beside it stands the floor: the same test of Geant4 against Geant4, on showers before
``--start``. An AUC can only be compared with others at the same number of showers: a classifier with more of them
sees more.
"""

import argparse
import json
from pathlib import Path

import torch

import caloforge
from caloforge.classifier import ClassifierConfig, classifier_test
from caloforge.errors import CaloForgeError
from caloforge.evaluation import check_leakage, compare
from caloforge.files import atomic_path
from caloforge.generation import Spectrum, load_model
from caloforge.showers import Showers
from caloforge.units import GeV, keV

SEED = 20260101  # of the generated showers and the validation noise; the models were trained with others


def auc(a: Showers, b: Showers, *, trainings: int, epochs: int) -> dict[str, dict[str, float]]:
    """Mean and spread of the AUC over trainings, for both kinds of input."""
    results = {}
    for kind in ("unnormalised", "normalised"):
        config = ClassifierConfig(inputs=kind, trainings=trainings, epochs=epochs, batch_size=200)
        found = classifier_test(a, b, config)
        results[kind] = {"mean": found.auc, "std": found.auc_spread}
        print(f"  {kind:13s} AUC {found.auc:.3f} +- {found.auc_spread:.3f}", flush=True)
    return results


def likelihood(
    generator: caloforge.generation.ShowerGenerator, showers: Showers
) -> dict[str, dict[str, float]]:
    """Negative log-likelihood per shower and its standard error, for each stage, in feature space."""
    results = {}
    for name, stage in generator.model.stages.items():
        batch = stage.draw(stage.rows(showers), torch.Generator().manual_seed(SEED))
        with torch.inference_mode():
            values = stage(batch).double()
        results[name] = {
            "mean": float(values.mean()),
            "standard_error": float(values.std() / len(values) ** 0.5),
        }
    return results


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights")
    parser.add_argument("--reference", type=Path, required=True, help="Geant4 showers, the training file")
    parser.add_argument("--start", type=int, required=True, help="first shower that training never saw")
    parser.add_argument(
        "--low", type=float, default=1.0, help="GeV; the reference's flat spectrum begins here"
    )
    parser.add_argument("--high", type=float, default=100.0, help="GeV; and ends here")
    parser.add_argument("--threshold", type=float, default=1 * keV, help="MeV; softer voxels count as empty")
    parser.add_argument("--trainings", type=int, default=5, help="2 or more, for a spread")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()

    generator = load_model(args.weights)
    raw = caloforge.read(args.reference, start=args.start, geometry=generator.geometry)
    try:
        check_leakage(generator.provenance(SEED), raw, file=args.reference, start=args.start)
    except CaloForgeError as err:
        parser.error(str(err))
    reference = raw.above(args.threshold)
    energies = Spectrum(low=args.low * GeV, high=args.high * GeV).e_inc(SEED, 0, len(reference))
    generated = generator.sample(energies, seed=SEED).above(args.threshold)
    other = caloforge.read(
        args.reference, start=args.start - len(reference), stop=args.start, geometry=generator.geometry
    )

    report = {
        "weights": generator.header.provenance.get("weights_id"),
        "particle": generator.header.provenance.get("particle"),
        "reference": {"file": args.reference.name, "start": args.start, "showers": len(reference)},
        "threshold_MeV": args.threshold,
        "torch": torch.__version__,
        "caloforge": caloforge.__version__,
        "trainings": args.trainings,
        "nll": likelihood(generator, raw),
        "features": {
            row.name: {"separation": row.separation, "floor": row.floor, "floor_95": row.floor_95}
            for row in compare(generated, reference)
        },
    }
    for name, value in report["nll"].items():
        print(f"nll {name}: {value['mean']:.3f} +- {value['standard_error']:.3f}")
    print(f"generated against Geant4, {len(reference)} showers each:")
    options = {"trainings": args.trainings, "epochs": args.epochs}
    report["auc"] = auc(generated, reference, **options)
    print("Geant4 against Geant4:")
    report["auc_floor"] = auc(other.above(args.threshold), reference, **options)
    with atomic_path(args.output) as part:
        part.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
