"""Put the table of classifier tests into pages, between the lines <!-- results --> and <!-- /results -->.

python tools/results_table.py benchmarks/results README.md docs/weights.md

Its rows are the reports ``evaluation-NAME.json`` of the folder, of shipped weights NAME, with the floor, Geant4 against
Geant4, of the first report of a particle that has one for every column.
"""

import argparse
import json
from pathlib import Path
from typing import Any

PARTICLES = {"eplus": "e+", "gamma": "gamma", "piplus": "pi+"}
COLUMNS = {
    "image network": "log-voxels",
    "trees, all features": "features",
    "only local structure": "local structure",
    "only hit energies": "hit energies",
}
"""Title of a column, and the inputs of a classifier or the group of features that trees were confined to."""
BEGIN, END = "<!-- results -->\n", "<!-- /results -->"


def cells(report: dict[str, Any], which: str) -> list[str]:
    """AUC and spread of each column, of the generated sample (``result``) or of the floor, which groups lack."""
    found = {test["result"]["config"]["inputs"]: test[which] for test in report["classifiers"]}
    if which == "result":
        found |= {test["group"]: test for test in report["groups"]}
    results = [found.get(inputs) for inputs in COLUMNS.values()]
    return ["" if r is None else f"{r['auc']:.3f} ± {r['auc_spread']:.3f}" for r in results]


def table(folder: Path) -> str:
    """As markdown; rows by particle, then by name."""
    reports = {
        path.stem.removeprefix("evaluation-"): json.loads(path.read_text())
        for path in sorted(folder.glob("evaluation-*.json"))
    }
    rows = [["showers", "particle", *COLUMNS], ["---"] * (2 + len(COLUMNS))]
    for ending, particle in PARTICLES.items():
        mine = {name: report for name, report in reports.items() if name.endswith(f"-{ending}")}
        rows += [[f"`{name}`", particle, *cells(report, "result")] for name, report in mine.items()]
        floors = [cells(report, "floor") for report in mine.values()]
        rows += [["Geant4 itself", particle, *floor] for floor in [f for f in floors if any(f)][:1]]
    return "".join(
        "|" + "|".join(f" {cell} " if cell != "---" else "---" for cell in row) + "|\n" for row in rows
    )


def main() -> None:
    """Replace the table in each page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("pages", type=Path, nargs="+")
    args = parser.parse_args()
    for page in args.pages:
        before, rest = page.read_text().split(BEGIN)
        page.write_text(before + BEGIN + table(args.folder) + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
