"""Seconds of a call: warmed up, repeated, synchronised."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

__all__ = ["Timing", "time_calls"]

_LEAST_SECONDS: Final = 0.2
"""Of a repeat: shorter calls are made several times, as clock and scheduler would be what is measured."""
_MOST_CALLS: Final = 1000


@final
@dataclass(frozen=True, kw_only=True)
class Timing:
    """What a call took."""

    seconds: tuple[float, ...]
    """Per call, one value per repeat."""
    calls_per_repeat: int
    first_call: float
    """Seconds of the first call, which fills caches and compiles."""
    warmed_up: bool
    """False where the first call is all there is, since it took longer than half the time allowed."""
    processors: float
    """Processor seconds per second of the repeats."""


def time_calls(
    call: Callable[[int], object],
    *,
    repeats: int,
    max_seconds: float,
    synchronize: Callable[[], None] = lambda: None,
) -> Timing:
    """Time a call.

    Args:
        call: Told how many calls there were before.
        repeats: How many values.
        max_seconds: Of all repeats together; where they would take longer there are fewer, at least one.
        synchronize: Waits for the device.
    """
    n_calls, busy, wall = 0, 0.0, 0.0

    def several(count: int) -> float:
        nonlocal n_calls, busy, wall
        synchronize()
        begin, cpu = time.perf_counter(), time.process_time()
        for _ in range(count):
            call(n_calls)
            n_calls += 1
        synchronize()
        seconds = time.perf_counter() - begin
        busy, wall = busy + time.process_time() - cpu, wall + seconds
        return seconds / count

    first = several(1)
    if first > max_seconds / 2:
        return Timing(
            seconds=(first,),
            calls_per_repeat=1,
            first_call=first,
            warmed_up=False,
            processors=busy / wall,
        )
    busy = wall = 0.0
    second = several(1)
    count = min(_MOST_CALLS, max(1, math.ceil(_LEAST_SECONDS / max(second, 1e-9))))
    seconds = [second] if count == 1 else [several(count)]
    while len(seconds) < repeats and (len(seconds) + 1) * count * second <= max_seconds:
        seconds.append(several(count))
    return Timing(
        seconds=tuple(seconds),
        calls_per_repeat=count,
        first_call=first,
        warmed_up=True,
        processors=busy / wall,
    )
