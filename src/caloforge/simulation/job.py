"""A sample of Geant4 showers as a job of shards; see :mod:`caloforge.production`."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, Final, final

import numpy as np
from jaxtyping import Float

from caloforge.energies import EnergySource, GivenEnergies
from caloforge.errors import ValueRangeError
from caloforge.geometry import Geometry, Incidence
from caloforge.seeding import MAX_SEED, MAX_SHOWERS, check_whole, derive_seed, shower_uniform
from caloforge.showers import Showers
from caloforge.simulation._geant4 import import_geant4
from caloforge.simulation.data import DataSets, find_data
from caloforge.simulation.detector import check_aim, check_number_of_cells, check_outline
from caloforge.simulation.geant4 import Event, Geant4
from caloforge.simulation.materials import build_materials
from caloforge.simulation.particles import pdg_id
from caloforge.simulation.physics import check_physics
from caloforge.simulation.plates import plates
from caloforge.units import GeV

__all__ = ["SimulationJob"]

_SHARD_ENERGY: Final = 10_000 * GeV  # about two minutes of one core
_MAX_SHARD: Final = 100
_LEAST_SHARDS: Final = 16
_CUT_RANGE: Final = (1e-3, 1e3)
"""mm; below it Geant4's lowest energies decide, above it there is nothing left to cut."""
_E_KIN_RANGE: Final = (1e-3, 1e8)
"""Of the standard physics, MeV: 1 keV to 100 TeV."""
_ABORTED: Final = 70
_BATCH: Final = 20
"""Showers in memory together, and between two signs of life of the progress bar."""


@final
@dataclass(frozen=True, kw_only=True)
class SimulationJob:
    """Everything that determines a sample of Geant4 showers; picklable, so that any process can do any shard."""

    geometry: Geometry
    """With a material stack."""
    particle: str
    """One of :data:`caloforge.simulation.PARTICLES`."""
    n_showers: int
    energies: EnergySource
    """Incident energies: kinetic energies of the primary particle."""
    seed: int
    output: Path
    physics: str = "FTFP_BERT"
    """One of :data:`caloforge.simulation.PHYSICS_LISTS`."""
    production_cut: float = 0.7
    """Range below which Geant4 makes no secondary electrons, positrons and photons, mm."""
    incidence: Incidence | None = None
    """Direction and entry point; ``None`` takes the geometry's."""
    geant4_data: Path | None = None
    """Folder of Geant4's data sets; ``None`` searches for them, see :func:`caloforge.simulation.find_data`."""
    layout: str = "calochallenge"
    compression: int = 1

    # An event that crashes Geant4 again and again is made from other random numbers, and recorded.
    can_replace: ClassVar[bool] = True
    # Geant4 can be set up once in a process, and its chatter is caught: never in the caller's.
    in_process_ok: ClassVar[bool] = False
    keeps_log: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_whole("seed", self.seed, greatest=MAX_SEED)
        check_whole("n_showers", self.n_showers, least=1, greatest=MAX_SHOWERS)
        least_cut, greatest_cut = _CUT_RANGE
        if not least_cut <= self.production_cut <= greatest_cut:
            raise ValueRangeError(
                f"production_cut must be a length of {least_cut:g} to {greatest_cut:g} mm, "
                f"got {self.production_cut:g}."
            )
        if isinstance(self.energies, GivenEnergies) and len(self.energies.values) < self.n_showers:
            raise ValueRangeError(
                f"{self.n_showers} showers need as many incident energies, got {len(self.energies.values)}."
            )
        least, greatest = self.energies.bounds()
        if not _E_KIN_RANGE[0] <= least <= greatest <= _E_KIN_RANGE[1]:
            raise ValueRangeError(
                f"Incident energies {least / GeV:.6g} to {greatest / GeV:.6g} GeV are outside the range of Geant4's "
                f"physics, {_E_KIN_RANGE[0] / GeV:g} to {_E_KIN_RANGE[1] / GeV:g} GeV."
            )
        check_physics(self.physics, self.particle)

    @property
    def aim(self) -> Incidence:
        """Direction and entry point that are used."""
        return self.geometry.incidence if self.incidence is None else self.incidence

    @property
    def shard_size(self) -> int:
        """Showers per shard: about two minutes of Geant4, at most 100."""
        _, greatest = self.energies.bounds()
        # Small samples in pieces, too, so that several workers have something to do.
        return max(1, min(_MAX_SHARD, int(_SHARD_ENERGY / greatest), -(-self.n_showers // _LEAST_SHARDS)))

    @property
    def n_shards(self) -> int:
        """Number of shards."""
        return -(-self.n_showers // self.shard_size)

    def shard_count(self, shard: int) -> int:
        """Showers of a shard; the last may have fewer."""
        return min(self.shard_size, self.n_showers - shard * self.shard_size)

    def fingerprint(self) -> dict[str, Any]:
        """What must agree for shards of two runs to belong together."""
        return {
            "geometry": self.geometry.to_dict(),
            "particle": self.particle,
            "n_showers": self.n_showers,
            "energies": self.energies.facts(),
            "seed": self.seed,
            "physics": self.physics,
            "production_cut": self.production_cut,
            "incidence": self.aim.to_dict(),
            "geant4": metadata.version("geant4-pybind"),
            "geant4_data": self._data().versions,
            "layout": self.layout,
            "compression": self.compression,
            "shard_size": self.shard_size,
        }

    def check(self) -> None:
        """Raise, before any process starts, if the sample cannot be simulated here.

        Raises:
            MissingExtraError: The extra ``geant4`` is not installed.
            Geant4DataError: Data sets of Geant4 are missing.
            ConfigError: The geometry cannot be simulated.
            UnknownNameError: A material or particle is not known.
        """
        plates(self.geometry)
        check_outline(self.geometry)
        check_number_of_cells(self.geometry)
        check_aim(self.geometry, self.aim)
        g4 = import_geant4()
        pdg_id(self.particle)
        if self.geometry.stack is not None:
            build_materials(g4, self.geometry.stack)
        self._data()

    def open_worker(self) -> "_Worker":
        """Set up Geant4 in this process."""
        return _Worker(self)

    def join_provenance(self, first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
        """CPU seconds add up; all else is the same for all shards."""
        seconds = first["cpu_seconds"] + second["cpu_seconds"]
        return first | {"cpu_seconds": round(seconds, 3)}

    def e_inc(self, start: int, count: int) -> Float[np.ndarray, " n"]:
        """Incident energies of some showers, MeV, ``(n,)``."""
        return self.energies.e_inc(self.seed, start, count)

    def events(self, start: int, count: int, attempts: Mapping[int, int]) -> list[Event]:
        """What determines some showers; only the random states depend on the attempts."""
        aim = self.aim
        u = shower_uniform(derive_seed(self.seed, "entry"), start, count, 2)
        entries = np.array([aim.x, aim.y]) + aim.spread * (2 * u - 1)
        return [
            Event(
                index=start + k,
                e_kin=float(energy),
                entry=(float(x), float(y)),
                seeds=Event.random_state(self.seed, start + k, attempts.get(start + k, 0)),
            )
            for k, (energy, (x, y)) in enumerate(zip(self.e_inc(start, count), entries, strict=True))
        ]

    def _data(self) -> DataSets:
        return find_data(self.geant4_data, physics=self.physics)


def _die() -> None:
    """An event that Geant4 gives up is treated like one that crashes: tried again, then replaced, and listed."""
    print("Geant4 aborted the event.", flush=True)  # noqa: T201 - into the log of the process
    os._exit(_ABORTED)


@final
class _Worker:
    def __init__(self, job: SimulationJob) -> None:
        self._job = job
        self._data = job._data()
        os.environ.update(self._data.environment)
        self._geant4 = Geant4(
            job.geometry,
            particle=job.particle,
            physics=job.physics,
            cut=job.production_cut,
            direction=job.aim.direction,
            on_abort=_die,
        )

    def showers(
        self, shard: int, attempts: Mapping[int, int], on_unit: Callable[[int], None]
    ) -> Iterator[Showers]:
        """Batches of a shard's showers."""
        job = self._job
        begin = shard * job.shard_size
        end = begin + job.shard_count(shard)
        for start in range(begin, end, _BATCH):
            count = min(_BATCH, end - start)
            results = list(self._geant4.showers(job.events(start, count, attempts), on_unit))
            yield Showers(
                e_inc=job.e_inc(start, count),
                voxels=np.array([voxels for _, voxels, _ in results], dtype=np.float32),
                geometry=job.geometry,
                provenance=self._provenance(sum(seconds for _, _, seconds in results)),
            )

    def _provenance(self, cpu_seconds: float) -> dict[str, Any]:
        job = self._job
        return {
            "generator": "geant4",
            "geant4": self._geant4.version,
            "geant4_data": self._data.facts(),
            "physics": job.physics,
            "production_cut_mm": job.production_cut,
            "particle": job.particle,
            "energies": job.energies.facts(),
            "incidence": job.aim.to_dict(),
            "seed": job.seed,
            "cpu_seconds": cpu_seconds,
        }
