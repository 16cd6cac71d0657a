"""Intrinsic dimension of Geant4 showers of several particles: the figure and numbers of docs/caloman.md.

    python benchmarks/dimension.py eplus.h5 gamma.h5 piplus.h5 -o docs/images/dimension.png --json OUT.json

    python benchmarks/dimension.py --timing 100000

The second says how long so many showers take, which a shipped model generates.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

from caloforge import io
from caloforge.evaluation import dimension_study
from caloforge.generation import load_model
from caloforge.plotting.dimension import draw_dimensions
from caloforge.plotting.style import save_figure
from caloforge.showers import Showers

KS = (5, 10, 20, 50)
SPACES = ("normalised", "log", "energy")


def generated(n: int) -> Showers:
    """``n`` photon showers of different energies."""
    generator = load_model("groupwise-gamma")
    return generator.sample(np.linspace(*generator.e_inc_range, n), seed=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--timing", type=int)
    parser.add_argument("--spaces", nargs="+", default=SPACES, choices=SPACES)
    options = parser.parse_args()
    if options.timing:
        showers = generated(options.timing)
        start, cpu = time.perf_counter(), time.process_time()
        study = dimension_study(showers, ks=KS)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        print(
            f"{options.timing:,} showers x {showers.geometry.n_voxels} voxels: {seconds:.0f} s, {cpu:.0f} s of CPU, "
            f"{os.environ.get('OMP_NUM_THREADS', 'all')} threads; {study.whole.estimates[1].dimension:.1f} dimensions"
        )
        return
    found = {
        space: {path.stem: dimension_study(io.read(path), ks=KS, space=space) for path in options.files}
        for space in options.spaces
    }
    if options.output:
        save_figure(draw_dimensions(found[options.spaces[0]], k=10), options.output)
    if options.json:
        plain = {
            space: {name: study.to_dict() for name, study in studies.items()}
            for space, studies in found.items()
        }
        options.json.write_text(json.dumps(plain, indent=1))
    for space, studies in found.items():
        for name, study in studies.items():
            print(
                space, name, *(f"k = {e.k}: {e.dimension:.1f} ± {e.error:.1f}" for e in study.whole.estimates)
            )


if __name__ == "__main__":
    main()
