"""Where showers come from, kept as JSON in the root attribute ``caloforge`` of a file."""

import json
import math
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import h5py
import numpy as np

from caloforge import __version__
from caloforge.errors import CaloForgeError, ConfigError, FileFormatError
from caloforge.geometry import Geometry

__all__ = ["ATTRIBUTE", "encode_provenance", "read_provenance"]

ATTRIBUTE = "caloforge"
"""Name of the root attribute; its JSON has ``version``, ``layout``, ``geometry`` and ``provenance``."""


def encode_provenance(provenance: Mapping[str, Any], *, geometry: Geometry, layout: str) -> str:
    """The JSON text that goes into a file.

    Attributes of a foreign file stay inside (``provenance["attributes"]``) and are not written as attributes
    again: one that says ``energy_unit = "GeV"`` would be wrong in a file of another layout.

    Raises:
        ConfigError: A value is of a type that JSON does not know.
    """
    data = {
        "version": __version__,
        "layout": layout,
        "geometry": geometry.to_dict(),
        "provenance": dict(provenance),
    }
    try:
        return json.dumps(data, default=_plain, ensure_ascii=True)
    except (TypeError, ValueError) as err:
        raise ConfigError(f"The provenance of showers must be plain JSON data: {err}.") from err


def read_provenance(path: Path, file: h5py.File) -> tuple[Geometry | None, dict[str, Any]]:
    """The geometry that the file names, if any, and the provenance of its showers.

    Raises:
        FileFormatError: The attribute ``caloforge`` is there but is not what this package writes.
    """
    try:
        foreign = {name: _json_value(file.attrs[name]) for name in file.attrs if name != ATTRIBUTE}
        text = file.attrs.get(ATTRIBUTE)
    except (OSError, RuntimeError, TypeError) as err:
        raise FileFormatError(path, f"the root attributes cannot be read: {err}.") from err
    geometry, provenance = (None, {}) if text is None else _decode(path, text)
    if foreign:
        provenance["attributes"] = {**provenance.get("attributes", {}), **foreign}
    return geometry, provenance


def _decode(path: Path, text: Any) -> tuple[Geometry | None, dict[str, Any]]:
    problem = f"the root attribute {ATTRIBUTE!r} is damaged"
    try:
        data = json.loads(text)
        provenance, plain = data.get("provenance", {}), data.get("geometry")
        problem += f" (written by version {data.get('version')}, this is {__version__})"
        _check_types(provenance)
        geometry = None if plain is None else Geometry.from_dict(plain)
    except (TypeError, ValueError, AttributeError, KeyError, RecursionError, CaloForgeError) as err:
        raise FileFormatError(
            path, f"{problem}: {err}. Delete it to read the file as a foreign one."
        ) from err
    return geometry, provenance


def _check_types(provenance: Any) -> None:
    """What the package itself looks into must be what it writes; the rest may be any JSON."""
    if not isinstance(provenance, dict):
        raise TypeError(f"'provenance' is a {type(provenance).__name__}, expected names with values")
    for name, kind, words in (("attributes", dict, "names with values"), ("history", list, "a list")):
        if name in provenance and not isinstance(provenance[name], kind):
            raise TypeError(f"{name!r} is a {type(provenance[name]).__name__}, expected {words}")


def _plain(value: Any) -> Any:
    """JSON for the few other types that end up in a provenance by nature."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{value!r} is a {type(value).__name__}")


def _json_value(value: Any) -> Any:
    """An HDF5 attribute as JSON data; what JSON has no word for becomes its text."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list):
        return [_json_value(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
