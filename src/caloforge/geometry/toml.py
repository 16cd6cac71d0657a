"""Geometries as TOML files, the form that people write and keep beside their showers."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from caloforge.errors import CaloForgeError, ConfigError, FileFormatError
from caloforge.files import atomic_path
from caloforge.geometry.geometry import Geometry

__all__ = ["parse_geometry", "read_geometry", "read_small_file", "write_geometry"]

_MAX_BYTES = 10_000_000  # calochallenge_3 written out takes 30 kB; showers given by mistake take more
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def read_geometry(path: Path | str) -> Geometry:
    """Read a geometry from TOML, with the keys of :meth:`Geometry.from_dict`.

    Raises:
        FileFormatError: There is no such file, or it is not TOML; the message has line and column.
        ConfigError: The TOML is sound but describes no calorimeter; the message has the place.
    """
    return parse_geometry(read_small_file(Path(path)), path)


def parse_geometry(content: bytes, path: Path | str) -> Geometry:
    """Geometry from the bytes of a TOML file; ``path`` is for the messages."""
    try:
        data = tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as err:
        raise FileFormatError(path, f"not a text file in UTF-8 (byte {err.start}).") from err
    except tomllib.TOMLDecodeError as err:
        raise FileFormatError(path, f"not valid TOML: {err}.") from err
    except RecursionError as err:
        raise FileFormatError(path, "not a geometry: nested too deeply.") from err
    try:
        return Geometry.from_dict(data)
    except CaloForgeError as err:
        raise ConfigError(f"{path}: {err}") from err


def read_small_file(path: Path) -> bytes:
    """Contents of a file that people write by hand.

    Raises:
        FileFormatError: It does not exist, cannot be read, or is far too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError as err:
        raise FileFormatError(path, "no such file.") from err
    except (OSError, ValueError) as err:  # ValueError: a null byte in the name
        raise FileFormatError(path, f"cannot be read: {getattr(err, 'strerror', None) or err}.") from err
    if len(content) > _MAX_BYTES:
        raise FileFormatError(path, f"larger than {_MAX_BYTES // 1_000_000} MB, so it describes no geometry.")
    return content


def write_geometry(geometry: Geometry, path: Path | str) -> None:
    """Write a geometry as TOML, whole or not at all; :func:`read_geometry` gives it back.

    Raises:
        OutputError: The file cannot be written.
    """
    content = "\n".join(_lines(geometry.to_dict(), prefix="")).strip() + "\n"
    with atomic_path(Path(path)) as part:
        part.write_bytes(content.encode("utf-8", errors="replace"))


def _lines(data: Mapping[str, Any], prefix: str) -> list[str]:
    """Lines of a table: its values first, then its tables, as TOML demands."""
    lines, tables = [], []
    for key, value in data.items():
        name = prefix + _key(key)
        if isinstance(value, Mapping):
            tables += ["", f"[{name}]", *_lines(value, f"{name}.")]
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for item in value:
                tables += ["", f"[[{name}]]", *_lines(item, f"{name}.")]
        else:
            lines.append(f"{_key(key)} = {_value(value)}")
    return lines + tables


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _value(key)


def _value(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str | bool):
        # JSON's texts are TOML's, but for the one control character that JSON leaves alone.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
