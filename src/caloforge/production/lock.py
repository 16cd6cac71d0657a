"""One run at a time on one output."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from caloforge.errors import OutputError
from caloforge.files import explain_os_error, real_path

try:
    import fcntl
except ImportError:  # pragma: no cover - not on this system
    fcntl = None  # type: ignore[assignment]

__all__ = ["sole_run"]


@contextlib.contextmanager
def sole_run(output: Path) -> Iterator[None]:
    """Hold ``.OUT.lock`` beside the output; the system lets go of it when the process ends, however it does.

    Where the system or the file system has no locks, nothing is held.

    Raises:
        OutputError: Another run is at work on this output.
    """
    target = real_path(output)
    path = target.with_name(f".{target.name}.lock")
    file = _take(path, output)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()  # while it is held, so that nobody takes a file that goes
        os.close(file)


def _take(path: Path, output: Path) -> int:
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as err:
            raise explain_os_error(output, err) from err
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            os.close(file)
            raise OutputError(
                output, "another run is making it right now; wait for its end, or choose another name."
            ) from err
        except OSError:
            return file  # no locks here
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(file), path.stat()):
                return file
        os.close(file)  # of a run that has just ended and removed it
