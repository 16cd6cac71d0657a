"""Turn a finished training run into weights for the package, or add measured fidelity to them.

    python tools/release_weights.py pack RUN NAME            # RUN/best.safetensors -> zoo/NAME.safetensors, float16
    python tools/release_weights.py describe NAME REPORT.json # put the AUCs of a report into its header
    python tools/release_weights.py physics NAME perpendicular # and the physics that it learned, see below

``train`` records the physics that the file of training showers names. Where it does not say how the particles meet
the calorimeter, ``perpendicular`` says that they do so perpendicularly, in the centre.

Between the two, the rounded weights are judged by ``caloforge evaluate --level full``, see docs/weights.md.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file

from caloforge.files import atomic_path
from caloforge.geometry import Incidence
from caloforge.io.physics import Physics
from caloforge.models.checkpoint import load_checkpoint, read_header, save_model

ZOO = Path(__file__).parents[1] / "src" / "caloforge" / "zoo"


def pack(run: str, name: str) -> None:
    """Round a run's best weights to float16 and put them into the zoo."""
    model, header = load_checkpoint(Path(run) / "best.safetensors")
    provenance = header.provenance | {"rounded_to": "float16"}
    save_model(
        model, ZOO / f"{name}.safetensors", family=header.family, provenance=provenance, half="float16"
    )


def describe(name: str, report: str) -> None:
    """Copy the classifier tests of an evaluation into the header; the weights stay as they are."""
    path = ZOO / f"{name}.safetensors"
    found = json.loads(Path(report).read_text())
    judged = found["samples"]["generated"]["provenance"].get("weights")
    known = read_header(path).provenance["weights_id"]
    if judged != known:
        sys.exit(f"{report} is about other weights ({judged}) than {path} holds ({known})")
    _add(path, fidelity=summary(found))


def physics(name: str, incidence: str = "") -> None:
    """Put the physics that the weights learned into the header: what their training showers said of themselves."""
    path = ZOO / f"{name}.safetensors"
    found = Physics.of(read_header(path).provenance)
    if incidence not in ("", "perpendicular"):
        sys.exit(f"the incidence can only be said to be perpendicular, not {incidence!r}")
    if incidence:
        if found.incidence not in (None, Incidence()):
            sys.exit(f"{path} knows of another incidence: {found.incidence}")
        found = replace(found, incidence=Incidence())
    _add(path, physics=found.table())


def _add(path: Path, **entries: Any) -> None:
    """More in the provenance; the tensors and all else in the header stay as they are."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    header = json.loads(metadata["caloforge"])
    header["provenance"] |= entries
    with atomic_path(path) as part:
        save_file(load_file(path), part, metadata=metadata | {"caloforge": json.dumps(header)})


def summary(report: dict[str, Any]) -> dict[str, Any]:
    """Mean and spread of each classifier's AUC, and of its floor, by the classifier's inputs."""
    reference = report["samples"]["reference"]
    figures: dict[str, Any] = {
        "reference": {key: reference[key] for key in ("name", "start", "n_showers")},
        "trainings": report["settings"]["trainings"],
        "auc": {},
        "auc_floor": {},
    }
    for test in report["classifiers"]:
        config = test["result"]["config"]
        inputs = "trees" if config["architecture"] == "trees" else config["inputs"]
        for key, result in (("auc", test["result"]), ("auc_floor", test["floor"])):
            if result is None:  # a report without a second reference has no floor
                continue
            figures[key][inputs] = {"mean": round(result["auc"], 5), "std": round(result["auc_spread"], 5)}
    return figures


if __name__ == "__main__":
    {"pack": pack, "describe": describe, "physics": physics}[sys.argv[1]](*sys.argv[2:])
