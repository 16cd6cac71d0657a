"""Open a stranger's HDF5 file: say what is wrong with it, and never follow it into another file."""

import contextlib
import difflib
import re
from collections.abc import Iterator
from pathlib import Path

import h5py

from caloforge.errors import CaloForgeError, FileFormatError

__all__ = ["open_hdf5", "open_dataset", "reading"]

_MAX_LINKS = 16
"""Soft links followed inside one file before they count as a circle."""

_DAMAGE = (OSError, RuntimeError, KeyError, ValueError)
"""What h5py raises where a file is damaged, depending on the place."""

_SIGNATURES = {
    b"\x1f\x8b": "it is gzip-compressed; unpack it first",
    b"PK\x03\x04": "it is a ZIP archive or .npz; unpack it first",
    b"\x93NUMPY": "it is a NumPy .npy file",
    b"root": "it is a ROOT file",
    b"version https://git-lfs": "it is a Git LFS pointer; fetch the real file with 'git lfs pull'",
    b"<": "it looks like a web page; the download probably failed",
}


@contextlib.contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open ``path`` for reading.

    Raises:
        FileFormatError: The file is missing, no HDF5, truncated, or cannot be opened.
    """
    _check_readable(path)
    try:
        file = h5py.File(path, "r")
    except OSError as err:
        raise FileFormatError(path, _explain(err)) from err
    with file:
        try:
            if odd := [name for name in file if not isinstance(name, str)]:
                raise FileFormatError(path, f"holds names that are not UTF-8 text: {odd[:3]}; it is damaged.")
            yield file
        except CaloForgeError:
            raise
        except _DAMAGE as err:
            raise FileFormatError(path, f"cannot be read: {_explain(err)}") from err


@contextlib.contextmanager
def reading(path: Path, dataset: str) -> Iterator[None]:
    """Turn HDF5's errors while reading ``dataset`` into one that names it.

    Raises:
        FileFormatError: HDF5 could not read, mostly because the file is damaged.
    """
    try:
        yield
    except CaloForgeError:
        raise
    except _DAMAGE as err:
        raise FileFormatError(path, f"dataset {dataset!r} cannot be read: {_explain(err)}") from err


def open_dataset(path: Path, file: h5py.File, name: str) -> h5py.Dataset | None:
    """The dataset ``name``, or ``None`` if it is not there.

    Raises:
        FileFormatError: It is a group, is not numeric, or would be read from another file.
    """
    where = _inside(path, file, name)
    if where is None:
        return None
    with reading(path, name):
        dataset = file[where]
        if not isinstance(dataset, h5py.Dataset):
            kind = type(dataset).__name__.lower()
            raise FileFormatError(path, f"{name!r} is a {kind}, expected a dataset.")
        elsewhere = dataset.external or (
            dataset.is_virtual and any(source.file_name != "." for source in dataset.virtual_sources())
        )
        dtype = dataset.dtype
    if elsewhere:
        raise FileFormatError(
            path, f"dataset {name!r} takes its data from other files, which is not followed; copy them in."
        )
    if dtype.kind not in "fiu":
        raise FileFormatError(
            path, f"dataset {name!r} has dtype {dtype}, expected numbers (float32, float64)."
        )
    return dataset


def _inside(path: Path, file: h5py.File, name: str) -> str | None:
    """The hard path of ``name``; soft links are followed by hand, as HDF5 would follow external ones too."""
    todo, done = name.strip("/").split("/"), ""
    for _ in range(_MAX_LINKS):
        while todo:
            step = f"{done}/{todo[0]}"
            with reading(path, name):
                parent = file[done or "/"]
                link = parent.get(todo[0], getlink=True) if isinstance(parent, h5py.Group) else None
            if link is None:
                return None
            if isinstance(link, h5py.ExternalLink):
                raise FileFormatError(
                    path,
                    f"{name!r} links to another file ({link.filename}), which is not followed; copy it in.",
                )
            if isinstance(link, h5py.SoftLink):
                target = link.path if link.path.startswith("/") else f"{done}/{link.path}"
                todo, done = [part for part in target.split("/") if part] + todo[1:], ""
                break
            todo, done = todo[1:], step
        else:
            return done
    raise FileFormatError(path, f"{name!r} is a circle of soft links.")


def _check_readable(path: Path) -> None:
    if path.is_dir():
        raise FileFormatError(path, "is a folder, expected an HDF5 file of showers.")
    try:
        with path.open("rb") as file:
            start = file.read(32)
    except FileNotFoundError as err:
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, siblings, n=1)
        hint = f" Did you mean {str(path.with_name(close[0]))!r}?" if close else ""
        raise FileFormatError(path, f"no such file.{hint}") from err
    except OSError as err:
        raise FileFormatError(path, f"cannot be opened: {err.strerror}.") from err
    if not start:
        raise FileFormatError(path, "is empty, expected an HDF5 file of showers.")
    if not h5py.is_hdf5(path):
        guess = next((f": {text}" for magic, text in _SIGNATURES.items() if start.startswith(magic)), "")
        raise FileFormatError(path, f"is not HDF5{guess}.")


def _explain(err: BaseException) -> str:
    """The part of HDF5's many words that helps."""
    text = " ".join(str(err).split())
    if "truncated file" in text:
        return "it is truncated, so a copy or download stopped early; fetch it again."
    if "unable to lock file" in text:
        return "another program has it open for writing; wait until it is done."
    if "filter returned failure" in text or "inflate" in text:
        return "its compressed data are damaged; fetch or write the file again."
    reason = re.search(r"\((.*)\)", text)
    return f"HDF5 says {reason.group(1)[:120] if reason else text[:120]!r}; the file is probably damaged."
