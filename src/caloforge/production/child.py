"""What runs in a process that makes shards; see :mod:`caloforge.production.supervision` for the other side."""

import contextlib
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, BinaryIO

from caloforge.errors import CaloForgeError, ConfigError
from caloforge.production.job import ShardedJob
from caloforge.production.parts import PartsFolder, differences
from caloforge.production.shards import write_shard

__all__ = ["main"]


def main() -> None:
    """Make shards, as told on standard input, until that is closed."""
    tasks, results = _take_pipes()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks, inbox), daemon=True).start()

    def say(kind: str, value: Any = None) -> None:
        results.write(pickle.dumps((kind, value)))

    try:
        try:
            _work(inbox, say)
        except BrokenPipeError:
            raise
        except BaseException as err:  # noqa: BLE001 - whatever it is, the parent raises it
            say("error", _as_message(err))
    except BrokenPipeError:
        pass  # the parent is gone
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(0)  # compiled libraries are known to crash when they tidy up; nothing here needs them to


def _work(inbox: "queue.SimpleQueue[Any]", say: Any) -> None:
    payload, folder, fingerprint = inbox.get()
    job: ShardedJob = pickle.loads(payload)
    parts = PartsFolder(Path(folder))
    if fingerprint is not None and (different := differences(fingerprint, job.fingerprint())):
        raise ConfigError(
            f"On this machine the job is another one than where it was started (different: {', '.join(different)})."
        )
    worker = job.open_worker()
    say("ready")
    while True:
        shard, crashes = inbox.get()
        write_shard(
            job,
            worker,
            shard,
            parts.shard(shard),
            crashes=crashes,
            on_unit=lambda index: say("unit", index),
        )
        say("done")


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pipes to the parent, kept from everybody else: what anything prints goes where errors go."""
    tasks, results = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)
    return tasks, results


def _listen(tasks: BinaryIO, inbox: "queue.SimpleQueue[Any]") -> None:
    try:
        while True:
            inbox.put(pickle.load(tasks))
    finally:
        os._exit(0)  # the parent closed the pipe, or was killed: it would wait for work for ever


def _as_message(err: BaseException) -> Exception:
    """An exception that reaches the other side as itself, with its traceback unless it is one of ours."""
    if not isinstance(err, CaloForgeError):
        err.add_note("".join(traceback.format_exception(err)).rstrip())
    try:
        if isinstance(pickle.loads(pickle.dumps(err)), type(err)) and isinstance(err, Exception):
            return err
    except Exception:  # noqa: BLE001 - an exception may fail to be copied in any way
        pass
    return CaloForgeError(f"A worker failed: {type(err).__name__}: {err}")
