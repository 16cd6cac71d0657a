"""Long generation runs as shards: each a pure function of its index, written whole, kept until all are there.

A run writes ``OUT.parts/`` with a description of itself and one file per finished shard; the last step joins
them to ``OUT`` and removes the folder. A run that was killed starts again and does only what is missing.
"""

import json
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from caloforge.errors import CaloForgeError, ConfigError, OutputError, ValueRangeError
from caloforge.files import atomic_path, check_output, explain_os_error
from caloforge.generation.energies import EnergySource, GivenEnergies
from caloforge.generation.engine import ShowerGenerator, load_model
from caloforge.io import ShowerWriter, read_chunks
from caloforge.models.zoo import find_weights
from caloforge.seeding import digest
from caloforge.showers import Showers

__all__ = ["GenerationJob", "run_job"]

_JOB_FILE = "job.json"
_WHOLE_FILE = "whole.h5"


@final
@dataclass(frozen=True, kw_only=True)
class GenerationJob:
    """Everything that determines a sample; picklable, so that any process can do any shard."""

    weights: str
    """Shipped name, weights file, or run folder."""
    n_showers: int
    energies: EnergySource
    seed: int
    output: Path
    layout: str = "calochallenge"
    compression: int = 1
    device: str = "cpu"
    block: int
    """Showers per block of the engine; shards are whole blocks."""
    n_voxels: int
    """Voxels per shower; sets the shard size."""
    shard_bytes: int = 2**24
    """About how many bytes of voxels a shard has; a run that is killed loses up to one per worker."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**64:
            raise ValueRangeError(f"A seed must lie in 0 .. 2^64 - 1, got {self.seed}.")
        if self.n_showers < 1:
            raise ConfigError(f"At least one shower is needed, got {self.n_showers}.")
        if isinstance(self.energies, GivenEnergies) and len(self.energies.values) < self.n_showers:
            raise ValueRangeError(
                f"{self.n_showers} showers need as many incident energies, got {len(self.energies.values)}."
            )

    @property
    def shard_size(self) -> int:
        """Showers per shard: whole blocks, about ``shard_bytes`` of voxels."""
        blocks = max(1, self.shard_bytes // (4 * self.n_voxels * self.block))
        return blocks * self.block

    @property
    def n_shards(self) -> int:
        """Number of shards."""
        return -(-self.n_showers // self.shard_size)

    @property
    def parts(self) -> Path:
        """Folder of the finished shards."""
        return self.output.with_name(f"{self.output.name}.parts")

    def shard_path(self, shard: int) -> Path:
        """File of a shard."""
        return self.parts / f"{shard:06d}.h5"

    def shard_count(self, shard: int) -> int:
        """Showers of a shard; the last may have fewer."""
        return min(self.shard_size, self.n_showers - shard * self.shard_size)

    def fingerprint(self) -> dict[str, Any]:
        """What must agree for shards of two runs to belong together."""
        if isinstance(self.energies, GivenEnergies):
            energies: Any = digest(self.energies.values[: self.n_showers].tobytes())
        else:
            energies = asdict(self.energies)
        return {
            "weights": digest(find_weights(self.weights).read_bytes()),
            "n_showers": self.n_showers,
            "energies": energies,
            "seed": self.seed,
            "layout": self.layout,
            "compression": self.compression,
            "device": self.device,
            "shard_size": self.shard_size,
        }

    def write_shard(self, generator: ShowerGenerator, shard: int, on_block: Callable[[int], None]) -> None:
        """Generate one shard and write it whole; nothing happens if it is there."""
        path = self.shard_path(shard)
        if path.exists():
            return
        writer = ShowerWriter(
            path,
            generator.geometry,
            layout=self.layout,
            compression=self.compression,
            provenance=generator.provenance(self.seed),
        )
        with writer:
            for showers in self._blocks(generator, shard):
                writer.append(showers)
                on_block(len(showers))

    def _blocks(self, generator: ShowerGenerator, shard: int) -> Iterator[Showers]:
        begin = shard * self.shard_size
        end = begin + self.shard_count(shard)
        for start in range(begin, end, self.block):
            e_inc = self.energies.e_inc(self.seed, start, min(self.block, end - start))
            # Energies were checked once, before the first shard.
            yield generator.sample(e_inc, seed=self.seed, start=start, allow_extrapolation=True)


def run_job(
    job: GenerationJob,
    *,
    workers: int = 1,
    resume: bool = False,
    overwrite: bool = False,
    allow_extrapolation: bool = False,
    on_showers: Callable[[int], None] = lambda n: None,
) -> Path:
    """Do all shards that are missing, join them, and give the path of the sample.

    Args:
        job: The sample.
        workers: Processes; each does whole shards. The sample does not depend on it.
        resume: Continue a run that was interrupted.
        overwrite: Replace the output, and drop the shards of an interrupted run.
        allow_extrapolation: Accept energies outside the trained range.
        on_showers: Told how many more showers are done.

    Raises:
        EnergyRangeError: Energies outside the trained range.
        OutputError: The output exists or cannot be written, or an interrupted run is in the way.
        ConfigError: ``resume`` with a different job.
    """
    if workers < 1:
        raise ConfigError(f"At least one worker is needed, got {workers}.")
    check_output(job.output, overwrite=overwrite)
    generator = load_model(job.weights, device=job.device)
    generator.check_energies(job.energies, allow_extrapolation=allow_extrapolation)
    _prepare(job, resume=resume, overwrite=overwrite)
    missing = [shard for shard in range(job.n_shards) if not job.shard_path(shard).exists()]
    on_showers(job.n_showers - sum(map(job.shard_count, missing)))
    try:
        if min(workers, len(missing)) <= 1:
            for shard in missing:
                job.write_shard(generator, shard, on_showers)
        else:
            _in_processes(job, missing, min(workers, len(missing)), on_showers)
    except BaseException:
        if not any(job.shard_path(shard).exists() for shard in range(job.n_shards)):
            shutil.rmtree(job.parts, ignore_errors=True)  # nothing to resume from
        raise
    _join(job, generator, overwrite=overwrite)
    return job.output


def _prepare(job: GenerationJob, *, resume: bool, overwrite: bool) -> None:
    description = job.fingerprint()
    journal = job.parts / _JOB_FILE
    if job.parts.exists() and not resume:
        if not overwrite:
            raise OutputError(
                job.parts, "holds an interrupted run; pass --resume to continue it or --overwrite."
            )
        shutil.rmtree(job.parts)
    if job.parts.is_dir() and not journal.exists():
        shutil.rmtree(job.parts)  # of nobody knows which run: killed before it could say
    if journal.exists():
        try:
            known = json.loads(journal.read_text())
        except ValueError:
            known = {}
        known = known if isinstance(known, dict) else {}
        different = [key for key in description if known.get(key) != description[key]]
        if different:
            raise ConfigError(
                f"{job.parts} belongs to another run (different: {', '.join(different)}); "
                "repeat its options, or start anew with --overwrite."
            )
        return
    try:
        job.parts.mkdir(exist_ok=True)
    except OSError as err:
        raise explain_os_error(job.parts, err) from err
    with atomic_path(journal) as part:
        part.write_text(json.dumps(description, indent=1))


_worker_generator: ShowerGenerator | None = None


def _start_worker(weights: str, device: str) -> None:
    global _worker_generator
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker_generator = load_model(weights, device=device)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)


def _do_shard(job: GenerationJob, shard: int) -> int:
    assert _worker_generator is not None
    job.write_shard(_worker_generator, shard, lambda n: None)
    return job.shard_count(shard)


def _in_processes(
    job: GenerationJob, missing: list[int], workers: int, on_showers: Callable[[int], None]
) -> None:
    # A fresh interpreter per worker: a forked one would inherit torch's thread pools in an unknown state.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start_worker, initargs=(job.weights, job.device)
    ) as pool:
        pending = {pool.submit(_do_shard, job, shard) for shard in missing}
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_EXCEPTION, timeout=0.5)
                for future in done:
                    on_showers(future.result())
        except BrokenProcessPool as err:
            raise CaloForgeError(
                f"A worker died (out of memory, or killed); finished shards are in {job.parts}. "
                "Run again with --resume, perhaps with fewer --workers."
            ) from err
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _join(job: GenerationJob, generator: ShowerGenerator, *, overwrite: bool) -> None:
    """One file from all shards; a single shard already is the file."""
    whole = job.shard_path(0)
    if job.n_shards > 1:
        # Written among the shards, so that a run that is killed here leaves nothing beside the output.
        whole = job.parts / _WHOLE_FILE
        with ShowerWriter(
            whole,
            generator.geometry,
            layout=job.layout,
            compression=job.compression,
            overwrite=True,
            provenance=generator.provenance(job.seed),
        ) as writer:
            for shard in range(job.n_shards):
                for chunk in read_chunks(
                    job.shard_path(shard), geometry=generator.geometry, layout=job.layout
                ):
                    writer.append(chunk)
    check_output(job.output, overwrite=overwrite)
    try:
        whole.replace(job.output)
    except OSError as err:
        raise explain_os_error(job.output, err) from err
    shutil.rmtree(job.parts)
