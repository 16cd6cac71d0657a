"""Shards on a Dask cluster: each is a task, made by a process beside the worker that has the task.

The same watch over processes as on one machine, so a crash costs an attempt and not the worker. Shards do not
travel: they are written to the folder of the parts, which all machines must share.
"""

import contextlib
import hashlib
import importlib
import logging
import os
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, final
from uuid import uuid4

from caloforge import __version__
from caloforge.errors import CaloForgeError, ConfigError, MissingExtraError, OutputError, ShardsFailedError
from caloforge.production.parts import PartsFolder
from caloforge.production.supervision import Order, Restarts, ShardProcess, StoppedError

__all__ = ["on_cluster"]

_log = logging.getLogger(__name__)

_RETRIES = 2
"""How often Dask gives a failed shard to a worker again, perhaps on a machine without the problem."""
_IN_FLIGHT = 4096
"""Tasks that the scheduler knows at a time; enough for it to see whether more workers would help."""
_TOO_MANY = 3
"""Failed shards, beyond a tenth of those done, after which no more are tried."""
_CONNECT_S = 15
_VISIBLE_S = 5  # a network file system may show a new folder late
_IDLE_S = 60  # processes without a task, e.g. because the run was killed, end after that


def on_cluster(
    order: Order,
    shards: Iterator[int],
    scheduler: str | Path,
    *,
    n_shards: int,
    shard_count: Callable[[int], int],
    on_showers: Callable[[int], None],
) -> None:
    """Make shards on the workers of a cluster.

    Raises:
        MissingExtraError: Dask is not installed here.
        ConfigError: No scheduler answers, or its workers have another version of this package, or none.
        OutputError: Workers do not see the folder of the parts.
        ShardsFailedError: Shards failed again and again; names them.
    """
    distributed = _import_distributed()
    client = _connect(distributed, scheduler)
    run = uuid4().hex
    try:
        if not client.scheduler_info()["workers"]:
            _log.warning("The scheduler %s has no workers yet; waiting for the first.", scheduler)
            client.wait_for_workers(1)
        _check_workers(client, order)
        _make_all(distributed, client, run, order, shards, n_shards, shard_count, on_showers)
    finally:
        # The processes of this run end: idle ones when all went well, all of them after Ctrl-C.
        if client.status == "running":
            client.run(_stop_run, run, on_error="ignore")
        client.close()


def _make_all(
    distributed: Any,
    client: Any,
    run: str,
    order: Order,
    shards: Iterator[int],
    n_shards: int,
    shard_count: Callable[[int], int],
    on_showers: Callable[[int], None],
) -> None:
    import dask

    pending: dict[Any, int] = {}
    failures: dict[int, BaseException] = {}
    n_done = 0
    done = distributed.as_completed(loop=client.loop)
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GiB"}):
        # As a result of a task, which Dask can make again if its worker is lost; it goes to each worker once.
        shared = client.submit(_same, order, pure=False)

    def submit(n: int) -> None:
        for shard in islice(shards, n):
            key = f"caloforge-shard-{shard:06d}-{run}"
            future = client.submit(_make_shard, run, shared, shard, key=key, retries=_RETRIES)
            pending[future] = shard
            done.add(future)

    try:
        submit(_IN_FLIGHT)
        for future in done:
            shard = pending.pop(future)
            if future.status == "finished":
                n_done += 1
                on_showers(shard_count(shard))
            else:
                failures[shard] = _reason(future)
                if len(failures) > _TOO_MANY + n_done // 10:
                    break
            submit(1)
    finally:
        client.cancel(list(pending))  # none, unless it was interrupted or given up
    if failures:
        first = next(iter(failures.values()))
        raise ShardsFailedError(
            {shard: " ".join(_words(err).split()) for shard, err in failures.items()},
            total=n_shards,
            hint=f"Finished shards are in {order.parts}; --resume continues.",
        ) from first


def _reason(future: Any) -> BaseException:
    if future.status == "cancelled":
        return CaloForgeError("the scheduler was lost")
    err: BaseException = future.exception()
    return err


def _words(err: BaseException) -> str:
    return str(err) if isinstance(err, CaloForgeError) else f"{type(err).__name__}: {err}"


def _import_distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ModuleNotFoundError as err:
        if err.name not in ("distributed", "dask"):
            raise
        raise MissingExtraError("distributed", extra="cluster", purpose="runs on a Dask cluster") from err


def _connect(distributed: Any, scheduler: str | Path) -> Any:
    """A client of the scheduler that has an address or has written a file."""
    name = str(scheduler)
    where: dict[str, Any] = {"address": name}
    if Path(name).is_file():
        where = {"scheduler_file": name}
    elif ":" not in name:
        raise ConfigError(
            f"--scheduler {name} is neither an address, such as tcp://host:8786, nor a scheduler file."
        )
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def connect() -> None:
        try:
            answers.put(distributed.Client(**where, timeout=_CONNECT_S, set_as_default=False))
        except Exception as err:  # noqa: BLE001 - what answers there may be anything
            answers.put(err)

    # Dask's own time-out does not see somebody who takes the call and says nothing.
    threading.Thread(target=connect, daemon=True).start()
    try:
        client = answers.get(timeout=2 * _CONNECT_S)
    except queue.Empty:
        client = TimeoutError(f"something listens there, but said nothing for {2 * _CONNECT_S} s")
    if isinstance(client, Exception):
        reason = " ".join(str(client).split()) or type(client).__name__
        raise ConfigError(f"No Dask scheduler answers at {name}: {reason}") from client
    return client


def _check_workers(client: Any, order: Order) -> None:
    """Raise unless every worker has this package and sees the parts; those that come later are as good as these."""
    try:
        answers: dict[str, tuple[str, bool]] = client.run(_look, order.parts, _mark(order.parts))
    except (ImportError, AttributeError) as err:
        raise ConfigError(
            f"The workers of the cluster cannot import caloforge {__version__}: {err}. Install it there, too."
        ) from err
    if other := {version for version, _ in answers.values()} - {__version__}:
        raise ConfigError(
            f"The workers of the cluster have caloforge {', '.join(sorted(other))}, here it is {__version__}."
        )
    if blind := sorted(address for address, (_, seen) in answers.items() if not seen):
        raise OutputError(
            order.parts,
            f"cannot be seen or written by {len(blind)} of {len(answers)} workers of the cluster, e.g. {blind[0]}; "
            "put the output on a file system that all of them share.",
        )


# What follows runs on the workers of the cluster.


def _same(order: Order) -> Order:
    return order


def _mark(parts: Path) -> str:
    """What tells a folder of parts from one of the same name on another disk."""
    return hashlib.sha256((parts / "job.json").read_bytes()).hexdigest()


def _look(parts: Path, mark: str) -> tuple[str, bool]:
    deadline = time.monotonic() + _VISIBLE_S
    while True:
        try:
            return __version__, _mark(parts) == mark and os.access(parts, os.W_OK)
        except OSError:
            if time.monotonic() > deadline:
                return __version__, False
        time.sleep(0.2)


def _make_shard(run: str, order: Order, shard: int) -> None:
    """One task."""
    if PartsFolder(order.parts).shard(shard).exists():
        return  # by a worker that was lost before it could say so
    if not order.parts.is_dir():
        raise OutputError(
            order.parts, "cannot be seen by this worker; put the output on a file system that all share."
        )
    with _POOL.process(run, order) as process:
        process.make(shard)


def _stop_run(run: str) -> None:
    _POOL.stop(run)


@final
class _Pool:
    """Processes beside a worker, by run: setting one up may take long, so tasks hand them on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: defaultdict[str, dict[ShardProcess, float]] = defaultdict(dict)
        """Since when each waits."""
        self._busy: defaultdict[str, set[ShardProcess]] = defaultdict(set)
        self._stopped: set[str] = set()
        self._reaper: threading.Thread | None = None

    @contextlib.contextmanager
    def process(self, run: str, order: Order) -> Iterator[ShardProcess]:
        """A process for the time of one task, idle or new."""
        process = self._take(run, order)
        try:
            yield process
        except BaseException:
            with self._lock:
                self._busy[run].discard(process)
            process.close()
            raise
        with self._lock:
            self._busy[run].discard(process)
            if reusable := run not in self._stopped:
                self._idle[run][process] = time.monotonic()
        if not reusable:
            process.close()

    def stop(self, run: str) -> None:
        """End all processes of a run."""
        with self._lock:
            self._stopped.add(run)
            busy, idle = self._busy.pop(run, set()), self._idle.pop(run, {})
        for process in busy:
            process.stop()
        for process in idle:
            process.close()

    def _take(self, run: str, order: Order) -> ShardProcess:
        with self._lock:
            if run in self._stopped:
                raise StoppedError
            idle = self._idle[run]
            process = idle.popitem()[0] if idle else ShardProcess(order, Restarts())
            self._busy[run].add(process)
            if self._reaper is None:
                self._reaper = threading.Thread(target=self._reap, daemon=True)
                self._reaper.start()
        return process

    def _reap(self) -> None:
        """End processes that wait too long; their run was killed, or has nothing more to do."""
        while True:
            time.sleep(_IDLE_S / 4)
            with self._lock:
                late = [
                    (waiting, process)
                    for waiting in self._idle.values()
                    for process, since in waiting.items()
                    if time.monotonic() - since > _IDLE_S
                ]
                for waiting, process in late:
                    del waiting[process]
                if not late and not any(self._idle.values()) and not any(self._busy.values()):
                    self._reaper = None
                    return
            for _, process in late:
                process.close()


_POOL = _Pool()
