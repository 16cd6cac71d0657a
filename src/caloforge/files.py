"""Outputs that are whole or absent: write to a temporary name beside the target, then rename.

Where the target is a symbolic link, the file it points to is written and the link stays.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from caloforge.errors import CaloForgeError, OutputError

__all__ = ["atomic_path", "check_output", "explain_os_error", "real_path"]

_UMASK = os.umask(0o077)  # can only be read by setting it
os.umask(_UMASK)


def check_output(path: Path, *, overwrite: bool = False) -> None:
    """Fail early, before long work, if ``path`` cannot be written.

    Raises:
        OutputError: The folder is missing or not writable, ``path`` is a folder or a device, or it exists
            and ``overwrite`` is false.
    """
    folder = real_path(path).parent
    try:
        if path.is_dir():
            raise OutputError(path, "is a folder; give the name of a file.")
        if path.exists() and not overwrite:
            raise OutputError(path, "exists already; choose another name or pass --overwrite.")
        if not folder.is_dir():
            raise OutputError(path, f"the folder {folder} does not exist; create it first.")
    except CaloForgeError:
        raise
    except OSError as err:  # a name that is too long, a folder that may not be looked into
        raise explain_os_error(path, err) from err
    if not os.access(folder, os.W_OK):
        raise OutputError(path, f"no permission to write in {folder}.")


def real_path(path: Path) -> Path:
    """Where an output goes: ``path``, or the file it points to where it is a symbolic link.

    Raises:
        OutputError: It is a device, a pipe or a socket, which a file would replace, or a circle of links.
    """
    try:
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        if target.is_symlink():
            raise OutputError(path, "is a circle of symbolic links.")
        if target.exists() and not (target.is_file() or target.is_dir()):
            raise OutputError(path, "is a device, a pipe or a socket; give the name of a file.")
    except CaloForgeError:
        raise
    except OSError as err:
        raise explain_os_error(path, err) from err
    return target


def explain_os_error(path: Path, err: OSError) -> OutputError:
    """Say an operating system's error about an output in words that tell what to do."""
    full = err.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(err)
    if full:
        return OutputError(
            path, "no space left on the disk; free some, or write elsewhere. Nothing was kept half."
        )
    reason = err.strerror or (str(err).splitlines() or [type(err).__name__])[0]
    return OutputError(path, f"cannot be written: {reason}.")


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it to ``path`` on success, remove it on failure.

    A symbolic link stays, and the file it points to is replaced.

    An error of the operating system that names another file, e.g. an input, passes unchanged.

    Raises:
        OutputError: The operating system refuses (disk full, permission, read-only).
    """
    target = real_path(path)
    part = target.with_name(f".{target.name}.{uuid4().hex[:8]}.part")
    try:
        yield part
        part.chmod(0o666 & ~_UMASK)  # some writers make private files
        part.replace(target)
    except CaloForgeError:
        raise
    except OSError as err:
        if err.filename is not None and str(err.filename) not in (str(part), str(target)):
            raise
        raise explain_os_error(path, err) from err
    finally:
        with contextlib.suppress(OSError):  # the folder itself may be gone; the first error counts
            part.unlink(missing_ok=True)
