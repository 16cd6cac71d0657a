"""Shards in several processes of this machine, which end at once when the run is interrupted."""

import queue
import threading
import time
from collections.abc import Callable, Iterator

from caloforge.production.supervision import Order, Restarts, ShardProcess, StoppedError

__all__ = ["in_processes"]

_TICK_S = 0.1  # progress is not told more often


def in_processes(
    order: Order,
    shards: Iterator[int],
    workers: int,
    *,
    shard_count: Callable[[int], int],
    on_showers: Callable[[int], None],
) -> None:
    """Make shards in ``workers`` processes; each gets the job once, and has a thread here that watches it.

    After an error or an interrupt the shards at work are dropped; finished ones stay.
    """
    restarts = Restarts()
    processes = [ShardProcess(order, restarts) for _ in range(workers)]
    events: queue.SimpleQueue[int | BaseException | None] = queue.SimpleQueue()
    todo = _Shared(shards)
    threads = [
        threading.Thread(target=_serve, args=(process, todo, shard_count, events.put), daemon=True)
        for process in processes
    ]
    try:
        for thread in threads:
            thread.start()
        busy = len(threads)
        while busy:
            try:
                event = events.get(timeout=0.5)  # some systems do not notice Ctrl-C while they wait
            except queue.Empty:
                continue
            if isinstance(event, BaseException):
                raise event
            if event is None:
                busy -= 1
            else:
                on_showers(event)
    finally:
        for process in processes:
            process.stop()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


class _Shared:
    """An iterator for several threads."""

    def __init__(self, shards: Iterator[int]) -> None:
        self._shards, self._lock = shards, threading.Lock()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        with self._lock:
            return next(self._shards)


def _serve(
    process: ShardProcess,
    shards: _Shared,
    shard_count: Callable[[int], int],
    tell: Callable[[int | BaseException | None], None],
) -> None:
    try:
        for shard in shards:
            progress = _Progress(tell)
            process.make(shard, progress.at)
            tell(shard_count(shard) - progress.told)
    except StoppedError:
        pass
    except BaseException as err:  # noqa: BLE001 - raised in the main thread
        tell(err)
    finally:
        process.close()
        tell(None)


class _Progress:
    """Showers of one shard that are done; what is done again after a crash does not count twice."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self.told = 0
        self._tell, self._first, self._time = tell, -1, time.monotonic()

    def at(self, unit: int) -> None:
        if self._first < 0:
            self._first = unit
        done, now = unit - self._first, time.monotonic()
        if done > self.told and now - self._time > _TICK_S:
            self._tell(done - self.told)
            self.told, self._time = done, now
