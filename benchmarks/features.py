"""Time and memory of all features, averages, profiles and spectra of a sample, in one pass on one core.

    python benchmarks/features.py -o benchmarks/results/features.json

The showers are random: a share of the voxels is hit, with energies over five decades. They come from memory in chunks
of about 8 MB, as :func:`caloforge.io.read_chunks` cuts them; making them is not counted, reading a file would come on
top. Each case runs twice in a process of its own, at full and at a quarter of the size, to show what memory depends on.
Peak memory is that of the process, Python and NumPy included (about 100 MB).
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

CASES = {  # geometry: showers, share of voxels with energy, goal in seconds
    "calogan": (100_000, 0.4, 25.0),
    "calochallenge_2": (20_000, 0.3, None),
    "calochallenge_3": (10_000, 0.1, 90.0),
}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def measure(geometry: str, n: int, occupancy: float) -> dict[str, float]:
    """Seconds, seconds of processor time and peak memory of one pass; in this process."""
    import resource

    import numpy as np

    from caloforge import Showers
    from caloforge.evaluation import sample_statistics
    from caloforge.geometry import get_geometry

    calorimeter = get_geometry(geometry)
    rows = max(1, 2**21 // calorimeter.n_voxels)
    rng = np.random.default_rng(1)
    shape = (rows, calorimeter.n_voxels)
    voxels = (10 ** rng.uniform(-2, 3, shape) * (rng.random(shape) < occupancy)).astype(np.float32)
    chunk = Showers(e_inc=rng.uniform(1e3, 1e5, rows), voxels=voxels, geometry=calorimeter)

    def chunks() -> Iterator[Showers]:
        for start in range(0, n, rows):
            yield chunk if n - start >= rows else chunk[: n - start]

    sample_statistics([chunk[:2]])  # imports and caches
    begin, cpu = time.perf_counter(), time.process_time()
    found = sample_statistics(chunks())
    seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "showers": found.n_showers,
        "voxels": calorimeter.n_voxels,
        "occupancy": occupancy,
        "features": len(found.features),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "peak_MB": round(kilobytes / (1024 if sys.platform == "linux" else 1024**2)),
    }


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", nargs=3, metavar=("GEOMETRY", "N", "OCCUPANCY"), help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    if args.one:
        geometry, n, occupancy = args.one
        print(json.dumps(measure(geometry, int(n), float(occupancy))))
        return

    import numpy as np

    import caloforge
    from caloforge.files import atomic_path

    rows = {}
    print(f"{'':16s} {'showers':>8s} {'voxels':>7s} {'features':>8s} {'time':>9s} {'CPU':>8s} {'peak':>8s}")
    for name, (n, occupancy, goal) in CASES.items():
        for part in (n // 4, n):
            command = [sys.executable, __file__, "--one", name, str(part), str(occupancy)]
            done = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **ONE_THREAD}
            )
            row = json.loads(done.stdout)
            rows[f"{name}, {part}"] = row
            print(
                f"{name:16s} {row['showers']:8,} {row['voxels']:7,} {row['features']:8d} {row['seconds']:7.2f} s "
                f"{row['cpu_seconds']:6.2f} s {row['peak_MB']:5d} MB"
                + (f"  (goal {goal:g} s)" if goal and part == n else "")
            )
    if args.output:
        report = {
            "cases": rows,
            "threads": 1,
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "numpy": np.__version__,
            "caloforge": caloforge.__version__,
        }
        with atomic_path(args.output) as part_file:
            part_file.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
