"""Long generation runs as shards: each a pure function of its index, written whole, kept until all are there.

A run writes ``OUT.parts/`` with a description of itself and one file per finished shard; the last step joins
them to ``OUT`` and removes the folder. A run that was killed starts again and does only what is missing. Files
in the folder that no run writes are never touched.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

from caloforge.energies import EnergySource, GivenEnergies
from caloforge.errors import ConfigError, OutputError, ValueRangeError
from caloforge.files import check_output, explain_os_error, real_path
from caloforge.generation.engine import ShowerGenerator, block_size, load_model
from caloforge.generation.parts import PartsFolder
from caloforge.generation.workers import in_processes
from caloforge.geometry import Geometry
from caloforge.io import ShowerWriter, read_chunks
from caloforge.models.checkpoint import read_header
from caloforge.models.zoo import find_weights
from caloforge.seeding import MAX_SEED, MAX_SHOWERS, check_whole, digest
from caloforge.showers import Showers

__all__ = ["GenerationJob", "run_job"]

_LEAST_BYTES = 8  # per shower: its incident energy; the voxels, which hardly compress, are many times that


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
    shard_bytes: int = 2**24
    """About how many bytes of voxels a shard has; a run that is killed loses up to one per worker."""

    def __post_init__(self) -> None:
        check_whole("seed", self.seed, greatest=MAX_SEED)
        check_whole("n_showers", self.n_showers, least=1, greatest=MAX_SHOWERS)
        if isinstance(self.energies, GivenEnergies) and len(self.energies.values) < self.n_showers:
            raise ValueRangeError(
                f"{self.n_showers} showers need as many incident energies, got {len(self.energies.values)}."
            )

    @cached_property
    def geometry(self) -> Geometry:
        """The calorimeter of the weights; only their header is read."""
        return read_header(find_weights(self.weights)).geometry

    @property
    def block(self) -> int:
        """Showers per block of the engine; shards are whole blocks."""
        return block_size(self.geometry)

    @property
    def shard_size(self) -> int:
        """Showers per shard: whole blocks, about ``shard_bytes`` of voxels."""
        blocks = max(1, self.shard_bytes // (4 * self.geometry.n_voxels * self.block))
        return blocks * self.block

    @property
    def n_shards(self) -> int:
        """Number of shards."""
        return -(-self.n_showers // self.shard_size)

    @property
    def parts(self) -> Path:
        """Folder of the finished shards."""
        target = real_path(self.output)
        return target.with_name(f"{target.name}.parts")

    def shard_path(self, shard: int) -> Path:
        """File of a shard."""
        return PartsFolder(self.parts).shard(shard)

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
        resume: Continue a run that was interrupted. One that has finished is an error, since its output
            cannot be told from another's; only if it was killed between its last two steps, the removal of the
            shards is made up for.
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
    parts = PartsFolder(job.parts)
    if resume and parts.joined_to(job.output):
        parts.check_journal(job.fingerprint())
        parts.remove()
        on_showers(job.n_showers)
        return job.output
    _check_output(job, parts, resume=resume, overwrite=overwrite)
    generator = load_model(job.weights, device=job.device)
    generator.check_energies(job.energies, allow_extrapolation=allow_extrapolation)
    parts.open(job.fingerprint(), resume=resume, overwrite=overwrite)
    finished = {shard for shard in parts.shards() if shard < job.n_shards}
    missing = (shard for shard in range(job.n_shards) if shard not in finished)  # may be very many
    on_showers(sum(map(job.shard_count, finished)))
    workers = min(workers, job.n_shards - len(finished))
    try:
        if workers <= 1:
            for shard in missing:
                job.write_shard(generator, shard, on_showers)
        else:
            in_processes(job, missing, workers, on_showers)
    except BaseException:
        parts.remove_temporaries()
        if not parts.shards():
            parts.remove()  # nothing to resume from
        raise
    _join(job, parts, generator, overwrite=overwrite)
    return job.output


def _check_output(job: GenerationJob, parts: PartsFolder, *, resume: bool, overwrite: bool) -> None:
    """Fail before the model is loaded if the sample cannot be written."""
    if resume and not overwrite and job.output.is_file() and not parts.path.exists():
        raise OutputError(
            job.output,
            "exists already, and no interrupted run is beside it: there is nothing to resume. Choose another "
            "name, or pass --overwrite to generate it anew.",
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


def _join(job: GenerationJob, parts: PartsFolder, generator: ShowerGenerator, *, overwrite: bool) -> None:
    """One file from all shards; a single shard already is the file."""
    whole = job.shard_path(0)
    if job.n_shards > 1:
        # Written among the shards, so that a run that is killed here leaves nothing beside the output.
        whole = parts.whole
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
    parts.note_joined(whole)
    try:
        whole.replace(real_path(job.output))
    except OSError as err:
        raise explain_os_error(job.output, err) from err
    parts.remove()
