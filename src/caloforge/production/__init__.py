"""Long runs as shards: each a pure function of its index, on processes or a cluster, resumable."""

from caloforge.production.job import ShardedJob, ShardWorker
from caloforge.production.run import run_job

__all__ = ["ShardWorker", "ShardedJob", "run_job"]
