"""Figures that follow from others, by hand."""

import pytest

from caloforge.benchmark.derive import derived_rows
from caloforge.benchmark.machine import busy_note, machine_facts, peak_memory, waiting_note


def test_times_and_rates(report):
    row = report["rows"][0]
    assert row["ms_per_shower"] == pytest.approx({"median": 2.0, "min": 1.0, "max": 4.0})
    assert row["showers_per_s"] == pytest.approx(500)
    assert row["gflops"] == pytest.approx(4.0e6 * 500 / 1e9)
    assert row["peak_share"] == pytest.approx(row["gflops"] / 50)


def test_speed_up_over_geant4(report):
    one, two = report["rows"][:2]
    assert one["speedup"] == one["speedup_per_core"] == pytest.approx(0.4 / 0.002)
    assert two["speedup"] == one["speedup"]
    assert two["speedup_per_core"] == pytest.approx(one["speedup"] / 2)
    assert "peak_share" not in two  # no peak of two threads was measured
    assert "speedup" not in report["rows"][5]  # no Geant4 of this model


def test_a_halved_batch_counts_as_what_it_is(report):
    assert report["rows"][2]["ms_per_shower"]["median"] == pytest.approx(1.0)
    assert report["rows"][3]["ms_per_shower"] is None


def test_a_peer_has_its_own_work(report):
    assert report["rows"][4]["gflops"] == pytest.approx(40e6 / 0.4 / 1e9)


def test_a_gpu_has_no_cores(report):
    report["rows"][0]["device"] = "cuda:0"
    del report["rows"][0]["speedup_per_core"]
    row = derived_rows(report)[0]
    assert row["speedup"] == pytest.approx(200)
    assert "speedup_per_core" not in row


def test_a_busy_machine_is_pointed_out(report):
    facts = {"load_average": 2.1, "cores_allowed": 4}
    assert "busy (load average 2.1 on 4 cores)" in busy_note(facts)
    assert busy_note(facts | {"load_average": 2.0}) is None
    assert busy_note(facts | {"load_average": None}) is None
    rows = report["rows"][:2]
    assert waiting_note(rows) is None
    rows[1]["processors"] = 0.3  # on two threads that may be so
    assert waiting_note(rows) is None
    rows[0]["processors"] = 0.62
    assert "1 of 1 figures" in waiting_note(rows)
    assert "62 %" in waiting_note(rows)


def test_facts_about_this_machine():
    facts = machine_facts("cpu")
    assert facts["cpu"]
    assert 1 <= facts["cores_allowed"] <= facts["cores"]
    before = peak_memory()
    assert 2e7 < before < 1e9 * facts["memory_GB"]
    block = bytearray(300_000_000)
    block[::4096] = b"1" * len(block[::4096])
    assert peak_memory() > 3e8
