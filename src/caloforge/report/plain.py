"""Results as plain JSON data."""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from caloforge.errors import FileFormatError
from caloforge.files import atomic_path

__all__ = ["plain", "read_json", "read_result", "write_json"]

_DIGITS = 7


def plain(value: Any, *, digits: int = _DIGITS) -> Any:
    """Dataclasses, arrays and paths as JSON types; NaN and infinities become null, floats keep ``digits``.

    Example:
        >>> plain({"a": np.array([1.0, np.nan]), "b": (1, 2)})
        {'a': [1.0, None], 'b': [1, 2]}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name), digits=digits) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item, digits=digits) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), digits=digits)
    if isinstance(value, np.generic):
        return plain(value.item(), digits=digits)
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, digits=digits) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


def write_json(data: Any, path: Path) -> None:
    """Write whole; one line, as histograms make long ones anyway."""
    with atomic_path(path) as part:
        part.write_text(json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=True) + "\n")


def read_json(path: Path) -> Any:
    """What :func:`write_json` wrote."""
    return json.loads(path.read_text())


def read_result(
    path: str | Path,
    *,
    name: str,
    schema: str,
    version: int,
    needed: Mapping[str, type],
    what: tuple[str, str],
    again: str,
) -> dict[str, Any]:
    """Read a result of one of the commands, or the one in a folder, and check that it is one.

    Args:
        path: The file, or a folder with a file ``name`` in it.
        name: Name of the file.
        schema: What its entry ``schema`` must be.
        version: The version that is read.
        needed: Entries it must have, with their types.
        what: For messages: what it should have been, and the kind of its version.
        again: For messages: what to do about another version.

    Raises:
        FileFormatError: It is missing, damaged, something else, or of a version that this one cannot read.
    """
    path = Path(path)
    if path.is_dir():
        path = path / name
    try:
        data = read_json(path)
    except OSError as err:
        raise FileFormatError(path, f"cannot be read: {err.strerror}.") from err
    except (ValueError, RecursionError) as err:
        raise FileFormatError(path, f"is not valid JSON: {err}.") from err
    if not isinstance(data, dict) or data.get("schema") != schema:
        raise FileFormatError(path, f"is no {what[0]}.")
    if data.get("schema_version") != version:
        raise FileFormatError(
            path,
            f"has {what[1]} version {data.get('schema_version')!r}, this caloforge reads version {version}; {again}.",
        )
    for key, kind in needed.items():
        if not isinstance(data.get(key), kind):
            raise FileFormatError(path, f"the entry {key!r} is missing or damaged.")
    return data
