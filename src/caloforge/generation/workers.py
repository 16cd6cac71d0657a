"""Shards in several processes, which end at once when the run is interrupted."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import Protocol

from caloforge.errors import CaloForgeError
from caloforge.generation.engine import ShowerGenerator, load_model

__all__ = ["in_processes"]


class ShardedJob(Protocol):
    """What is needed of a job; :class:`caloforge.generation.GenerationJob` is one."""

    @property
    def weights(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def parts(self) -> Path: ...
    def shard_count(self, shard: int) -> int: ...
    def write_shard(
        self, generator: ShowerGenerator, shard: int, on_block: Callable[[int], None]
    ) -> None: ...


def in_processes(
    job: ShardedJob, shards: Iterator[int], workers: int, on_showers: Callable[[int], None]
) -> None:
    """Write shards in ``workers`` processes; each gets the job once.

    On an error the shards at work are finished; on an interrupt they are dropped.
    """
    # A fresh interpreter per worker: a forked one would inherit torch's thread pools in an unknown state.
    context = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(job,)) as pool:
        pending: set[Future[int]] = set()
        try:
            while True:
                with _no_interrupt():  # processes start here, and inherit this: the interrupt is for us alone
                    pending |= {pool.submit(_do_shard, k) for k in islice(shards, 2 * workers - len(pending))}
                if not pending:
                    return
                done, pending = wait(pending, return_when=FIRST_COMPLETED, timeout=0.5)
                for future in done:
                    on_showers(future.result())
        except BrokenProcessPool as err:
            raise CaloForgeError(
                f"A worker died (out of memory, or killed); finished shards are in {job.parts}. "
                "Run again with --resume, perhaps with fewer --workers."
            ) from err
        except Exception:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()  # shards are whole or absent
            raise


_worker_job: ShardedJob
_worker_generator: ShowerGenerator


def _start_worker(job: ShardedJob) -> None:
    global _worker_job, _worker_generator
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker_job, _worker_generator = job, load_model(job.weights, device=job.device)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)


def _do_shard(shard: int) -> int:
    _worker_job.write_shard(_worker_generator, shard, lambda n: None)
    return _worker_job.shard_count(shard)


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
