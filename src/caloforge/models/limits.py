"""What the sizes and numbers of a configuration may be; the same for every stage."""

import math
from typing import Any

from caloforge.errors import ConfigError, ValueRangeError
from caloforge.showers import Showers

__all__ = ["check_at_least", "check_between", "check_flow", "check_share", "check_threshold"]

_SEEDS = 2**63


def check_flow(config: Any, *, where: str) -> None:
    """Check what all flows have: sizes, the seed of the permutations.

    Raises:
        ConfigError: A value that makes no sense; the message begins with its dotted name.
    """
    for name, least in (("blocks", 1), ("hidden", 1), ("depth", 0)):
        check_at_least(least, getattr(config, name), name=f"{where}.{name}")
    if not 0 <= config.permutation_seed < _SEEDS:
        raise ConfigError(
            f"{where}.permutation_seed must lie in 0 .. 2^63 - 1, got {config.permutation_seed}."
        )


def check_at_least(least: int | float, value: int | float, *, name: str) -> None:
    """``least <= value``, and finite.

    Raises:
        ConfigError: It is not.
    """
    if not least <= value < math.inf:
        raise ConfigError(f"{name} must be at least {least} and finite, got {value}.")


def check_between(low: int | float, value: int | float, high: int | float, *, name: str) -> None:
    """``low < value < high``.

    Raises:
        ConfigError: It is not.
    """
    if not low < value < high:
        raise ConfigError(f"{name} must lie between {low} and {high}, both excluded; got {value}.")


def check_share(value: float, *, name: str) -> None:
    """``0 <= value < 1``.

    Raises:
        ConfigError: It is not.
    """
    if not 0 <= value < 1:
        raise ConfigError(f"{name} must lie in [0, 1), got {value}.")


def check_threshold(threshold: float, showers: Showers, *, name: str) -> None:
    """Some voxel reaches it, if there are showers.

    Args:
        threshold: MeV.
        showers: Of the training split.
        name: Of the setting.

    Raises:
        ValueRangeError: None does.
    """
    if len(showers) and (greatest := float(showers.voxels.max())) < threshold:
        raise ValueRangeError(
            f"No voxel of the training showers reaches {name} = {threshold:g} MeV, the greatest has "
            f"{greatest:g} MeV; choose a lower threshold."
        )
