"""Put the table of a benchmark into pages, between the lines <!-- timing --> and <!-- /timing -->.

python tools/readme_table.py benchmarks/results/timing README.md docs/benchmarking.md
"""

import argparse
import sys
from pathlib import Path

from caloforge.benchmark import load_benchmark, replace_table
from caloforge.errors import CaloForgeError


def main() -> None:
    """Read, replace; nothing is written if the benchmark or a page is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("benchmark", type=Path, help="benchmark.json or its folder")
    parser.add_argument("pages", type=Path, nargs="+")
    args = parser.parse_args()
    try:
        report = load_benchmark(args.benchmark)
        if not report["complete"]:
            sys.exit(f"error: {args.benchmark} is incomplete; measure again.")
        for page in args.pages:
            replace_table(page, report)
    except CaloForgeError as err:
        sys.exit(f"error: {err}")


if __name__ == "__main__":
    main()
