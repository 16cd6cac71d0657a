"""Models as the command line takes them, and how they generate."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["CompileOption", "PrecisionOption", "check_weights_name"]

PrecisionOption = Annotated[
    str, typer.Option(help="float32, or bfloat16: faster on processors that have it, slower on others.")
]
CompileOption = Annotated[
    bool,
    typer.Option("--compile", help="Compile first, for single showers: minutes once. Needs a C++ compiler."),
]


def check_weights_name(name: str) -> None:
    """Say so where a file of showers is given in place of a model, which is easily done; anything else passes.

    Raises:
        CheckpointError: It is an HDF5 file.
    """
    import h5py

    from caloforge.errors import CheckpointError

    path = Path(name)
    try:
        is_hdf5 = path.is_file() and h5py.is_hdf5(path)
    except OSError:  # too long a name, of which whoever opens it says so
        return
    if is_hdf5:
        raise CheckpointError(
            path,
            "is an HDF5 file, as showers are stored in, and not weights; give shipped weights (`caloforge models` "
            "lists them), a weights file (.safetensors) or the folder of a run.",
        )
