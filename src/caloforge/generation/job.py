"""Long generation runs as shards: each a pure function of its index, see :mod:`caloforge.production`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, final

from caloforge import production
from caloforge.energies import EnergySource, GivenEnergies
from caloforge.errors import ValueRangeError
from caloforge.generation.engine import Precision, ShowerGenerator, block_size, load_model
from caloforge.geometry import Geometry
from caloforge.models.checkpoint import CheckpointHeader, read_header
from caloforge.models.zoo import find_weights
from caloforge.production.parts import PartsFolder
from caloforge.seeding import MAX_SEED, MAX_SHOWERS, check_whole, digest
from caloforge.showers import Showers

__all__ = ["GenerationJob", "run_job"]


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
    precision: Precision = "float32"
    """Of large matrix products, as in :func:`load_model`."""
    compiled: bool = False
    """Compile generation first, as in :func:`load_model`."""
    allow_extrapolation: bool = False
    """Accept energies outside the trained range."""
    shard_bytes: int = 2**24
    """About how many bytes of voxels a shard has; a run that is killed loses up to one per worker."""

    can_replace: ClassVar[bool] = False
    in_process_ok: ClassVar[bool] = True
    keeps_log: ClassVar[bool] = False

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
        return self._header.geometry

    @cached_property
    def _header(self) -> CheckpointHeader:
        return read_header(find_weights(self.weights))

    @property
    def block(self) -> int:
        """Showers per block of the engine; shards are whole blocks."""
        return block_size(self._header, device=self.device)

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
        return PartsFolder.beside(self.output).path

    def shard_path(self, shard: int) -> Path:
        """File of a shard."""
        return PartsFolder.beside(self.output).shard(shard)

    def shard_count(self, shard: int) -> int:
        """Showers of a shard; the last may have fewer."""
        return min(self.shard_size, self.n_showers - shard * self.shard_size)

    def fingerprint(self) -> dict[str, Any]:
        """What must agree for shards of two runs to belong together."""
        return {
            "weights": digest(find_weights(self.weights).read_bytes()),
            "n_showers": self.n_showers,
            "energies": self.energies.facts(),
            "seed": self.seed,
            "layout": self.layout,
            "compression": self.compression,
            "device": self.device,
            "precision": self.precision,
            "compiled": self.compiled,
            "shard_size": self.shard_size,
        }

    def check(self) -> None:
        """Raise if the weights cannot be used, or their energy range is left without leave."""
        self._generator.check_energies(self.energies, allow_extrapolation=self.allow_extrapolation)

    def open_worker(self) -> "GenerationWorker":
        """Load the model."""
        return GenerationWorker(self, self._generator)

    @cached_property
    def _generator(self) -> ShowerGenerator:
        return load_model(self.weights, device=self.device, precision=self.precision, compiled=self.compiled)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_generator"}

    def join_provenance(self, first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
        """All showers of a run say the same."""
        return first


@final
class GenerationWorker:
    """A job with its model loaded."""

    def __init__(self, job: GenerationJob, generator: ShowerGenerator) -> None:
        self._job, self._generator = job, generator

    def showers(
        self, shard: int, attempts: Mapping[int, int], on_unit: Callable[[int], None]
    ) -> Iterator[Showers]:
        """The showers of a shard, block by block."""
        job = self._job
        begin = shard * job.shard_size
        end = begin + job.shard_count(shard)
        for start in range(begin, end, job.block):
            on_unit(start)
            e_inc = job.energies.e_inc(job.seed, start, min(job.block, end - start))
            # Energies were checked once, before the first shard.
            yield self._generator.sample(e_inc, seed=job.seed, start=start, allow_extrapolation=True)


def run_job(
    job: GenerationJob,
    *,
    workers: int = 1,
    scheduler: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    allow_extrapolation: bool = False,
    on_showers: Callable[[int], None] = lambda n: None,
) -> Path:
    """Do all shards that are missing, join them, and give the path of the sample.

    Args:
        job: The sample.
        workers: As in :func:`caloforge.production.run_job`.
        scheduler: As there.
        resume: As there.
        overwrite: As there.
        allow_extrapolation: Accept energies outside the trained range, as a job with that field does.
        on_showers: Told how many more showers are done.

    Raises:
        EnergyRangeError: Energies outside the trained range.
        OutputError: The output exists or cannot be written, or an interrupted run is in the way.
        ConfigError: ``resume`` with a different job.
    """
    return production.run_job(
        replace(job, allow_extrapolation=True) if allow_extrapolation else job,
        workers=workers,
        scheduler=scheduler,
        resume=resume,
        overwrite=overwrite,
        on_showers=on_showers,
    )
