"""A benchmark as text, Markdown and picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from caloforge.errors import FileFormatError, OutputError
from caloforge.files import atomic_path
from caloforge.report.formatting import sig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLUMNS", "MARKERS", "draw", "markdown_table", "replace_table", "text_rows"]

COLUMNS: Final = (
    "model",
    "threads",
    "batch",
    "ms/shower",
    "min-max",
    "showers/s",
    "× Geant4",
    "GFLOP/s",
    "of peak",
    "MB",
    "load s",
    "first s",
)
MARKERS: Final = ("<!-- timing -->", "<!-- /timing -->")
_NONE: Final = "–"


def text_rows(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """Cells of the table on a terminal, under :data:`COLUMNS`; Geant4 first."""
    rows = []
    for found in report["geant4"]:
        time = found.get("cpu_s_per_shower")
        milliseconds = sig(None if time is None else 1e3 * time)
        rate = sig(None if time is None else 1 / time)
        memory = _whole(found.get("peak_MB"))
        rows.append((found["name"], "1", "1", milliseconds, "", rate, "1", "", "", memory, "", ""))
    return rows + [_text_row(row) for row in report["rows"]]


def _text_row(row: dict[str, Any]) -> tuple[str, ...]:
    batch = f"{row['batch']}"
    if row["out_of_memory"]:
        batch = f"{batch} (not {row['requested_batch']}: memory)"
    head = (row["label"], str(row["threads"]), batch)
    if row["ms_per_shower"] is None:
        why = "failed" if row.get("failed") else "out of memory"
        return (*head[:2], str(row["requested_batch"]), why, *[""] * (len(COLUMNS) - 4))
    times = row["ms_per_shower"]
    share = row.get("peak_share")
    return (
        *head,
        sig(times["median"]),
        f"{sig(times['min'])}-{sig(times['max'])}" if len(row["seconds"]) > 1 else _NONE,
        sig(row["showers_per_s"]),
        sig(_speedup(row)),
        sig(row.get("gflops")),
        _NONE if share is None else f"{sig(100 * share, 2)} %",
        _whole(row.get("device_peak_MB", row.get("peak_MB"))),
        sig(row["load_s"], 2),
        sig(row["first_call_s"], 2),
    )


def _speedup(row: dict[str, Any]) -> float | None:
    value: float | None = row.get("speedup_per_core", row.get("speedup"))
    return value


def _whole(value: float | None) -> str:
    return _NONE if value is None else f"{value:.0f}"


def markdown_table(report: dict[str, Any]) -> str:
    """Milliseconds per shower by batch as a table for pages, with what it was measured on and by which command."""
    batches = sorted({row["requested_batch"] for row in report["rows"]})
    several = len({row["threads"] for row in report["rows"]}) > 1
    head = ["ms per shower", *(["threads"] if several else []), *(f"batch {batch}" for batch in batches)]
    head.append("faster than Geant4, per core" if _on_cpu(report) else "faster than a core of Geant4")
    lines = [_line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    for found in report["geant4"]:
        time = found.get("cpu_s_per_shower")
        cells = [sig(None if time is None else 1e3 * time)] * len(batches)
        lines.append(_line([_geant4_name(found), *(["1"] if several else []), *cells, "1 ×"]))
    for (label, threads), rows in _grouped(report).items():
        by_batch = {row["requested_batch"]: row for row in rows}
        cells = [_cell(by_batch.get(batch)) for batch in batches]
        best = max((speed for row in rows if (speed := _speedup(row))), default=None)
        gain = _NONE if best is None else f"{sig(best)} ×"
        lines.append(_line([label, *([str(threads)] if several else []), *cells, gain]))
    return "\n".join([*lines, "", *_legend(report)])


def _grouped(report: dict[str, Any]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in report["rows"]:
        own = row["library"] == "caloforge"
        name = f"`{row['model']}`"
        label = row["label"].replace(row["model"], name) if own else f"{row['library']}, network of {name}"
        groups.setdefault((label, row["threads"]), []).append(row)
    return groups


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return _NONE
    if row["ms_per_shower"] is None:
        return "failed" if row.get("failed") else "out of memory"
    note = f" (batch {row['batch']})" if row["batch"] != row["requested_batch"] else ""
    return sig(row["ms_per_shower"]["median"]) + note


def _geant4_name(found: dict[str, Any]) -> str:
    return f"{found['name']}, {found['geometry']}, {found['physics']}"


def _legend(report: dict[str, Any]) -> list[str]:
    machine, settings = report["machine"], report["settings"]
    where = machine["gpu"]["name"] if "gpu" in machine else machine["cpu"]
    text = (
        f"{where}; torch {machine['torch']}; {report['started'][:10]}; median of {settings['repeats']}; the last "
        "column is for the best batch."
    )
    if report["geant4"]:
        text += " Geant4: processor time, energies of the same spectrum, same run."
    if report["command"]:
        text += f" Made by `{report['command']}`."
    if not report["complete"]:
        text += " Incomplete: interrupted."
    return [text]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _on_cpu(report: dict[str, Any]) -> bool:
    return str(report["settings"]["device"]).startswith("cpu")


def replace_table(page: Path, report: dict[str, Any]) -> None:
    """Put the table of a benchmark between the markers of a page.

    Raises:
        FileFormatError: The page is missing, or has not each marker once, in order.
        OutputError: The page cannot be written.
    """
    begin, end = MARKERS
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, ValueError) as err:
        raise FileFormatError(page, f"cannot be read: {getattr(err, 'strerror', None) or err}.") from err
    before, found, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end or begin in rest or end in before + after:
        raise FileFormatError(page, f"needs the lines {begin} and {end} once each, in this order.")
    if not page.parent.is_dir():
        raise OutputError(page, "its folder is gone.")
    with atomic_path(page) as part:
        part.write_text(f"{before}{begin}\n{markdown_table(report)}\n{end}{after}", encoding="utf-8")


def draw(report: dict[str, Any]) -> "Figure | None":
    """Time per shower against batch; ``None`` where there is no model in the report yet."""
    from caloforge.plotting.timing import TimingCurve, draw_timing

    curves = []
    for (_, threads), rows in _grouped(report).items():
        timed = [row for row in rows if row["ms_per_shower"]]
        if timed:
            times = [row["ms_per_shower"] for row in timed]
            curves.append(
                TimingCurve(
                    name=timed[0]["label"],
                    threads=threads,
                    batch=[row["batch"] for row in timed],
                    median=[time["median"] for time in times],
                    least=[time["min"] for time in times],
                    greatest=[time["max"] for time in times],
                )
            )
    lines = {
        _geant4_name(found): 1e3 * found["cpu_s_per_shower"]
        for found in report["geant4"]
        if "cpu_s_per_shower" in found
    }
    return draw_timing(curves, lines, device=report["settings"]["device"]) if curves or lines else None
