"""Geant4 at work: one event per shower, each from a random state of its own."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from jaxtyping import Float

from caloforge.errors import CaloForgeError, ConfigError
from caloforge.geometry import Geometry
from caloforge.seeding import derive_seed
from caloforge.simulation._geant4 import import_geant4
from caloforge.simulation.detector import Detector
from caloforge.simulation.particles import pdg_id
from caloforge.simulation.physics import build_physics, check_physics

__all__ = ["Event", "EventAbortedError", "Geant4"]

_BEFORE_FRONT: Final = 1.0  # mm along the axis from which the primary particle flies to the front face


class EventAbortedError(CaloForgeError, RuntimeError):
    """Geant4 gave an event up, e.g. because a track was stuck."""


@final
@dataclass(frozen=True, kw_only=True)
class Event:
    """What determines one shower."""

    index: int
    e_kin: float
    """Kinetic energy of the primary particle, MeV."""
    entry: tuple[float, float]
    """Where it meets the front face, x and y, mm."""
    seeds: tuple[int, int, int, int]
    """Random state: four numbers from 1 to 2^31 - 1."""

    @staticmethod
    def random_state(seed: int, index: int, attempt: int) -> tuple[int, int, int, int]:
        """Seeds of an event; those of another attempt have nothing in common with the first."""
        labels = (index,) if attempt == 0 else (index, attempt)
        words = [derive_seed(seed, "geant4", *labels, k) for k in range(4)]
        a, b, c, d = (1 + word % (2**31 - 1) for word in words)  # a zero would end the list for Geant4
        return a, b, c, d


@final
class Geant4:
    """Geant4 set up for one calorimeter and one kind of particle; once in the life of a process.

    Args:
        geometry: The calorimeter.
        particle: Name of the primary particle.
        physics: Name of the physics list.
        cut: Production cut, mm.
        direction: Unit vector of the primaries; z points into the calorimeter.
        on_abort: Called at the end of an event that Geant4 has aborted, before the next one begins.

    Raises:
        MissingExtraError: The extra ``geant4`` is not installed.
        ConfigError: The geometry cannot be simulated, or Geant4 is set up already in this process.
        UnknownNameError: A particle, physics list or material is not known.
    """

    def __init__(
        self,
        geometry: Geometry,
        *,
        particle: str,
        physics: str = "FTFP_BERT",
        cut: float = 0.7,
        direction: tuple[float, float, float] = (0.0, 0.0, 1.0),
        on_abort: Callable[[], None] = lambda: None,
    ) -> None:
        check_physics(physics, particle)
        g4 = import_geant4()
        if g4.G4RunManager.GetRunManager() is not None:
            raise ConfigError("Geant4 is set up already in this process, which it allows once only.")
        self._g4 = g4
        self._detector = Detector(g4, geometry)
        self._manager = g4.G4RunManagerFactory.CreateRunManager(g4.G4RunManagerType.SerialOnly)
        self._manager.SetVerboseLevel(0)
        classes = _user_classes(g4)
        self._construction = classes.construction(self._detector)
        self._physics = build_physics(g4, physics)
        g4.G4EmParameters.Instance().SetVerbose(0)
        g4.G4HadronicParameters.Instance().SetVerboseLevel(0)
        self._actions = classes.actions(pdg_id(particle), direction, self._detector, on_abort)
        for part in (self._construction, self._physics, self._actions):
            self._manager.SetUserInitialization(part)
        self._manager.Initialize()
        # Before Initialize it has no effect: that sets the list's own.
        self._physics.SetDefaultCutValue(cut * g4.mm)

    @property
    def version(self) -> str:
        """Of Geant4, e.g. ``"geant4-11-04-patch-01"``."""
        return str(self._g4.G4Version).strip("$ ").removeprefix("Name: ").strip()

    def showers(
        self, events: list[Event], on_event: Callable[[int], None] = lambda index: None
    ) -> Iterator[tuple[Event, Float[np.ndarray, " V"], float]]:
        """Simulate events in order; their voxels are in memory together.

        Args:
            events: What to simulate.
            on_event: Told the index of each event right before it begins.

        Yields:
            The event, energy per voxel in MeV, ``(V,)``, and the CPU seconds it took.

        Raises:
            EventAbortedError: Geant4 gave up.
        """
        if not events:
            return
        generator, recorder = self._actions.generator, self._actions.recorder
        # All in one run of Geant4: to begin one costs some milliseconds, as much as a shower of 1 GeV.
        generator.events, generator.on_event = iter(events), on_event
        self._manager.BeamOn(len(events))
        results, recorder.results = recorder.results, []
        for event, (voxels, seconds) in zip(events, results, strict=True):
            if voxels is None:
                raise EventAbortedError(f"Geant4 aborted event {event.index} at {event.e_kin:g} MeV.")
            yield event, voxels, seconds


@dataclass(frozen=True)
class _UserClasses:
    construction: Any
    actions: Any


def _user_classes(g4: Any) -> _UserClasses:
    """Geant4 calls back into classes derived from its own, which exist once it is imported."""

    class Construction(g4.G4VUserDetectorConstruction):  # type: ignore[misc]
        def __init__(self, detector: Detector) -> None:
            super().__init__()
            self.detector = detector

        def Construct(self) -> Any:
            return self.detector.construct()

        def ConstructSDandField(self) -> None:
            self.detector.attach_scorers()

    class Generator(g4.G4VUserPrimaryGeneratorAction):  # type: ignore[misc]
        events: Iterator[Event]
        on_event: Callable[[int], None]

        def __init__(self, pdg: int, direction: tuple[float, float, float]) -> None:
            super().__init__()
            self.direction = direction
            self.gun = g4.G4ParticleGun(1)
            self.gun.SetParticleDefinition(g4.G4ParticleTable.GetParticleTable().FindParticle(pdg))
            self.gun.SetParticleMomentumDirection(g4.G4ThreeVector(*direction))

        def GeneratePrimaries(self, event: Any) -> None:
            wanted = next(self.events)
            self.on_event(wanted.index)
            g4.G4Random.setTheSeeds([*wanted.seeds, 0], len(wanted.seeds))
            back = _BEFORE_FRONT / self.direction[2]
            x, y = (at - back * slope for at, slope in zip(wanted.entry, self.direction[:2], strict=True))
            self.gun.SetParticlePosition(g4.G4ThreeVector(x, y, -_BEFORE_FRONT))
            self.gun.SetParticleEnergy(wanted.e_kin * g4.MeV)
            self.gun.GeneratePrimaryVertex(event)

    class Recorder(g4.G4UserEventAction):  # type: ignore[misc]
        def __init__(self, detector: Detector, on_abort: Callable[[], None]) -> None:
            super().__init__()
            self.detector, self.on_abort = detector, on_abort
            self.results: list[tuple[Any, float]] = []

        def BeginOfEventAction(self, event: Any) -> None:
            self.begin = time.process_time()

        def EndOfEventAction(self, event: Any) -> None:
            aborted = event.IsAborted()
            if aborted:
                self.on_abort()
            voxels = None if aborted else self.detector.collect(event)
            self.results.append((voxels, time.process_time() - self.begin))

    class Actions(g4.G4VUserActionInitialization):  # type: ignore[misc]
        def __init__(
            self,
            pdg: int,
            direction: tuple[float, float, float],
            detector: Detector,
            on_abort: Callable[[], None],
        ) -> None:
            super().__init__()
            self.pdg, self.direction, self.detector, self.on_abort = pdg, direction, detector, on_abort

        def Build(self) -> None:
            self.generator = Generator(self.pdg, self.direction)
            self.recorder = Recorder(self.detector, self.on_abort)
            self.SetUserAction(self.generator)
            self.SetUserAction(self.recorder)

    return _UserClasses(Construction, Actions)
