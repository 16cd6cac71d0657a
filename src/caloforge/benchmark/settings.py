"""What is to be timed, and how."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

from caloforge.errors import ConfigError, UnknownNameError
from caloforge.seeding import MAX_SEED, MAX_SHOWERS, check_whole

__all__ = ["BenchmarkSettings"]

_MAX_THREADS = 1024  # the engine's own limit, which is not imported because torch comes with it
_MAX_BATCH = 10_000_000
_PRECISIONS = ("float32", "bfloat16")  # the engine's, too


@final
@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings:
    """Rows and columns of a benchmark."""

    models: tuple[str, ...] = ()
    """Shipped weights, weights files, run folders, or recipes; none means all shipped weights."""
    threads: tuple[int, ...] = (1,)
    """Blocks of the engine that are computed at the same time; on a GPU it has no meaning and is 1."""
    batches: tuple[int, ...] = (1, 10, 100, 1000, 10000)
    """Showers per request."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of large matrix products of the models, as in :func:`caloforge.generation.load_model`; peers stay in float32."""
    compiled: bool = False
    """Compile the models' generation first, as in :func:`caloforge.generation.load_model`; peers are not compiled."""
    device: str = "cpu"
    """Where the models and the peers compute; Geant4 stays on the CPU."""
    repeats: int = 3
    """Timed repeats; the median counts."""
    max_seconds: float = 60.0
    """Of repeats per figure: what is slower is repeated less often, at least once."""
    geant4: bool = False
    """Time real Geant4 of the models' calorimeters, too."""
    geant4_showers: int = 100
    """Showers per Geant4 row."""
    geant4_data: Path | None = None
    """Folder of Geant4's data sets; ``None`` searches for them."""
    physics: str | None = None
    """Physics list of Geant4; ``None`` takes that of the training showers where the weights know it, else FTFP_BERT."""
    particle: str | None = None
    """Particle of Geant4 rows for models that do not say theirs, such as untrained ones."""
    peers: bool = False
    """Time the networks of CaloFlow models in nflows and zuko, too, and those of the papers, untrained."""
    peer_showers: int = 10
    """Showers of a peer that needs one pass per voxel, which takes it a minute."""
    seed: int = 1
    """Of the models' random numbers and of Geant4's."""

    def __post_init__(self) -> None:
        for name, values, greatest in (
            ("threads", self.threads, _MAX_THREADS),
            ("batches", self.batches, _MAX_BATCH),
        ):
            if not values:
                raise ConfigError(f"{name} must name at least one number.")
            for value in values:
                check_whole(name, value, least=1, greatest=greatest)
        if self.precision not in _PRECISIONS:
            raise UnknownNameError("precision", str(self.precision), _PRECISIONS)
        check_whole("repeats", self.repeats, least=1, greatest=10_000)
        check_whole("geant4_showers", self.geant4_showers, least=1, greatest=MAX_SHOWERS)
        check_whole("peer_showers", self.peer_showers, least=1, greatest=MAX_SHOWERS)
        check_whole("seed", self.seed, greatest=MAX_SEED)
        if not 0 < self.max_seconds < float("inf"):
            raise ConfigError(f"max_seconds must be positive and finite, got {self.max_seconds}.")
