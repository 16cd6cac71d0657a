"""Turn a finished training run into weights for the package, or add measured fidelity to them.

    python tools/release_weights.py pack RUN NAME            # RUN/best.safetensors -> zoo/NAME.safetensors, float16
    python tools/release_weights.py describe NAME REPORT.json # put the figures of a fidelity report into its header

Fidelity is measured between the two, on the rounded weights, by benchmarks/fidelity.py.
"""

import json
import sys
from pathlib import Path

from caloforge.models.checkpoint import load_checkpoint, save_model

ZOO = Path(__file__).parents[1] / "src" / "caloforge" / "zoo"


def pack(run: str, name: str) -> None:
    """Round a run's best weights to float16 and put them into the zoo."""
    model, header = load_checkpoint(Path(run) / "best.safetensors")
    provenance = header.provenance | {"rounded_to": "float16"}
    save_model(
        model, ZOO / f"{name}.safetensors", family=header.family, provenance=provenance, half="float16"
    )


def describe(name: str, report: str) -> None:
    """Copy the summary of a fidelity report into the header; the weights stay as they are."""
    path = ZOO / f"{name}.safetensors"
    model, header = load_checkpoint(path)
    figures = json.loads(Path(report).read_text())
    known = header.provenance["weights_id"]
    if figures["weights"] != known:
        sys.exit(f"{report} is about other weights ({figures['weights']}) than {path} holds ({known})")
    fidelity = {key: figures[key] for key in ("reference", "auc", "auc_floor", "nll", "trainings")}
    provenance = header.provenance | {"fidelity": fidelity}
    save_model(model, path, family=header.family, provenance=provenance, half="float16")


if __name__ == "__main__":
    {"pack": pack, "describe": describe}[sys.argv[1]](*sys.argv[2:])
