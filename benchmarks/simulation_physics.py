"""The physics of simulated showers: agreement with independent Geant4 showers, linearity, resolution, profiles, hits.

    python benchmarks/simulation_physics.py FOLDER [--reference EPLUS.h5] [--images docs/images]
        [--workers N] [-o benchmarks/results/simulation-physics.json]

Simulates what is missing in FOLDER (some 30 minutes of one core), prints a table, draws plots for docs/simulating.md.
The reference is a file of e+ in ``calogan`` made by other code with the same Geant4 and data; those of 45 to 55 GeV
are compared.
"""

import argparse
import json
import math
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import caloforge
from caloforge.energies import DiscreteEnergies, EnergySource, Spectrum
from caloforge.evaluation import Moments, high_level_features
from caloforge.files import atomic_path
from caloforge.geometry import Geometry, PolarGrid, get_geometry
from caloforge.plotting.style import save_figure
from caloforge.production import run_job
from caloforge.showers import Showers
from caloforge.simulation import SimulationJob
from caloforge.units import GeV


def gev(*values: float) -> tuple[float, ...]:
    """In MeV."""
    return tuple(value * GeV for value in values)


SAMPLES: dict[str, tuple[str, str, int, EnergySource, str, int]] = {
    "e50": ("calogan", "e+", 1200, Spectrum(low=45 * GeV, high=55 * GeV), "em", 12),
    "scan": ("calogan", "e+", 400, DiscreteEnergies(gev(5, 10, 20, 50, 100)), "FTFP_BERT", 14),
    "argon": ("calogan, argon only", "e+", 400, DiscreteEnergies(gev(5, 10, 20, 50, 100)), "FTFP_BERT", 14),
    "pi20": ("calogan", "pi+", 600, Spectrum(low=20 * GeV, high=20 * GeV), "FTFP_BERT", 11),
    "ild": ("ild_ecal", "gamma", 240, DiscreteEnergies(gev(10, 20, 40, 60, 80, 100)), "FTFP_BERT", 13),
    "cells": ("calochallenge_2", "e-", 300, DiscreteEnergies(gev(20)), "FTFP_BERT", 16),
    "whole": ("calochallenge_2, whole", "e-", 300, DiscreteEnergies(gev(20)), "FTFP_BERT", 16),
    "cc2": (
        "calochallenge_2",
        "e-",
        100,
        Spectrum(low=1 * GeV, high=1000 * GeV, shape="log-uniform"),
        "FTFP_BERT",
        15,
    ),
}
COMPARED = (
    "e_layer_0",
    "e_layer_1",
    "e_layer_2",
    "shower_depth",
    "shower_depth_width",
    "width_y_0",
    "width_x_1",
    "width_y_1",
    "n_hits",
)
PASSED = 600.0  # MeV; a pion that only ionises leaves 270 MeV at the minimum, and a Landau tail


def calorimeter(name: str) -> Geometry:
    """One of the catalogue; perhaps read out in its active slabs alone, or with one voxel per layer."""
    name, _, variant = name.partition(", ")
    geometry = get_geometry(name)
    if variant == "argon only":
        return replace(geometry, name=f"{name}_active", stack=replace(geometry.stack, deposits="active"))
    if variant == "whole":
        grid = PolarGrid(r_edges=(0.0, geometry.layers[0].grid.r_edges[-1]), n_alpha=1)
        layers = tuple(replace(layer, grid=grid) for layer in geometry.layers)
        return replace(geometry, name=f"{name}_whole", layers=layers)
    return geometry


def sample(folder: Path, name: str, *, workers: int) -> Showers:
    """A sample from the folder, simulated first if it is not there."""
    geometry_name, particle, n, energies, physics, seed = SAMPLES[name]
    geometry = calorimeter(geometry_name)
    path = folder / f"{name}.h5"
    if not path.exists():
        job = SimulationJob(
            geometry=geometry,
            particle=particle,
            n_showers=n,
            energies=energies,
            seed=seed,
            physics=physics,
            output=path,
        )
        run_job(job, workers=workers, resume=True)
    return caloforge.read(path, geometry=geometry)


def agreement(mine: Showers, reference: Showers) -> dict[str, dict[str, float]]:
    """Means and widths of features in both samples, and their differences in standard errors."""
    rows = {}
    theirs = {feature.name: feature for feature in high_level_features(reference)}
    for feature in high_level_features(mine):
        if feature.name in COMPARED:
            a, b = Moments.of(feature.values), Moments.of(theirs[feature.name].values)
            rows[feature.name] = {
                "mean": a.mean,
                "reference_mean": b.mean,
                "mean_pull": (a.mean - b.mean) / math.hypot(a.mean_error, b.mean_error),
                "std": a.std,
                "reference_std": b.std,
                "std_pull": (a.std - b.std) / math.hypot(a.std_error, b.std_error),
            }
    return rows


def response(showers: Showers, weights: np.ndarray | float = 1.0) -> dict[str, dict[str, float]]:
    """Visible over incident energy at each energy of a scan, layers weighted."""
    rows = {}
    visible = (showers.e_layer * weights).sum(axis=1) / showers.e_inc
    for energy in np.unique(showers.e_inc):
        ratio = Moments.of(visible[showers.e_inc == energy])
        rows[f"{energy / GeV:g}"] = {
            "mean": ratio.mean,
            "mean_error": ratio.mean_error,
            "resolution": ratio.std / ratio.mean,
            "resolution_error": ratio.std_error / ratio.mean,
        }
    return rows


def draw_response(scans: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    """Linearity and resolution."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.4), layout="constrained")
    for label, rows in scans.items():
        energy = np.array([float(key) for key in rows])
        mean = np.array([row["mean"] for row in rows.values()])
        scale = mean[-1]
        left.errorbar(
            energy, mean / scale, [row["mean_error"] / scale for row in rows.values()], fmt="o-", label=label
        )
        right.errorbar(
            energy,
            [row["resolution"] for row in rows.values()],
            [row["resolution_error"] for row in rows.values()],
            fmt="o-",
            label=label,
        )
    left.set(
        xlabel="incident energy [GeV]",
        ylabel="response / response at 100 GeV",
        xscale="log",
        title="linearity",
    )
    right.set(
        xlabel="incident energy [GeV]", ylabel="std / mean", xscale="log", yscale="log", title="resolution"
    )
    right.set_ylim(top=right.get_ylim()[1] * 4)
    right.legend(frameon=False, fontsize=8)
    save_figure(figure, path)


def draw_pions(showers: Showers, path: Path) -> None:
    """Share of the energy that 20 GeV pions leave."""
    figure, axes = plt.subplots(figsize=(4.6, 3.4), layout="constrained")
    axes.hist(showers.e_ratio, bins=40, histtype="step", color="C0")
    axes.set(
        xlabel="deposited / incident energy", ylabel="showers", title="20 GeV pi+ in calogan", yscale="log"
    )
    save_figure(figure, path)


def draw_ild(showers: Showers, path: Path) -> dict[str, float]:
    """Longitudinal profiles and hit energies; gives the layers of maximum and the MIP peak in MeV."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.4), layout="constrained")
    facts = {}
    for energy in np.unique(showers.e_inc):
        chosen = showers[showers.e_inc == energy]
        profile = chosen.e_layer.mean(axis=0)
        error = chosen.e_layer.std(axis=0) / math.sqrt(len(chosen))
        left.errorbar(np.arange(len(profile)), profile, error, label=f"{energy / GeV:g} GeV", lw=1)
        facts[f"profile_peak_layer_{energy / GeV:g}_GeV"] = int(profile.argmax())
    left.set(xlabel="layer", ylabel="visible energy [MeV]", title="photons in ild_ecal")
    left.legend(frameon=False, fontsize=8)
    hits = showers.voxels[showers.voxels > 0]
    edges = np.geomspace(1e-3, hits.max(), 120)
    counts, _ = np.histogram(hits, edges)
    centres = np.sqrt(edges[1:] * edges[:-1])
    right.stairs(counts, edges)
    window = (centres > 0.08) & (centres < 0.4)
    facts["mip_peak_MeV"] = float(centres[window][counts[window].argmax()])
    right.axvline(facts["mip_peak_MeV"], color="0.5", lw=0.8, ls="--")
    right.set(xlabel="hit energy [MeV]", ylabel="hits", xscale="log", yscale="log", title="hit energies")
    save_figure(figure, path)
    return facts


def draw_challenge(showers: Showers, path: Path) -> None:
    """Response and profile of data set 2's calorimeter."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.4), layout="constrained")
    left.plot(showers.e_inc / GeV, showers.e_ratio, ".")
    left.set(
        xlabel="incident energy [GeV]",
        ylabel="scaled deposit / incident energy",
        xscale="log",
        title="calochallenge_2",
    )
    for low, high in ((1, 10), (10, 100), (100, 1000)):
        chosen = showers[(showers.e_inc >= low * GeV) & (showers.e_inc < high * GeV)]
        share = (chosen.e_layer / chosen.e_dep[:, None]).mean(axis=0)
        right.plot(np.arange(len(share)), share, label=f"{low} to {high} GeV")
    right.set(xlabel="layer", ylabel="share of the energy", title="electrons")
    right.legend(frameon=False)
    save_figure(figure, path)


def main() -> None:
    """Simulate, compare, draw, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    samples = {name: sample(args.folder, name, workers=args.workers) for name in SAMPLES}
    images = args.images or args.folder
    report: dict[str, object] = {
        "caloforge": caloforge.__version__,
        "samples": {name: showers.provenance for name, showers in samples.items()},
    }
    if args.reference:
        reference = caloforge.read(args.reference, geometry=get_geometry("calogan"))
        reference = reference[(reference.e_inc >= 45 * GeV) & (reference.e_inc < 55 * GeV)]
        rows = agreement(samples["e50"], reference)
        report["agreement"] = rows
        print(f"e+ of 45 to 55 GeV: {len(samples['e50'])} showers, reference {len(reference)}")
        print(
            f"{'feature':20s}{'mean':>12s}{'reference':>12s}{'pull':>7s}{'std':>12s}{'reference':>12s}{'pull':>7s}"
        )
        for name, row in rows.items():
            means = f"{row['mean']:12.4g}{row['reference_mean']:12.4g}{row['mean_pull']:7.1f}"
            print(f"{name:20s}{means}{row['std']:12.4g}{row['reference_std']:12.4g}{row['std_pull']:7.1f}")
    report["response"] = {
        "e+ in calogan": response(samples["scan"]),
        "e+ in calogan, argon only": response(samples["argon"]),
        # Behind layer 20 the tungsten is twice as thick, so a deposit stands for twice as much.
        "photons in ild_ecal, back layers x 2": response(
            samples["ild"], np.where(np.arange(30) < 20, 1.0, 2.0)
        ),
    }
    for label, scan in report["response"].items():
        print(label)
        for energy, row in scan.items():
            print(
                f"  {energy:>4s} GeV  response {row['mean']:.5f} +- {row['mean_error']:.5f}  "
                f"resolution {row['resolution']:.4f} +- {row['resolution_error']:.4f}"
            )
    pions = samples["pi20"]
    ratio, n = Moments.of(pions.e_ratio), len(pions)
    passed = float(np.mean(pions.e_dep < PASSED))
    report["pions"] = {
        "mean": ratio.mean,
        "mean_error": ratio.mean_error,
        "passed": passed,
        "passed_error": math.sqrt(passed * (1 - passed) / n),
    }
    print(
        f"20 GeV pi+ in calogan: deposited {ratio.mean:.3f} +- {ratio.mean_error:.3f}, below {PASSED:g} MeV "
        f"{passed:.3f} +- {math.sqrt(passed * (1 - passed) / n):.3f}"
    )
    cells, whole = Moments.of(samples["cells"].e_dep), Moments.of(samples["whole"].e_dep)
    error = math.hypot(cells.mean_error, whole.mean_error) / whole.mean
    report["cells"] = {"ratio": cells.mean / whole.mean, "ratio_error": error}
    print(f"visible energy with cells over without, 20 GeV e-: {cells.mean / whole.mean:.4f} +- {error:.4f}")
    report["ild"] = draw_ild(samples["ild"], images / "simulation-ild.png")
    print(report["ild"])
    draw_response(report["response"], images / "simulation-response.png")
    draw_pions(pions, images / "simulation-pions.png")
    draw_challenge(samples["cc2"], images / "simulation-challenge.png")
    if args.output:
        with atomic_path(args.output) as part:
            part.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
