"""How well shipped weights describe Geant4 showers that they never saw: likelihood and the classifier test.

    python benchmarks/fidelity.py WEIGHTS --reference FILE.h5 --start 7500 -o benchmarks/results/fidelity-NAME.json

The classifier is the one of the CaloFlow papers (arXiv:2106.05285): three hidden layers of 512 units, LeakyReLU,
Adam with 1e-3, told incident energy, layer energies and voxels (unnormalised, or normalised per layer), 60 % of the
showers for training, 20 % to choose the epoch, 20 % for the AUC. Each training draws its own split. Beside it stands
the floor: the same test of Geant4 against Geant4, on showers before ``--start``. An AUC can only be compared with
others at the same number of showers: a classifier with more of them sees more.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import caloforge
from caloforge.evaluation import compare
from caloforge.files import atomic_path
from caloforge.generation import Spectrum, load_model
from caloforge.showers import Showers
from caloforge.units import GeV, keV

SEED = 20260101  # of the generated showers and the validation noise; the models were trained with others


def classifier_input(showers: Showers, kind: str) -> Tensor:
    """Features of the classifier, ``(n, 1 + L + V)``: logarithms of e_inc and e_layer, then the voxels."""
    e_layer = showers.e_layer
    logs = np.log10(np.column_stack([showers.e_inc / (10 * GeV), e_layer / (10 * GeV) + 1e-8]))
    if kind == "unnormalised":
        voxels = showers.voxels / GeV
    else:
        sizes = [layer.n_voxels for layer in showers.geometry.layers]
        voxels = showers.voxels / np.repeat(e_layer + 1e-16, sizes, axis=1)
    return torch.from_numpy(np.column_stack([logs, voxels]).astype(np.float32))


def auc(score: Tensor, label: Tensor) -> float:
    """Area under the ROC curve by the rank sum; ties count half."""
    values, rank = torch.unique(score, return_inverse=True)
    counts = torch.bincount(rank, minlength=len(values)).double()
    mean_rank = counts.cumsum(0) - (counts - 1) / 2
    n_true, n_false = int(label.sum()), int((1 - label).sum())
    return float((mean_rank[rank][label == 1].sum() - n_true * (n_true + 1) / 2) / (n_true * n_false))


def train_classifier(x: Tensor, label: Tensor, *, seed: int, epochs: int) -> float:
    """AUC on the last fifth of a random split, at the epoch that is best on the fifth before."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(x), generator=generator)
    train, choose, test = order.tensor_split([int(0.6 * len(x)), int(0.8 * len(x))])
    mean, std = x[train].mean(0), x[train].std(0)
    x = (x - mean) / torch.where(std > 0, std, 1.0)
    torch.manual_seed(seed)
    sizes = [x.shape[1], 512, 512, 512]
    hidden = [m for a, b in itertools.pairwise(sizes) for m in (nn.Linear(a, b), nn.LeakyReLU())]
    net = nn.Sequential(*hidden, nn.Linear(512, 1), nn.Flatten(0))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    best, result = -1.0, 0.5
    for _ in range(epochs):
        net.train()
        for index in train[torch.randperm(len(train), generator=generator)].split(200):
            loss = nn.functional.binary_cross_entropy_with_logits(net(x[index]), label[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            chosen = auc(net(x[choose]), label[choose])
            if chosen > best:
                best, result = chosen, auc(net(x[test]), label[test])
    return result


def classifier_test(a: Showers, b: Showers, *, trainings: int, epochs: int) -> dict[str, dict[str, float]]:
    """Mean and spread of the AUC over trainings, for both kinds of input."""
    label = torch.cat([torch.ones(len(a)), torch.zeros(len(b))])
    results = {}
    for kind in ("unnormalised", "normalised"):
        x = torch.cat([classifier_input(a, kind), classifier_input(b, kind)])
        values = [train_classifier(x, label, seed=seed, epochs=epochs) for seed in range(trainings)]
        results[kind] = {"mean": float(np.mean(values)), "std": float(np.std(values, ddof=1))}
        print(f"  {kind:13s} AUC {np.mean(values):.3f} +- {np.std(values, ddof=1):.3f}", flush=True)
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
    parser.add_argument("--trainings", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()

    generator = load_model(args.weights)
    raw = caloforge.read(args.reference, start=args.start, geometry=generator.geometry)
    trained_on = generator.header.provenance["data"]
    if trained_on["file"] == args.reference.name and trained_on["stop"] > args.start:
        parser.error(f"the weights were trained on showers up to {trained_on['stop']} of this file")
    reference = raw.above(args.threshold)
    # Energies of their own: twins with one incident energy on both sides of a split would mislead the classifier.
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
    report["auc"] = classifier_test(reference, generated, **options)
    print("Geant4 against Geant4:")
    report["auc_floor"] = classifier_test(reference, other.above(args.threshold), **options)
    with atomic_path(args.output) as part:
        part.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
