"""A figure measured in a process of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from caloforge.errors import CaloForgeError, WorkerDiedError

__all__ = ["CellError", "OutOfMemoryError", "measure"]

_START: Final = """
import sys
sys.path[:] = sys.argv[3:]
from caloforge.benchmark.child import main
main(*sys.argv[1:3])
"""
_THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_PATIENCE: Final = 15.0
"""Seconds for Geant4's processes to end after an interrupt."""


class OutOfMemoryError(CaloForgeError, MemoryError):
    """A figure could not be measured for want of memory."""


class CellError(CaloForgeError, RuntimeError):
    """A figure could not be measured; the message is that of the process that tried."""


def measure(what: str, *, threads: int = 1, **arguments: Any) -> dict[str, Any]:
    """Run one of :data:`caloforge.benchmark.cells.CELLS` in a process of its own.

    Args:
        what: Which.
        threads: Given to the libraries of the process and, but for Geant4, to the measurement.
        arguments: What it is told; JSON types.

    Raises:
        OutOfMemoryError: It said so, or the system ended it.
        CellError: It failed with one of our errors.
        WorkerDiedError: It died.
    """
    task = {"what": what, **arguments} | ({} if what == "geant4" else {"threads": threads})
    with tempfile.TemporaryDirectory() as folder:
        told, result, log = (Path(folder) / name for name in ("task.json", "result.json", "log"))
        told.write_text(json.dumps(task))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", _START, str(told), str(result), *sys.path],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=_environment(threads),
                start_new_session=True,  # Ctrl-C is for us; we pass it on once
            )
            try:
                returncode = process.wait()
            except BaseException:
                _stop(process)
                raise
            finally:
                if process.stdin is not None:
                    with contextlib.suppress(OSError):
                        process.stdin.close()
        return _answer(result, log, returncode, threads)


def _environment(threads: int) -> Mapping[str, str]:
    return os.environ | dict.fromkeys(_THREAD_VARIABLES, str(threads))


def _stop(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(OSError):
        process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _answer(result: Path, log: Path, returncode: int, threads: int) -> dict[str, Any]:
    if result.is_file():
        answer = json.loads(result.read_text())
        if "result" in answer:
            found: dict[str, Any] = answer["result"]
            return found | {"thread_variables": {name: str(threads) for name in _THREAD_VARIABLES}}
        if "out_of_memory" in answer:
            raise OutOfMemoryError(answer["out_of_memory"])
        raise CellError(answer["error"])
    if returncode == -signal.SIGKILL:
        raise OutOfMemoryError("The system ended the process, as it does when memory runs out.")
    lines = log.read_text("utf-8", "replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    raise WorkerDiedError(f"The process of this figure ended with status {returncode}: {last[:300]}")
