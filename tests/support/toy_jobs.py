"""A job of numbers instead of physics, whose processes can be made to die; a module of its own, as they import it."""

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np

from caloforge.energies import Spectrum
from caloforge.geometry import Geometry
from caloforge.seeding import shower_uniform
from caloforge.showers import Showers
from support.toys import cartesian, geometry_of

__all__ = ["Fate", "ToyJob", "ToyWorker", "toy_sample"]

GEOMETRY = geometry_of(cartesian(2, 2), cartesian(1, 2))
BATCH = 3


@final
@dataclass(frozen=True, kw_only=True)
class Fate:
    """What happens when a process comes to an event."""

    event: int
    way: Literal["abort", "kill", "terminate", "exit", "raise", "odd exception", "chatter and abort", "wait"]
    times: int = 1
    """How often in all; counted by files, as a process that dies cannot count."""


@final
@dataclass(frozen=True, kw_only=True)
class ToyJob:
    output: Path
    n_showers: int = 20
    seed: int = 1
    shard_size: int = 5
    fates: tuple[Fate, ...] = ()
    dies_at_start: Literal["", "exit", "raise"] = ""
    can_replace: bool = True
    in_process_ok: bool = False
    keeps_log: bool = False
    layout: str = "calochallenge"
    compression: int = 1
    seconds: float = 0.0
    """Per event."""
    fingerprint_file: Path | None = None

    @property
    def geometry(self) -> Geometry:
        return GEOMETRY

    @property
    def n_shards(self) -> int:
        return -(-self.n_showers // self.shard_size)

    def shard_count(self, shard: int) -> int:
        return min(self.shard_size, self.n_showers - shard * self.shard_size)

    def fingerprint(self) -> dict[str, Any]:
        extra = {} if self.fingerprint_file is None else {"file": self.fingerprint_file.read_text()}
        return {"seed": self.seed, "sizes": (self.n_showers, self.shard_size), **extra}

    def check(self) -> None:
        pass

    def open_worker(self) -> "ToyWorker":
        os.write(1, b"toy: set up\n")  # as a C++ library does
        if self.dies_at_start == "exit":
            os.write(2, b"toy: no licence\n")
            os._exit(3)
        if self.dies_at_start == "raise":
            raise FileNotFoundError(2, "no such thing", "toy.dat")
        return ToyWorker(self)

    def join_provenance(self, first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
        return first | {"cpu_seconds": first["cpu_seconds"] + second["cpu_seconds"]}


@final
class ToyWorker:
    def __init__(self, job: ToyJob) -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        self.job = job

    def showers(
        self, shard: int, attempts: Mapping[int, int], on_unit: Callable[[int], None]
    ) -> Iterator[Showers]:
        begin = shard * self.job.shard_size
        end = begin + self.job.shard_count(shard)
        for start in range(begin, end, BATCH):
            events = range(start, min(start + BATCH, end))
            for event in events:
                on_unit(event)
                self.meet(event)
            yield make(self.job, [(event, attempts.get(event, 0)) for event in events])

    def meet(self, event: int) -> None:
        time.sleep(self.job.seconds)
        for fate in self.job.fates:
            if fate.event != event or not spend(self.job.output, fate):
                continue
            match fate.way:
                case "abort":
                    os.abort()
                case "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "terminate":
                    os.kill(os.getpid(), signal.SIGTERM)
                    time.sleep(10)
                case "exit":
                    os._exit(7)
                case "raise":
                    raise KeyError(f"event {event}")
                case "odd exception":
                    raise OddError(1, 2)
                case "chatter and abort":
                    os.write(1, b"G4Exception-START\n*** a step of no length ***\n")
                    os.abort()
                case "wait":
                    time.sleep(1000)


class OddError(Exception):
    """Cannot be copied."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("odd")


def spend(output: Path, fate: Fate) -> bool:
    """Whether a fate is due, counted beside the output's folder."""
    folder = output.parent.with_name(f"{output.parent.name}-fates")
    folder.mkdir(exist_ok=True)
    seen = len(list(folder.glob(f"{fate.event}-*")))
    if seen >= fate.times:
        return False
    (folder / f"{fate.event}-{seen}").touch()
    return True


def make(job: ToyJob, events: list[tuple[int, int]]) -> Showers:
    """Showers of (event, attempt)."""
    e_inc = np.array([Spectrum(low=1e3, high=1e5).e_inc(job.seed, event, 1)[0] for event, _ in events])
    shares = [
        shower_uniform(job.seed + 100 * attempt, event, 1, GEOMETRY.n_voxels)[0] for event, attempt in events
    ]
    voxels = (0.15 * np.array(shares) * e_inc[:, None]).astype(np.float32)
    provenance = {"seed": job.seed, "cpu_seconds": float(len(events))}
    return Showers(e_inc=e_inc, voxels=voxels, geometry=GEOMETRY, provenance=provenance)


def toy_sample(job: ToyJob, attempts: Mapping[int, int] | None = None) -> Showers:
    """The whole sample, made here."""
    return make(job, [(event, (attempts or {}).get(event, 0)) for event in range(job.n_showers)])
