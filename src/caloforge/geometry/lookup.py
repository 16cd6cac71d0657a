"""Geometries by name, from those that come with the package, or from a user's file."""

import functools
from importlib import resources
from pathlib import Path

from caloforge.errors import FileFormatError, UnknownNameError
from caloforge.geometry.binning_xml import read_binning_xml
from caloforge.geometry.geometry import Geometry
from caloforge.geometry.toml import parse_geometry, read_geometry

__all__ = ["catalogue", "get_geometry"]

_FOLDER = resources.files("caloforge.geometry") / "catalogue"


@functools.cache
def catalogue() -> tuple[str, ...]:
    """Names of the geometries that come with the package.

    Example:
        >>> catalogue()[:2]
        ('calochallenge_1_photons', 'calochallenge_1_pions')
    """
    names = (entry.name for entry in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@functools.cache
def _shipped(name: str) -> Geometry:
    entry = _FOLDER / f"{name}.toml"
    return parse_geometry(entry.read_bytes(), f"catalogue/{name}.toml")


def get_geometry(name_or_path: str | Path) -> Geometry:
    """A geometry of the catalogue, or the one in a user's file.

    Args:
        name_or_path: A name of :func:`catalogue`, or the path of a TOML file or of a CaloChallenge binning
            XML with one particle.

    Raises:
        UnknownNameError: No such name, and it does not look like a path; suggests the closest name.
        FileFormatError: There is no such file, or it is neither TOML nor XML.
        ConfigError: The file describes no calorimeter.

    Example:
        >>> get_geometry("calogan").n_voxels
        504
    """
    if name_or_path in catalogue():
        return _shipped(str(name_or_path))
    path = Path(name_or_path)
    match path.suffix.lower():
        case ".toml":
            return read_geometry(path)
        case ".xml":
            return read_binning_xml(path)
    if isinstance(name_or_path, str) and len(path.parts) <= 1 and not path.is_file():
        raise UnknownNameError("geometry", name_or_path, catalogue())
    if not path.exists():
        raise FileFormatError(
            path, "no such file; a geometry is a .toml or .xml file, or a name of the catalogue."
        )
    raise FileFormatError(path, "not a geometry; expected a .toml file or a CaloChallenge binning .xml.")
