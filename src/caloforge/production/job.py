"""What a long run must offer so that its shards can be made anywhere: here, in processes, on a cluster."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from caloforge.geometry import Geometry
from caloforge.showers import Showers

__all__ = ["ShardWorker", "ShardedJob"]


@runtime_checkable
class ShardWorker(Protocol):
    """What one process sets up once (weights loaded, Geant4 initialised) and uses for all its shards."""

    def showers(
        self, shard: int, attempts: Mapping[int, int], on_unit: Callable[[int], None]
    ) -> Iterator[Showers]:
        """The showers of a shard in order, in batches of any size that fit into memory.

        Args:
            shard: Which one.
            attempts: Units that have killed processes, and which attempt this is (1, 2 ...); all others are at
                attempt 0. Always empty unless the job can replace. The result may depend on the attempt and
                the unit's index, and on nothing else.
            on_unit: To be told the index of the first shower of each unit of work, right before it begins; a
                unit is what is blamed, and perhaps replaced, if the process dies: one event, or one block.

        Yields:
            Showers whose provenance describes them; :meth:`ShardedJob.join_provenance` makes one of all.
        """
        ...


@runtime_checkable
class ShardedJob(Protocol):
    """Everything that determines a sample of showers; by convention a frozen dataclass, and picklable.

    A shard is a pure function of the job, its index and the attempts at its units. It says which shower comes
    from where: shard k holds the ``shard_count(k)`` showers after those of the shards before it.
    """

    @property
    def output(self) -> Path:
        """The file to make."""
        ...

    @property
    def layout(self) -> str:
        """Layout of the file, a key of :data:`caloforge.io.LAYOUTS`."""
        ...

    @property
    def compression(self) -> int:
        """Level of gzip, 0 to 9."""
        ...

    @property
    def geometry(self) -> Geometry:
        """The calorimeter of all showers."""
        ...

    @property
    def n_showers(self) -> int:
        """Size of the sample."""
        ...

    @property
    def n_shards(self) -> int:
        """In how many pieces it is made; a run that is killed loses up to one per process."""
        ...

    @property
    def can_replace(self) -> bool:
        """Whether a unit that has killed two processes may be made from other random numbers."""
        ...

    @property
    def in_process_ok(self) -> bool:
        """Whether one worker may be the calling process itself; if not, a process is made for it."""
        ...

    @property
    def keeps_log(self) -> bool:
        """Whether what its processes print, from C++ too, goes to log files among the shards, not to the terminal."""
        ...

    def shard_count(self, shard: int) -> int:
        """Showers of a shard."""
        ...

    def fingerprint(self) -> dict[str, Any]:
        """What must agree for shards of two runs to belong together; JSON data."""
        ...

    def check(self) -> None:
        """Raise, before anything is written, if the job cannot be done; costly checks are welcome here."""
        ...

    def open_worker(self) -> ShardWorker:
        """Set up a worker; called once in each process that works on the job."""
        ...

    def join_provenance(self, first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
        """The provenance of two consecutive batches or shards taken together; may be the first."""
        ...
