"""Time and peak memory of generating many showers into a file, and of reading it back chunk by chunk.

    python benchmarks/memory.py -n 1000000 --workers 2 -o benchmarks/results/memory.json

Memory is the largest resident set of any one process, as the operating system counts it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from caloforge.files import atomic_path


def measure(*command: str) -> dict[str, float]:
    """Seconds and peak memory of a command of the package, in a process of its own."""
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script, sys.executable, "-m", "caloforge", *command],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    seconds = time.perf_counter() - begin
    kilobytes = int(done.stdout.split()[-1]) * (1 if sys.platform == "linux" else 1 / 1024)
    return {"seconds": round(seconds, 1), "peak_MB": round(kilobytes / 1024)}


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=100_000)
    parser.add_argument("--model", default="caloflow-eplus")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "showers.h5")
        options = ["-n", str(args.n), "--energies", "1:100", "--workers", str(args.workers), "-o", path]
        rows = {
            "generate": measure("generate", args.model, *options),
            "info": measure("info", path),
            "convert": measure("convert", path, str(Path(folder) / "converted.h5"), "--layout", "calogan"),
        }
        size = Path(path).stat().st_size
    for name, row in rows.items():
        print(f"{name:10s} {args.n:,} showers: {row['seconds']:8.1f} s, peak memory {row['peak_MB']} MB")
    print(f"file: {size / 1e6:.0f} MB")
    if args.output:
        report = {
            "showers": args.n,
            "workers": args.workers,
            "model": args.model,
            "file_MB": size / 1e6,
            "rows": rows,
        }
        with atomic_path(args.output) as part:
            part.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
