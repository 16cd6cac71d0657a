"""A report as text, Markdown and picture, and read back."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from caloforge.benchmark import load_benchmark, markdown_table, replace_table
from caloforge.benchmark.folder import write_benchmark
from caloforge.benchmark.tables import COLUMNS, draw, text_rows
from caloforge.errors import FileFormatError

TOOL = Path(__file__).parents[2] / "tools" / "readme_table.py"


def test_text(report):
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in text_rows(report)]
    geant4, first, _, halved, nothing, _, _, failed = rows
    assert (geant4["model"], geant4["ms/shower"], geant4["showers/s"]) == ("Geant4 e+", "400", "2.50")
    assert (first["ms/shower"], first["min-max"], first["× Geant4"]) == ("2.00", "1.00-4.00", "200")
    assert (first["GFLOP/s"], first["of peak"], first["MB"]) == ("2.00", "4.0 %", "300")
    assert halved["batch"] == "250 (not 1000: memory)"
    assert (nothing["batch"], nothing["ms/shower"]) == ("1000000", "out of memory")
    assert (failed["batch"], failed["ms/shower"]) == ("1000", "failed")


def test_markdown(report):
    lines = markdown_table(report).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert len({len(row) for row in cells}) == 1
    assert cells[0][:3] == ["ms per shower", "threads", "batch 10"]
    body = {(row[0], row[1]): row[2:] for row in cells[2:]}
    assert body["Geant4 e+, calogan, em", "1"] == ["400", "400", "400", "1 ×"]
    assert body["`fast`", "1"] == ["2.00", "1.00 (batch 250)", "out of memory", "400 ×"]
    assert body["`fast`", "2"] == ["2.00", "–", "–", "100 ×"]
    assert body["nflows, network of `fast`", "1"] == ["400", "–", "–", "1.00 ×"]
    assert body["`new` (untrained)", "1"] == ["2.00", "failed", "–", "–"]
    assert "Abacus; torch 2; 2026-11-28" in lines[-1]
    assert "Incomplete" not in lines[-1]
    assert "Incomplete" in markdown_table(report | {"complete": False})


def test_one_thread_needs_no_column(report):
    report["rows"] = [row for row in report["rows"] if row["threads"] == 1]
    assert "threads" not in markdown_table(report)


def test_picture(report):
    axes = draw(report).axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    handles, labels = axes.get_legend_handles_labels()
    assert "Geant4 e+, calogan, em" in labels
    assert "fast, 2 threads" in labels
    curve = handles[labels.index("fast, 1 thread")].lines[0]
    assert curve.get_xdata().tolist() == [10, 250]
    assert curve.get_ydata().tolist() == pytest.approx([2.0, 1.0])
    report["rows"] = report["geant4"] = []
    assert draw(report) is None


@pytest.mark.skipif(not TOOL.exists(), reason="needs the repository")
def test_a_table_in_pages(report, tmp_path, monkeypatch):
    write_benchmark(report, tmp_path, plot=False)
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- timing -->\nold\n<!-- /timing -->\nb\n")
    monkeypatch.setattr(sys, "argv", [str(TOOL), str(tmp_path), str(page)])
    for _ in range(2):
        runpy.run_path(str(TOOL), run_name="__main__")
        text = page.read_text()
        assert (
            text == f"a\n<!-- timing -->\n{markdown_table(load_benchmark(tmp_path))}\n<!-- /timing -->\nb\n"
        )
    write_benchmark(report | {"complete": False}, tmp_path, plot=False)
    with pytest.raises(SystemExit, match="is incomplete; measure again"):
        runpy.run_path(str(TOOL), run_name="__main__")
    assert page.read_text() == text


@pytest.mark.parametrize(
    "text",
    ["", "<!-- timing -->", "<!-- /timing --><!-- timing -->", 2 * "<!-- timing -->x<!-- /timing -->"],
)
def test_pages_without_a_place(report, tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(FileFormatError, match="once each, in this order"):
        replace_table(page, report)
    assert page.read_text() == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("{", "not valid JSON"),
        ("[]", "no result of caloforge benchmark"),
        ('{"schema": "caloforge-report"}', "no result of caloforge benchmark"),
        ('{"schema": "caloforge-benchmark", "schema_version": 99}', "reads version 1"),
        ('{"schema": "caloforge-benchmark", "schema_version": 1}', "'settings' is missing"),
    ],
)
def test_damaged_files(tmp_path, text, message):
    if text is not None:
        (tmp_path / "benchmark.json").write_text(text)
    with pytest.raises(FileFormatError, match=message):
        load_benchmark(tmp_path)


def test_what_is_written_is_read(report, tmp_path):
    write_benchmark(report, tmp_path / "new", plot=True)
    assert load_benchmark(tmp_path / "new") == json.loads(json.dumps(report))
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["benchmark.json", "benchmark.png"]
