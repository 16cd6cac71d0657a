"""Do what is missing of a job, here, in processes or on a cluster, and join it to one file."""

from collections.abc import Callable
from pathlib import Path

from caloforge.production.job import ShardedJob

__all__ = ["run_job"]


def run_job(
    job: ShardedJob,
    *,
    workers: int = 1,
    scheduler: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    on_showers: Callable[[int], None] = lambda n: None,
) -> Path:
    """Do all shards that are missing, join them, and give the path of the sample."""
    raise NotImplementedError
