"""Time of Geant4 showers: CPU seconds by calorimeter, particle and energy, and scaling over worker processes.

    python benchmarks/simulation.py [-o benchmarks/results/simulation.json]

Every cell of the table is the mean over a few showers, from the sample's own record of CPU seconds, which leaves out
the set-up of Geant4. The scaling is wall time of the same sample by 1, 2 ... processes, set-up and joining included.
Geant4's data sets must be found (docs/simulating.md).
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import caloforge
from caloforge.energies import DiscreteEnergies
from caloforge.files import atomic_path
from caloforge.geometry import get_geometry
from caloforge.production import run_job
from caloforge.simulation import SimulationJob
from caloforge.units import GeV

CASES = {
    "calogan": ("e+", "gamma", "pi+"),
    "ild_ecal": ("gamma", "pi+"),
    "calochallenge_2": ("e-", "pi+"),
    "calochallenge_3": ("e-",),
}


def simulate(folder: Path, geometry: str, particle: str, e_kin: float, n: int, *, workers: int = 1) -> dict:
    """Provenance of a small sample, with the wall time it took."""
    job = SimulationJob(
        geometry=get_geometry(geometry),
        particle=particle,
        n_showers=n,
        energies=DiscreteEnergies((e_kin,)),
        seed=1,
        output=folder / "showers.h5",
    )
    begin = time.perf_counter()
    run_job(job, workers=workers, overwrite=True)
    wall = time.perf_counter() - begin
    return caloforge.read(job.output, geometry=job.geometry).provenance | {"wall_s": wall}


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--energies", default="1,20,50,100", help="GeV")
    parser.add_argument("--gev", type=float, default=400.0, help="incident energy to spend on each cell, GeV")
    parser.add_argument("--most", type=int, default=100, help="most showers of a cell")
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    energies = [float(energy) for energy in args.energies.split(",")]
    table: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("CPU s per shower (FTFP_BERT, cut 0.7 mm)")
        print(f"{'calorimeter':16s}{'particle':>9s}" + "".join(f"{energy:>9g} GeV" for energy in energies))
        for geometry, particles in CASES.items():
            for particle in particles:
                row = {}
                for energy in energies:
                    n = max(4, min(args.most, int(args.gev / energy)))
                    facts = simulate(folder, geometry, particle, energy * GeV, n)
                    row[f"{energy:g}"] = facts["cpu_seconds"] / n
                table[f"{geometry} {particle}"] = row
                print(
                    f"{geometry:16s}{particle:>9s}" + "".join(f"{s:13.3f}" for s in row.values()), flush=True
                )
        n_scaling = 400
        scaling = {
            workers: statistics.median(
                simulate(folder, "calogan", "e+", 5 * GeV, n_scaling, workers=int(workers))["wall_s"]
                for _ in range(2)
            )
            for workers in args.workers.split(",")
        }
    print(f"wall time of {n_scaling} e+ of 5 GeV in calogan by processes ({os.cpu_count()} cores)")
    for workers, seconds in scaling.items():
        print(f"{workers:>3s} {seconds:7.1f} s")
    report = {
        "unit": "CPU s/shower",
        "physics": "FTFP_BERT",
        "geant4_data": facts["geant4_data"]["versions"],
        "geant4": facts["geant4"],
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "caloforge": caloforge.__version__,
        "cpu_s": table,
        "wall_s_by_workers": scaling,
        "wall_s_showers": n_scaling,
    }
    if args.output:
        with atomic_path(args.output) as part:
            part.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
