"""What the Frechet and the kernel physics distance (FPD, KPD) share: settings, scaling, result.

References:
    R. Kansal et al., Evaluating generative models in high energy physics, arXiv:2211.10295.
    C. Krause et al., CaloChallenge 2022: A community challenge for fast calorimeter simulation,
    arXiv:2410.21611.
"""

from dataclasses import dataclass
from typing import Final, final

import numpy as np
from jaxtyping import Float

from caloforge.errors import ConfigError, UnknownNameError

__all__ = [
    "PHYSICS_DISTANCE_SETTINGS",
    "PhysicsDistance",
    "PhysicsDistanceSettings",
    "checked_settings",
    "normalised",
    "physics_distance",
]

_RECOMMENDED = 50_000
"""Showers per sample that jetnet recommends for both distances."""


@final
@dataclass(frozen=True, kw_only=True)
class PhysicsDistanceSettings:
    """How the two distances are estimated."""

    min_samples: int
    """FPD: smallest size of a batch."""
    max_samples: int = 50_000
    """FPD: largest size of a batch."""
    n_points: int = 10
    """FPD: sizes between the two, equally spaced in 1/N."""
    n_batches: int = 20
    """FPD: batches of each size."""
    kernel_batch_size: int
    """KPD: size of a batch."""
    kernel_batches: int = 10
    """KPD: number of batches, of which the median is taken."""
    seed: int = 42

    def __post_init__(self) -> None:
        if not 2 <= self.min_samples < self.max_samples:
            raise ConfigError(
                f"min_samples must be 2 or more and below max_samples = {self.max_samples}, got {self.min_samples}."
            )
        for name, least in (
            ("n_points", 3),
            ("n_batches", 1),
            ("kernel_batch_size", 2),
            ("kernel_batches", 2),
            ("seed", 0),
        ):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}.")


PHYSICS_DISTANCE_SETTINGS: Final = {
    "jetnet": PhysicsDistanceSettings(min_samples=20_000, kernel_batch_size=5_000),
    "calochallenge": PhysicsDistanceSettings(min_samples=10_000, kernel_batch_size=10_000),
}
"""jetnet's defaults, and what the CaloChallenge's published numbers were made with."""


@final
@dataclass(frozen=True, kw_only=True)
class PhysicsDistance:
    """An FPD or a KPD; published tables give it times 1000. Around 0 for equal samples, lower is better."""

    value: float
    error: float
    """As published: of the fit (FPD), half the central 68 % of the batches (KPD). Blind to the finite samples."""
    sample_error: float
    """Standard deviation if both samples were drawn anew, by bootstrap."""
    floor: float
    """Mean for two samples of these sizes from one distribution (showers shuffled between the two)."""
    floor_95: float
    """Its 95 % quantile: a larger value is a real difference."""
    n_generated: int
    n_reference: int
    n_features: int
    settings: PhysicsDistanceSettings
    notes: tuple[str, ...]
    """What a reader must know to compare the value with published ones."""


def checked_settings(settings: str | PhysicsDistanceSettings, *, draws: int) -> PhysicsDistanceSettings:
    """The settings themselves, or those of a name in :data:`PHYSICS_DISTANCE_SETTINGS`.

    Raises:
        ConfigError: There are fewer than two draws for the sample error and the floor.
        UnknownNameError: No settings have this name.
    """
    if draws < 2:
        raise ConfigError(f"draws must be at least 2, got {draws}.")
    if isinstance(settings, PhysicsDistanceSettings):
        return settings
    if settings not in PHYSICS_DISTANCE_SETTINGS:
        raise UnknownNameError("setting of FPD and KPD", settings, PHYSICS_DISTANCE_SETTINGS)
    return PHYSICS_DISTANCE_SETTINGS[settings]


def normalised(
    reference: Float[np.ndarray, "m F"], generated: Float[np.ndarray, "n F"]
) -> tuple[Float[np.ndarray, "m F"], Float[np.ndarray, "n F"]]:
    """Both samples with each feature divided by its largest absolute value in the reference, unless that is 0."""
    scale = np.abs(reference).max(axis=0)
    scale[scale == 0] = 1.0
    return reference / scale, generated / scale


def physics_distance(
    generated: Float[np.ndarray, "n F"],
    reference: Float[np.ndarray, "m F"],
    value: float,
    error: float,
    boot: Float[np.ndarray, " d"],
    null: Float[np.ndarray, " d"],
    settings: PhysicsDistanceSettings,
    *,
    largest: int,
) -> PhysicsDistance:
    """The result, with the notes that the sizes call for.

    Args:
        generated: ``(n, F)``.
        reference: ``(m, F)``.
        value: The distance.
        error: Its published error.
        boot: Distances of bootstrapped samples, ``(d,)``.
        null: Distances of samples with their showers shuffled, ``(d,)``.
        settings: The settings used.
        largest: Size of the largest batch.
    """
    n, m = len(generated), len(reference)
    notes = []
    if min(n, m) < _RECOMMENDED:
        notes.append(
            f"{n} generated and {m} reference showers; {_RECOMMENDED} each are recommended. Smaller samples give "
            "larger values: compare with the floor, and with published values only those of equal size."
        )
    if min(n, m) < largest:
        notes.append(
            f"Batches of up to {largest} were drawn with replacement from fewer showers, as the definition has it."
        )
    return PhysicsDistance(
        value=value,
        error=error,
        sample_error=float(boot.std(ddof=1)),
        floor=float(null.mean()),
        floor_95=float(np.quantile(null, 0.95)),
        n_generated=n,
        n_reference=m,
        n_features=reference.shape[1],
        settings=settings,
        notes=tuple(notes),
    )
