"""One shard to a file, and the shards to the output; the provenances are joined with the showers."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from caloforge.errors import CaloForgeError, ImplausibleEnergyWarning
from caloforge.io import ShowerWriter, read_chunks
from caloforge.production.crashes import Crash, attempts_after, replaced_events
from caloforge.production.job import ShardedJob, ShardWorker
from caloforge.production.parts import PartsFolder

__all__ = ["REPLACED", "write_shard", "write_whole"]

REPLACED = "replaced_events"
"""Name in the provenance of a job that can replace; an empty list says that nothing was."""


def write_shard(
    job: ShardedJob,
    worker: ShardWorker,
    shard: int,
    path: Path,
    *,
    crashes: Sequence[Crash] = (),
    on_unit: Callable[[int], None] = lambda index: None,
    on_showers: Callable[[int], None] = lambda n: None,
) -> None:
    """Make one shard and write it whole."""
    with (
        ShowerWriter(
            path, job.geometry, layout=job.layout, compression=job.compression, overwrite=True
        ) as writer,
        _own_units(),
    ):
        provenance: dict[str, Any] | None = None
        for showers in worker.showers(shard, attempts_after(crashes), on_unit):
            writer.append(showers)
            provenance = _joined(job, provenance, showers.provenance)
            on_showers(len(showers))
        if writer.n_showers != job.shard_count(shard):
            raise CaloForgeError(
                f"Shard {shard} has {writer.n_showers} showers, expected {job.shard_count(shard)}."
            )
        provenance = dict(provenance or {})
        if job.can_replace:
            provenance[REPLACED] = replaced_events(crashes)
        writer.provenance = provenance


def write_whole(job: ShardedJob, parts: PartsFolder, *, path: Path) -> None:
    """One file from all shards."""
    with (
        ShowerWriter(
            path, job.geometry, layout=job.layout, compression=job.compression, overwrite=True
        ) as writer,
        _own_units(),
    ):
        provenance: dict[str, Any] | None = None
        for shard in range(job.n_shards):
            of_shard: dict[str, Any] = {}
            for chunk in read_chunks(parts.shard(shard), geometry=job.geometry, layout=job.layout):
                writer.append(chunk)
                of_shard = chunk.provenance
            provenance = _joined(job, provenance, of_shard)
        writer.provenance = provenance


@contextlib.contextmanager
def _own_units() -> Iterator[None]:
    """Few showers of ours may look odd, but not for a wrong unit; whoever reads the whole is told if it does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImplausibleEnergyWarning)
        yield


def _joined(job: ShardedJob, first: dict[str, Any] | None, second: dict[str, Any]) -> dict[str, Any]:
    if first is None:
        return second
    joined = job.join_provenance(first, second)
    if job.can_replace and REPLACED in first:
        joined = joined | {REPLACED: first[REPLACED] + second.get(REPLACED, [])}
    return joined
