"""One file per model: weights and preprocessing as safetensors, everything else as JSON in its header.

Nothing in the file is executed: safetensors holds numbers, the header is parsed as JSON, and the settings
are checked like any other configuration. Pickle is not used.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from caloforge import __version__
from caloforge.errors import CaloForgeError, CheckpointError
from caloforge.files import atomic_path
from caloforge.geometry import Geometry
from caloforge.models import build_model
from caloforge.models.base import ShowerModel
from caloforge.seeding import digest

__all__ = [
    "FORMAT",
    "CheckpointHeader",
    "save_model",
    "read_header",
    "load_checkpoint",
    "load_weights",
    "weights_id",
]

FORMAT = 1
_KEY = "caloforge"
_HEADER_TYPES = {"version": str, "family": str, "settings": dict, "provenance": dict}
_SMALL = 1_000_000  # parameters that any file may ask for
_HALF = {"float16": torch.float16, "bfloat16": torch.bfloat16}


@final
@dataclass(frozen=True, kw_only=True)
class CheckpointHeader:
    """What a weights file says about itself."""

    family: str
    """Key of :data:`caloforge.models.FAMILIES`."""
    settings: dict[str, Any]
    """The ``[model]`` table that builds the model."""
    geometry: Geometry
    provenance: dict[str, Any] = field(default_factory=dict)
    """Recipe, training data and its split, seeds, versions, measured fidelity: JSON types."""
    version: str = __version__
    """Version of this package that wrote the file."""


def save_model(
    model: ShowerModel,
    path: Path,
    *,
    family: str,
    provenance: Mapping[str, Any],
    half: str | None = None,
) -> None:
    """Write a model's weights, atomically.

    Args:
        model: The model.
        path: Target file; replaced if it exists.
        family: Its key in :data:`caloforge.models.FAMILIES`.
        provenance: Where it comes from; JSON types. ``weights_id`` is added, see :func:`weights_id`.
        half: ``"float16"`` or ``"bfloat16"`` rounds the flows' trainable weights to half the size;
            preprocessing keeps its precision.

    Raises:
        OutputError: The file cannot be written.
    """
    trainable = {name for name, _ in model.named_parameters()}
    tensors = {}
    for name, tensor in model.state_dict().items():
        weight = name in trainable or name.endswith("weight_packed")
        tensors[name] = (
            tensor.detach().cpu().contiguous().to(_HALF[half] if half and weight else tensor.dtype)
        )
    known = dict(provenance) | {"weights_id": weights_id(tensors)}
    header = {
        "format": FORMAT,
        "version": __version__,
        "family": family,
        "settings": model.settings,
        "geometry": model.geometry.to_dict(),
        "provenance": known,
    }
    with atomic_path(path) as part:
        try:
            save_file(tensors, part, metadata={_KEY: json.dumps(header)})
        except SafetensorError as err:  # wraps the operating system's error
            raise OSError(str(err)) from err


def weights_id(tensors: Mapping[str, torch.Tensor]) -> str:
    """Digest of a file's tensors: the same for the same numbers, whatever the header says beside them."""
    parts = []
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        parts.append(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        parts.append(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest(b"".join(parts))


def read_header(path: Path) -> CheckpointHeader:
    """What a weights file says about itself, without loading the weights.

    Raises:
        CheckpointError: The file is missing, truncated, foreign, or of a newer format.
    """
    if not path.is_file():
        raise CheckpointError(path, "there is no such weights file.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as err:
        raise CheckpointError(
            path, f"is no safetensors file or is damaged ({err}); copy or train it again."
        ) from err
    if _KEY not in metadata:
        raise CheckpointError(
            path, "is a safetensors file, but not one of caloforge (no 'caloforge' header)."
        )
    try:
        header = json.loads(metadata[_KEY])
        _check_header(path, header)
        return CheckpointHeader(
            family=header["family"],
            settings=header["settings"],
            geometry=Geometry.from_dict(header["geometry"]),
            provenance=header["provenance"],
            version=header["version"],
        )
    except CheckpointError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, CaloForgeError) as err:
        raise CheckpointError(path, f"has a damaged header ({type(err).__name__}: {err}).") from err


def _check_header(path: Path, header: Any) -> None:
    if not isinstance(header, dict):
        raise CheckpointError(path, f"has a damaged header (it is {header!r:.80}).")
    if header["format"] > FORMAT:
        raise CheckpointError(
            path, f"has format {header['format']}, this version reads up to {FORMAT}; upgrade caloforge."
        )
    for key, kind in _HEADER_TYPES.items():
        if not isinstance(header[key], kind):
            raise CheckpointError(
                path, f"has a damaged header ({key} must be {kind.__name__}, is {header[key]!r:.80})."
            )


def load_checkpoint(
    path: Path, *, device: torch.device | str = "cpu"
) -> tuple[ShowerModel, CheckpointHeader]:
    """Build the model of a weights file and load its weights, ready to generate.

    Raises:
        CheckpointError: As :func:`read_header`, or the weights do not fit the settings, are not finite, or
            have not been trained.
    """
    header = read_header(path)
    try:
        # A file holds at least half of a model's parameters (the rest is masked), in two bytes or more each.
        max_parameters = max(_SMALL, 4 * path.stat().st_size)
        model = build_model(header.family, header.settings, header.geometry, max_parameters=max_parameters)
    except (CaloForgeError, ValueError, TypeError, RuntimeError, MemoryError, OverflowError) as err:
        problem = " ".join(str(err).split())[:300]
        raise CheckpointError(path, f"describes a model that cannot be built: {problem}") from err
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        load_weights(model, tensors)
    except (SafetensorError, OSError, RuntimeError) as err:
        problem = " ".join(str(err).split())[:300]
        raise CheckpointError(path, f"its weights do not fit its settings: {problem}") from err
    low, high = model.e_inc_range.tolist()
    if not 0 < low <= high:
        raise CheckpointError(path, f"was trained on no energies (its range is {low} to {high} MeV).")
    if bad := [name for name, value in model.state_dict().items() if not torch.isfinite(value).all()]:
        raise CheckpointError(path, f"has weights that are not finite, first in {bad[0]!r}.")
    return model.to(device).eval().requires_grad_(requires_grad=False), header


def load_weights(model: ShowerModel, tensors: Mapping[str, torch.Tensor]) -> None:
    """Load a state dict whose weights may have been rounded to half precision, or are float64."""
    names = {name for name, _ in model.named_parameters()}
    trained = [value for key, value in tensors.items() if key in names or key.endswith(".weight_packed")]
    if any(v.dtype == torch.float64 for v in trained):
        model.set_precision(torch.float64)
    own = model.state_dict()
    model.load_state_dict({k: v.to(own[k].dtype) if k in own else v for k, v in tensors.items()}, strict=True)
