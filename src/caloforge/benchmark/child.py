"""What runs in a process that measures one figure; see :mod:`caloforge.benchmark.processes` for the other side."""

import contextlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from caloforge.benchmark.cells import CELLS
from caloforge.errors import CaloForgeError

__all__ = ["main"]

_INTERRUPTED = 130


def main(task: str, result: str) -> None:
    """Measure, and write the result, an error, or the fact that memory ran out.

    Args:
        task: JSON file that says what to measure.
        result: JSON file to write.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    what = json.loads(Path(task).read_text())
    answer: dict[str, Any]
    try:
        answer = {"result": CELLS[what.pop("what")](**what)}
    except KeyboardInterrupt:
        os._exit(_INTERRUPTED)
    except CaloForgeError as err:
        answer = {"error": str(err)}
    except (MemoryError, RuntimeError) as err:
        from caloforge.devices import is_out_of_memory  # loads torch, which a process of Geant4 does without

        if not is_out_of_memory(err):
            raise
        lines = str(err).splitlines() or ["out of memory"]
        answer = {"out_of_memory": lines[0][:200]}
    Path(result).write_text(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)  # compiled libraries are known to crash when they tidy up


def _end_with_parent() -> None:
    """End when the process that started this one does: it holds the other end of standard input."""
    with contextlib.suppress(OSError):
        while os.read(0, 1):  # not sys.stdin, whose lock an ending interpreter would wait for
            pass
    os._exit(1)
