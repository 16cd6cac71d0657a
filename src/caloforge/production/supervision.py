"""A process that makes shards, under watch: when it dies, another one takes over, and what it died of is noted.

Processes are started by ``subprocess``, not ``multiprocessing``: this also works inside the processes of a Dask
cluster, which may have no children of the latter kind, and scripts need no ``if __name__ == "__main__"``.
"""

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from caloforge.errors import ConfigError, WorkerDiedError
from caloforge.files import explain_os_error
from caloforge.production.crashes import (
    LAST_ATTEMPT,
    Crash,
    attempts_after,
    cause_of_death,
    ended_from_outside,
)
from caloforge.production.job import ShardedJob
from caloforge.production.parts import PartsFolder

__all__ = ["Order", "Restarts", "ShardProcess", "StoppedError"]

_START = (
    "import sys; sys.path[:] = sys.argv[1:]; sys.argv[1:] = []; "
    "from caloforge.production.child import main; main()"
)
_SAME_PLACE = 3  # deaths in a row that no unit is to blame for
_LOG_LINES = 15


class StoppedError(Exception):
    """A process was stopped on purpose; no user sees this."""


@final
@dataclass(frozen=True, kw_only=True)
class Order:
    """A job in the form in which it is sent to processes, pickled once."""

    job: bytes
    parts: Path
    """Folder of the shards, absolute."""
    folder: Path
    """Where the run was started; relative names in the job mean files there."""
    can_replace: bool
    keeps_log: bool
    fingerprint: dict[str, Any] | None = None
    """If given, a process refuses to work on a job that has another one where it runs."""

    @classmethod
    def of(cls, job: ShardedJob, parts: PartsFolder, *, fingerprint: dict[str, Any] | None = None) -> "Order":
        """The order to do shards of a job.

        Raises:
            ConfigError: The job's class is in a script, where other processes cannot find it.
        """
        if type(job).__module__ == "__main__":
            raise ConfigError(
                f"{type(job).__name__} is defined in the script that runs; put it into a module of its own, from "
                "which worker processes can import it."
            )
        return cls(
            job=pickle.dumps(job),
            parts=parts.path.absolute(),
            folder=Path.cwd(),
            can_replace=job.can_replace,
            keeps_log=job.keeps_log,
            fingerprint=None if fingerprint is None else json.loads(json.dumps(fingerprint)),
        )


@final
class Restarts:
    """How often processes may die in a run: rare crashes are survived, a broken set-up is given up soon."""

    def __init__(self, allowed: int = 20) -> None:
        self._allowed, self._deaths, self._units = allowed, 0, 0
        self._lock = threading.Lock()

    @property
    def any_unit(self) -> bool:
        """Whether any process of this run has come so far as to begin a unit."""
        return self._units > 0

    def count_unit(self) -> None:
        """One more unit has begun."""
        self._units += 1  # threads may lose a count, which does not matter

    def spend(self) -> bool:
        """One more process has died; whether another may be started: some anyhow, and one per 100 units."""
        with self._lock:
            self._deaths += 1
            return self._deaths <= self._allowed + self._units // 100


@final
class ShardProcess:
    """Makes shards in a process of its own, one after the other; use it from one thread.

    Only :meth:`stop` may be called from others.
    """

    def __init__(self, order: Order, restarts: Restarts) -> None:
        self._order, self._restarts = order, restarts
        self._parts = PartsFolder(order.parts)
        self._log = self._parts.new_log() if order.keeps_log else None
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = False  # whether this process has begun a unit
        self._false_starts = 0
        self._stopped = False
        self._lock = threading.Lock()

    def make(self, shard: int, on_unit: Callable[[int], None] = lambda index: None) -> None:
        """Make a shard and write it into the folder of the parts.

        Args:
            shard: Which one.
            on_unit: Told when a unit begins; again, if its shard had to be begun again.

        Raises:
            WorkerDiedError: Processes keep dying.
            StoppedError: :meth:`stop` was called.
            Exception: What the job has raised.
        """
        crashes = self._parts.crashes(shard) if self._order.can_replace else []
        blameless = 0
        while True:
            unit, returncode = self._try(shard, crashes, on_unit)
            if returncode is None:
                return
            self._parts.remove_temporaries(shard)
            self._judge_set_up(returncode)
            if unit is None or ended_from_outside(returncode):
                blameless += 1
                if blameless >= _SAME_PLACE:
                    raise self._died(f"{blameless} workers died over shard {shard}", returncode)
                continue
            attempt = attempts_after(crashes).get(unit, 0)
            crashes.append(Crash(unit=unit, attempt=attempt, cause=cause_of_death(returncode)))
            if self._order.can_replace:
                self._parts.note_crashes(shard, crashes)
            deaths = Counter(crash.unit for crash in crashes)[unit]
            if deaths > (LAST_ATTEMPT + 1 if self._order.can_replace else 1):
                raise self._died(f"{deaths} workers died at shower {unit}", returncode)

    def close(self) -> None:
        """End the process when it has nothing to do; another :meth:`make` would start one."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            _close(process)

    def stop(self) -> None:
        """End the process at once, whatever it does, and for good."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def _try(
        self, shard: int, crashes: list[Crash], on_unit: Callable[[int], None]
    ) -> tuple[int | None, int | None]:
        """Make a shard; if the process dies, the unit it was at, if any, and its exit status."""
        process = self._start()
        unit = None
        with contextlib.suppress(OSError):  # it may have died meanwhile; then nothing comes back
            _send(process, (shard, crashes))
        for kind, value in _messages(process):
            if kind == "unit":
                unit, self._begun, self._false_starts = value, True, 0
                self._restarts.count_unit()
                on_unit(value)
            elif kind == "done":
                return None, None
            elif kind == "error":
                self.close()
                raise value
        with self._lock:
            self._process = None
            stopped = self._stopped
        returncode = _close(process)
        if stopped:
            raise StoppedError
        return unit, returncode

    def _start(self) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._stopped:
                raise StoppedError
            if self._process is not None:
                return self._process
            self._begun = False
            order = self._order
            process = self._process = self._popen()
        first = order.job, str(order.parts), order.fingerprint
        with contextlib.suppress(OSError):
            _send(process, first)
        return process

    def _popen(self) -> "subprocess.Popen[bytes]":
        with contextlib.ExitStack() as stack:
            errors = None
            if self._log is not None:
                try:
                    errors = stack.enter_context(self._log.open("ab"))
                except OSError as err:
                    raise explain_os_error(self._log, err) from err
            stack.enter_context(_no_interrupt())  # inherited: until it ignores it, Ctrl-C is for us alone
            return subprocess.Popen(
                [sys.executable, "-c", _START, *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=self._order.folder if self._order.folder.is_dir() else None,
            )

    def _judge_set_up(self, returncode: int) -> None:
        """Raise if it is not one unit that makes processes die."""
        if not self._begun:
            self._false_starts += 1
            if not self._restarts.any_unit or self._false_starts >= _SAME_PLACE:
                raise self._died("A worker died before its first shower", returncode)
        if not self._restarts.spend():
            raise self._died("Workers keep dying at different showers; the last one died", returncode)

    def _died(self, what: str, returncode: int) -> WorkerDiedError:
        cause = cause_of_death(returncode)
        if returncode == -getattr(signal, "SIGKILL", 9):
            cause += ", perhaps out of memory"
        lines = self._last_lines()
        said = f" Its last words: {lines}" if lines else ""
        return WorkerDiedError(f"{what} ({cause}).{self._what_is_kept()}{said}")

    def _what_is_kept(self) -> str:
        if not self._parts.shards():
            return ""
        return f" Finished shards are in {self._parts.path}; run again with --resume, perhaps with fewer --workers."

    def _last_lines(self) -> str:
        if self._log is None:
            return ""
        with contextlib.suppress(OSError), self._log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 2**14))
            return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-_LOG_LINES:])
        return ""


def _send(process: "subprocess.Popen[bytes]", message: Any) -> None:
    assert process.stdin is not None
    process.stdin.write(pickle.dumps(message))
    process.stdin.flush()


def _messages(process: "subprocess.Popen[bytes]") -> Iterator[tuple[str, Any]]:
    """What a process says, until it dies."""
    assert process.stdout is not None
    # A process that dies in the middle of a word leaves an end of file or half a pickle.
    with contextlib.suppress(EOFError, pickle.UnpicklingError):
        while True:
            yield pickle.load(process.stdout)


def _close(process: "subprocess.Popen[bytes]") -> int:
    """Let a process end, which it does when its input ends, and give its exit status."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # of what could not be written any more
                pipe.close()
    try:
        return process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Ctrl-C waits, in this thread and in what it starts; where the system has no such masks, nothing happens."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
