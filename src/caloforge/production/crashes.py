"""Units of work over which processes died: when one is tried again, replaced, given up."""

import signal
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

__all__ = [
    "LAST_ATTEMPT",
    "Crash",
    "attempts_after",
    "cause_of_death",
    "ended_from_outside",
    "replaced_events",
]

LAST_ATTEMPT = 3
"""Attempt 0 is tried twice, since memory may have been short; 1, 2, 3 use other random numbers, once each."""

_OUTSIDE = {getattr(signal, name, None) for name in ("SIGTERM", "SIGINT", "SIGHUP")} - {None}


@final
@dataclass(frozen=True, kw_only=True)
class Crash:
    """A process that died while it worked on a unit."""

    unit: int
    """Index of the unit's first shower."""
    attempt: int
    """Which attempt at the unit it was, counted from 0."""
    cause: str
    """Exit code or signal."""


def attempts_after(crashes: Iterable[Crash]) -> dict[int, int]:
    """Units that need another attempt than 0, and which; the same crashes always give the same."""
    deaths = Counter(crash.unit for crash in crashes)
    return {unit: min(n - 1, LAST_ATTEMPT) for unit, n in deaths.items() if n > 1}


def replaced_events(crashes: Iterable[Crash]) -> list[dict[str, Any]]:
    """For the provenance: events made by another attempt than 0, and of what the processes before died."""
    crashes = list(crashes)
    return [
        {"event": unit, "attempt": attempt, "died_of": [c.cause for c in crashes if c.unit == unit]}
        for unit, attempt in sorted(attempts_after(crashes).items())
    ]


def cause_of_death(returncode: int) -> str:
    """An exit status in words."""
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return f"signal {-returncode} ({signal.Signals(-returncode).name})"
    except ValueError:
        return f"signal {-returncode}"


def ended_from_outside(returncode: int) -> bool:
    """Whether somebody asked the process to end, for which what it did is not to blame."""
    return -returncode in _OUTSIDE
