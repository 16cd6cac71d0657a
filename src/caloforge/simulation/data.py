"""The data sets that Geant4 reads: found and checked before Geant4 starts, which would ask or abort.

Geant4 finds each set by an environment variable of its own. ``geant4-pybind`` keeps downloaded sets in
``~/.geant4_pybind`` and, where one is missing, asks on the terminal as soon as it is imported; so the
variables are settled here, and given to the worker processes, first.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from caloforge.errors import CaloForgeError

__all__ = ["DataSets", "Geant4DataError", "find_data"]

DOWNLOAD_COMMAND: Final = 'echo y | python -c "import geant4_pybind"'
"""Fetches the official sets (about 2 GB) into :data:`DOWNLOAD_FOLDER`."""
DOWNLOAD_FOLDER: Final = "~/.geant4_pybind"

_VARIABLES: Final = {
    "G4EMLOW": "G4LEDATA",
    "G4PARTICLEXS": "G4PARTICLEXSDATA",
    "PhotonEvaporation": "G4LEVELGAMMADATA",
    "G4ENSDFSTATE": "G4ENSDFSTATEDATA",
    "G4SAIDDATA": "G4SAIDXSDATA",
}
"""Sets that every physics list on offer needs, with their variables."""
_VARIABLES_HP: Final = {"G4NDL": "G4NEUTRONHPDATA", "RadioactiveDecay": "G4RADIOACTIVEDATA"}
"""And those of lists with high-precision neutrons (``..._HP``)."""


_TELLING: Final = {
    "G4EMLOW": "brem_SB",
    "G4PARTICLEXS": "neutron",
    "G4ENSDFSTATE": "ENSDFSTATE.dat",
    "G4NDL": "Elastic",
    "RadioactiveDecay": "z1.a3",
}
"""A part of a set that Geant4 opens at once, and aborts without."""


class Geant4DataError(CaloForgeError, FileNotFoundError):
    """Data sets of Geant4 are missing; the message says which, where they were sought, and how to get them."""


@final
@dataclass(frozen=True, kw_only=True)
class DataSets:
    """Where each data set is, and which one it is."""

    folders: dict[str, str]
    """Folder of each set, by its name."""
    source: str
    """How they were found, for people."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables for Geant4 and for the import of ``geant4_pybind``, which asks nothing when they are set."""
        variables = {_all_variables()[name]: folder for name, folder in self.folders.items()}
        return {"GEANT4_DATA_DIR": str(Path(self.folders["G4EMLOW"]).parent), **variables}

    @property
    def versions(self) -> dict[str, str]:
        """Version of each set: from the name of its folder, as ``G4EMLOW8.8``; else ``"reduced"`` or ``"unknown"``."""
        return {name: _version(Path(folder)) or self._unversioned for name, folder in self.folders.items()}

    @property
    def _unversioned(self) -> str:
        # Cut-down tables for tests lack the models that standard physics does not use.
        return "unknown" if (Path(self.folders["G4EMLOW"]) / "livermore").is_dir() else "reduced"

    def facts(self) -> dict[str, Any]:
        """For the provenance of showers."""
        return {"source": self.source, "versions": self.versions}


def find_data(
    folder: Path | None = None, *, physics: str = "FTFP_BERT", environ: Mapping[str, str] | None = None
) -> DataSets:
    """Find the data sets: in ``folder``, else by Geant4's variables, else where geant4-pybind downloads them.

    Args:
        folder: Holds the sets as unpacked, ``G4EMLOW8.8`` and so on.
        physics: Name of the physics list; those with high-precision neutrons need one set more.
        environ: The environment variables, by default those of the process.

    Raises:
        Geant4DataError: A set is missing, or a variable names no folder.
    """
    environ = os.environ if environ is None else environ
    needed = _VARIABLES | (_VARIABLES_HP if "_HP" in physics else {})
    if folder is not None:
        found = {name: path for name in needed if (path := _in_folder(folder, name))}
        return _complete(found, needed, source="given folder", sought=f"in {folder}")
    if any(variable in environ for variable in needed.values()):
        by_variable = {name: environ[variable] for name, variable in needed.items() if variable in environ}
        for name, path in by_variable.items():
            if not Path(path).is_dir():
                raise Geant4DataError(
                    f"The variable {needed[name]} names the Geant4 data set {name}, but {path} is no folder. "
                    "Correct it, or unset it and give the folder of all sets with --geant4-data DIR."
                )
        rest = _common_folder(environ)
        by_folder = {name: path for name in needed if (path := _in_folder(rest, name))}
        return _complete(
            by_folder | by_variable, needed, source="environment variables", sought="by the variables"
        )
    common = _common_folder(environ)
    found = {name: path for name in needed if (path := _in_folder(common, name))}
    return _complete(found, needed, source=f"folder {common.name}", sought=f"in {common}")


def _common_folder(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("GEANT4_DATA_DIR", DOWNLOAD_FOLDER)).expanduser()


def _in_folder(folder: Path, name: str) -> str | None:
    """The newest version of a set in a folder of sets."""
    pattern = re.compile(rf"{name}[\d.]*")
    try:
        matches = [entry for entry in folder.iterdir() if pattern.fullmatch(entry.name) and entry.is_dir()]
    except OSError:
        return None
    return str(max(matches, key=_order)) if matches else None


def _order(path: Path) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", _version(path) or "")))


def _version(path: Path) -> str | None:
    match = re.search(r"(\d+(?:\.\d+)+)$", path.name)
    return match[1] if match else None


def _complete(found: dict[str, str], needed: Mapping[str, str], *, source: str, sought: str) -> DataSets:
    if missing := [f"{name} ({variable})" for name, variable in needed.items() if name not in found]:
        raise Geant4DataError(
            f"Geant4 data sets are missing: {', '.join(missing)}; sought {sought}. "
            f"Fetch the official ones (about 2 GB) with: {DOWNLOAD_COMMAND} ; or, where they lie elsewhere, set "
            "these variables or give their folder with --geant4-data DIR."
        )
    for name, part in _TELLING.items():
        if name in found and not (Path(found[name]) / part).exists():
            raise Geant4DataError(
                f"{found[name]} is not the Geant4 data set {name}: it has no {part}. Correct the variable "
                f"{needed[name]}, or fetch the official sets (about 2 GB) with: {DOWNLOAD_COMMAND}"
            )
    return DataSets(folders=found, source=source)


def _all_variables() -> dict[str, str]:
    return _VARIABLES | _VARIABLES_HP
