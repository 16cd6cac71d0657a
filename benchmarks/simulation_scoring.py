"""What scoring costs in Geant4: CPU seconds per shower without any, with our cells, and from Python.

    python benchmarks/simulation_scoring.py [-o benchmarks/results/simulation-scoring.json]

Positrons in ``calogan``, ``G4EmStandardPhysics``, the same seeds in every variant, each in a process of its own and all
variants in turn, several rounds; the median over rounds is printed. "python step" is a stepping action in Python that
adds each deposit to the voxel of the step's middle.
Set-up and the first shower, which fills caches, are left out. Geant4's data sets must be found (docs/simulating.md).
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import caloforge
from caloforge.files import atomic_path
from caloforge.geometry import CartesianGrid, get_geometry
from caloforge.simulation import detector, find_data
from caloforge.simulation.geant4 import Event, Geant4
from caloforge.units import GeV

VARIANTS = ("none", "cells", "python step")


def without_cells() -> None:
    """Let the detector build its plates whole."""
    whole = detector.plates
    detector.plates = lambda geometry: tuple(replace(plate, layer=None) for plate in whole(geometry))


def python_step(geometry: Any) -> Any:
    """A stepping action that finds the voxel of each step."""
    import geant4_pybind as g4

    edges_z = [layer.z_max for layer in geometry.layers]
    shapes = [layer.grid.shape for layer in geometry.layers if isinstance(layer.grid, CartesianGrid)]
    width = 2 * geometry.layers[0].grid.x_edges[-1]
    voxels = [np.zeros(shape) for shape in shapes]

    class Stepping(g4.G4UserSteppingAction):
        def UserSteppingAction(self, step: Any) -> None:
            energy = step.GetTotalEnergyDeposit()
            if energy <= 0:
                return
            at = (step.GetPreStepPoint().GetPosition() + step.GetPostStepPoint().GetPosition()) / 2
            layer = next((k for k, edge in enumerate(edges_z) if at.z < edge), None)
            if layer is None or not (abs(at.x) < width / 2 and abs(at.y) < width / 2):
                return
            n_x, n_y = shapes[layer]
            voxels[layer][int((at.x / width + 0.5) * n_x), int((at.y / width + 0.5) * n_y)] += energy

    return Stepping()


def run_variant(variant: str, e_kin: float, n: int) -> dict[str, float]:
    """CPU seconds per shower of one variant, in this process."""
    os.environ.update(find_data().environment)
    geometry = get_geometry("calogan")
    if variant != "cells":
        without_cells()
    geant4 = Geant4(geometry, particle="e+", physics="em")
    if variant == "python step":
        action = python_step(geometry)
        geant4._manager.SetUserAction(action)  # the benchmark's own variant
    events = [
        Event(index=k, e_kin=e_kin, entry=(0, 0), seeds=Event.random_state(1, k, 0)) for k in range(n + 1)
    ]
    list(geant4.showers(events[:1]))
    begin = time.process_time()
    results = list(geant4.showers(events[1:]))
    seconds = time.process_time() - begin
    return {"cpu_s": seconds / n, "deposited_MeV": float(np.mean([v.sum() for _, v, _ in results]))}


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--energy", type=float, default=50.0, help="GeV")
    parser.add_argument("-n", "--showers", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    if args.variant:
        result = run_variant(args.variant, args.energy * GeV, args.showers)
        print("RESULT " + json.dumps(result), flush=True)
        os._exit(0)  # Geant4 and Python disagree about who cleans up the action

    times: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for _ in range(args.rounds):
        for variant in VARIANTS:
            command = [sys.executable, __file__, "--variant", variant, "--energy", str(args.energy)]
            command += ["-n", str(args.showers)]
            text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            line = next(line for line in text.splitlines() if line.startswith("RESULT "))
            times[variant].append(json.loads(line.removeprefix("RESULT "))["cpu_s"])
    median = {variant: statistics.median(values) for variant, values in times.items()}
    print(f"{args.energy:g} GeV e+ in calogan, CPU s per shower, median of {args.rounds} rounds")
    for variant, seconds in median.items():
        print(f"{variant:12s} {seconds:7.3f}  {seconds / median['none']:5.2f} x")
    report = {
        "unit": "CPU s/shower",
        "energy_GeV": args.energy,
        "showers": args.showers,
        "machine": platform.processor() or platform.machine(),
        "caloforge": caloforge.__version__,
        "median": median,
        "rounds": times,
    }
    if args.output:
        with atomic_path(args.output) as part:
            part.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
