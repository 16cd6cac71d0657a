"""Trained weights that come with the package, and how a name or a path becomes a weights file."""

from importlib import resources
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from caloforge.errors import CheckpointError, UnknownNameError
from caloforge.models.checkpoint import read_header

__all__ = ["BEST", "STATE", "file_facts", "find_weights", "shipped_weights", "weights_facts"]

_FOLDER = Path(str(resources.files("caloforge"))) / "zoo"
BEST, STATE = "best.safetensors", "state.safetensors"
"""Names in a run's folder: what is generated with, and what training continues from."""
_HDF5 = b"\x89HDF\r\n\x1a\n"


def shipped_weights() -> dict[str, Path]:
    """Names and files of the weights in the package."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.safetensors"))}


def find_weights(name_or_path: str | Path) -> Path:
    """The weights file of a shipped name, of a training run's folder, or the file itself.

    Raises:
        UnknownNameError: No shipped weights have this name and no such path exists.
        CheckpointError: The path is a folder without trained weights, or a file of showers.
    """
    path = Path(name_or_path)
    if path.is_dir():
        if not (path / BEST).is_file():
            if (path / STATE).is_file():
                raise CheckpointError(
                    path,
                    f"is a run that has not reached its last stage, so it holds no {BEST} yet; continue it with "
                    "`caloforge train ... --resume`.",
                )
            raise CheckpointError(path, f"holds no {BEST}; give the folder of a finished `caloforge train`.")
        return path / BEST
    if path.is_file():
        _refuse_showers(path)
        return path
    shipped = shipped_weights()
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    if path.suffix == ".safetensors" or len(path.parts) > 1:
        raise CheckpointError(path, "there is no such weights file or run folder.")
    raise UnknownNameError("model", str(name_or_path), shipped)


def _refuse_showers(path: Path) -> None:
    """A file of showers in place of a model is easily given."""
    try:
        with path.open("rb") as file:
            is_hdf5 = file.read(len(_HDF5)) == _HDF5
    except OSError:  # whoever opens it next says so
        return
    if is_hdf5:
        raise CheckpointError(
            path,
            "is an HDF5 file, as showers are stored in, and not weights; give shipped weights (`caloforge models` "
            "lists them), a weights file (.safetensors) or the folder of a run.",
        )


def weights_facts() -> dict[str, dict[str, Any]]:
    """What the shipped weights say about themselves: provenance and measured fidelity, JSON types; energies in MeV."""
    return {name: file_facts(path) for name, path in shipped_weights().items()}


def file_facts(path: Path) -> dict[str, Any]:
    """What one weights file says about itself, JSON types; energies in MeV.

    Raises:
        CheckpointError: The file is damaged, foreign, or of a newer format.
    """
    header = read_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            e_inc_range = file.get_tensor("e_inc_range").tolist()
    except SafetensorError as err:
        raise CheckpointError(path, f"holds no range of energies ({err}).") from err
    return {
        "family": header.family,
        "geometry": header.geometry.name,
        "bytes": path.stat().st_size,
        "file": str(path),
        "version": header.version,
        "e_inc_range": e_inc_range,
        **header.provenance,
    }
