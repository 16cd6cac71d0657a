"""Do what is missing of a job, here, in processes or on a cluster, and join it to one file.

A run writes ``OUT.parts/`` with a description of itself and one file per finished shard; the last step joins
them to ``OUT`` and removes the folder. A run that was killed starts again and does only what is missing. Files
in the folder that no run writes are never touched.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from caloforge.errors import ConfigError, OutputError
from caloforge.files import check_output, explain_os_error, real_path
from caloforge.production.job import ShardedJob
from caloforge.production.lock import sole_run
from caloforge.production.parts import PartsFolder
from caloforge.production.shards import write_shard, write_whole
from caloforge.production.supervision import Order
from caloforge.production.workers import in_processes

__all__ = ["run_job"]

_LEAST_BYTES = 8  # per shower: its incident energy; the voxels, which hardly compress, are many times that


def run_job(
    job: ShardedJob,
    *,
    workers: int = 1,
    scheduler: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    on_showers: Callable[[int], None] = lambda n: None,
) -> Path:
    """Do all shards that are missing, join them, and give the path of the sample.

    The sample depends on the job alone: not on workers, cluster, restarts or resuming.

    Args:
        job: The sample.
        workers: Processes of this machine; each does whole shards.
        scheduler: Address of the scheduler of a Dask cluster, or its scheduler file, in place of processes here.
        resume: Continue a run that was interrupted. One that has finished is an error, since its output
            cannot be told from another's; only if it was killed between its last two steps, the removal of the
            shards is made up for.
        overwrite: Replace the output, and drop the shards of an interrupted run.
        on_showers: Told how many more showers are done.

    Raises:
        OutputError: The output exists or cannot be written, or an interrupted run is in the way.
        ConfigError: ``resume`` with a different job.
        WorkerDiedError: Processes keep dying.
        ShardsFailedError: Shards could not be made on the cluster.
        MissingExtraError: A scheduler is given, but Dask is not installed.
    """
    if workers < 1:
        raise ConfigError(f"At least one worker is needed, got {workers}.")
    if scheduler is not None and workers > 1:
        raise ConfigError("Give --workers or --scheduler: the cluster has its own workers.")
    parts = PartsFolder.beside(job.output)
    if resume and parts.joined_to(job.output):
        parts.check_journal(job.fingerprint())
        parts.remove()
        on_showers(job.n_showers)
        return job.output
    _check_output(job, parts, resume=resume, overwrite=overwrite)
    job.check()
    with sole_run(job.output):
        return _run(
            job,
            parts,
            workers=workers,
            scheduler=scheduler,
            resume=resume,
            overwrite=overwrite,
            on_showers=on_showers,
        )


def _run(
    job: ShardedJob,
    parts: PartsFolder,
    *,
    workers: int,
    scheduler: str | Path | None,
    resume: bool,
    overwrite: bool,
    on_showers: Callable[[int], None],
) -> Path:
    parts.open(job.fingerprint(), resume=resume, overwrite=overwrite)
    finished = {shard for shard in parts.shards() if shard < job.n_shards}
    missing = (shard for shard in range(job.n_shards) if shard not in finished)  # may be very many
    on_showers(sum(map(job.shard_count, finished)))
    try:
        if n_missing := job.n_shards - len(finished):
            _make(job, parts, missing, min(workers, n_missing), scheduler, on_showers)
        whole = parts.shard(0)
        if job.n_shards > 1:
            # Written among the shards, so that a run that is killed here leaves nothing beside the output.
            whole = parts.whole
            write_whole(job, parts, path=whole)
    except BaseException:
        parts.remove_temporaries()
        if not parts.shards():
            parts.remove()  # nothing to resume from
        raise
    check_output(job.output, overwrite=overwrite)
    parts.note_joined(whole)
    try:
        whole.replace(real_path(job.output))
    except OSError as err:
        raise explain_os_error(job.output, err) from err
    parts.remove()
    return job.output


def _make(
    job: ShardedJob,
    parts: PartsFolder,
    shards: Iterator[int],
    workers: int,
    scheduler: str | Path | None,
    on_showers: Callable[[int], None],
) -> None:
    if scheduler is not None:
        from caloforge.production.cluster import on_cluster

        order = Order.of(job, parts, fingerprint=job.fingerprint())
        on_cluster(
            order,
            shards,
            scheduler,
            n_shards=job.n_shards,
            shard_count=job.shard_count,
            on_showers=on_showers,
        )
    elif workers == 1 and job.in_process_ok:
        worker = job.open_worker()
        for shard in shards:
            write_shard(job, worker, shard, parts.shard(shard), on_showers=on_showers)
    else:
        order = Order.of(job, parts)
        in_processes(order, shards, workers, shard_count=job.shard_count, on_showers=on_showers)


def _check_output(job: ShardedJob, parts: PartsFolder, *, resume: bool, overwrite: bool) -> None:
    """Fail before the job is set up if the sample cannot be written."""
    if resume and not overwrite and job.output.is_file() and not parts.path.exists():
        raise OutputError(
            job.output,
            "exists already, and no interrupted run is beside it: there is nothing to resume. Choose another "
            "name, or pass --overwrite to make it anew.",
        )
    check_output(job.output, overwrite=overwrite)
    parts.check()
    todo = job.n_showers - sum(job.shard_count(k) for k in parts.shards() if resume and k < job.n_shards)
    total, _, free = shutil.disk_usage(parts.path.parent)
    if total and todo * _LEAST_BYTES > free:  # some file systems do not say
        raise OutputError(
            job.output,
            f"{todo:,} showers cannot fit on this disk: {_LEAST_BYTES} bytes each, of their incident energies "
            f"alone, are {todo * _LEAST_BYTES / 1e9:,.0f} GB, and {free / 1e9:,.0f} GB are free.",
        )
