"""Warm-up, repeats and their number, by a clock that the calls turn."""

import pytest

from caloforge.benchmark import timing
from caloforge.benchmark.timing import time_calls


class Clock:
    """Time that passes in calls only; half of it on the processor, but for the first call, which only waits."""

    now, busy = 100.0, 0.0

    def perf_counter(self):
        return self.now

    def process_time(self):
        return self.busy


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


def calls_of(clock, durations):
    """Calls that take these seconds, the last one for ever; and the numbers they were given."""
    numbers = []

    def call(number):
        numbers.append(number)
        seconds = durations[min(number, len(durations) - 1)]
        clock.now += seconds
        clock.busy += seconds / 2 if number else 0

    return call, numbers


def test_the_first_call_is_not_counted(clock):
    call, numbers = calls_of(clock, [5.0, 0.0625])
    found = time_calls(call, repeats=3, max_seconds=60)
    assert found.first_call == pytest.approx(5)
    assert found.seconds == pytest.approx((0.0625, 0.0625, 0.0625))
    assert (found.calls_per_repeat, found.warmed_up) == (4, True)
    assert numbers == list(range(2 + 3 * 4))
    assert found.processors == pytest.approx(0.5)


def test_long_calls_are_not_joined(clock):
    call, numbers = calls_of(clock, [1.0, 2.0, 4.0, 3.0])
    found = time_calls(call, repeats=3, max_seconds=60)
    assert found.seconds == pytest.approx((2, 4, 3))
    assert len(numbers) == 4


def test_fewer_repeats_where_time_is_short(clock):
    call, _ = calls_of(clock, [25.0])
    found = time_calls(call, repeats=5, max_seconds=60)
    assert found.seconds == pytest.approx((25, 25))
    assert found.warmed_up


def test_a_call_that_is_too_long_is_made_once(clock):
    call, numbers = calls_of(clock, [31.0])
    found = time_calls(call, repeats=5, max_seconds=60)
    assert (found.seconds, found.warmed_up, numbers) == ((31,), False, [0])


def test_the_device_is_waited_for(clock):
    """Work that a call only starts is done while it is waited for, and counts."""
    pending = []

    def synchronize():
        clock.now += sum(pending)
        pending.clear()

    found = time_calls(lambda number: pending.append(1.0), repeats=2, max_seconds=60, synchronize=synchronize)
    assert found.seconds == pytest.approx((1, 1))
    assert found.first_call == pytest.approx(1)
