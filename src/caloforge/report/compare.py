"""Several reports side by side: one table, overlaid histograms, one page."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from caloforge import __version__
from caloforge.errors import CaloForgeError, ConfigError, OutputError
from caloforge.files import explain_os_error
from caloforge.geometry import Geometry
from caloforge.plotting import draw_overlay
from caloforge.report.copies import copy_words
from caloforge.report.figures import write_figure
from caloforge.report.folder import check_folder, replace_folder
from caloforge.report.formatting import auc, sig
from caloforge.report.naming import reference_name
from caloforge.report.page import environment
from caloforge.report.plain import plain, write_json
from caloforge.report.restore import feature_of
from caloforge.report.schema import COMPARISON_SCHEMA, PAGE, PLOTS, REPORT_FILE, SCHEMA_VERSION, load_report

__all__ = ["compare_reports"]

_N_OVERLAID = 9


def compare_reports(
    reports: Sequence[str | Path],
    output: str | Path,
    *,
    names: Sequence[str] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Put reports about one calorimeter side by side, and write ``report.json``, a plot and ``report.html``.

    Args:
        reports: Files ``report.json``, or folders with one.
        output: Folder to write.
        names: Of the reports; by default those of their folders.
        overwrite: Replace ``output`` if it is an earlier report.

    Returns:
        The contents of the written ``report.json``.

    Raises:
        ConfigError: There are fewer than two reports, or not as many names as reports.
        FileFormatError: A report cannot be read.
        GeometryMismatchError: The reports are about different calorimeters.
        OutputError: The output cannot be written.
    """
    output = Path(output)
    if len(reports) < 2:
        raise ConfigError(f"Give at least two reports to compare, got {len(reports)}.")
    if names is not None and len(names) != len(reports):
        raise ConfigError(f"There are {len(reports)} reports and {len(names)} names; give one name for each.")
    check_folder(output, overwrite=overwrite)
    labels = _unique(names or [_name(Path(path)) for path in reports])
    loaded = dict(zip(labels, (load_report(path) for path in reports), strict=True))
    _check_geometries(loaded)
    try:
        columns, table = _table(loaded)
        features = _features(loaded)
        result = {
            "schema": COMPARISON_SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "caloforge": __version__,
            "reports": {name: str(path) for name, path in zip(loaded, reports, strict=True)},
            "notes": _notes(loaded),
            "columns": columns,
            "rows": table,
            "features": features,
        }
        overlaid = _overlaid(loaded, features)
        reference = _reference_name(loaded)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as err:
        if isinstance(err, CaloForgeError):
            raise
        raise ConfigError(
            f"One of the reports {', '.join(labels)} lacks what every report has, or is damaged "
            f"({type(err).__name__}: {err}); evaluate those showers again."
        ) from err
    _write(result, overlaid, reference, output, overwrite=overwrite)
    return result


def _name(path: Path) -> str:
    path = path.resolve()
    return path.parent.name if path.name == REPORT_FILE else path.stem


def _unique(names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        number, candidate = 1, name
        while candidate in found or (candidate == name and names.count(name) > 1):
            candidate, number = f"{name} ({number})", number + 1
        found.append(candidate)
    return found


def _check_geometries(loaded: Mapping[str, Mapping[str, Any]]) -> None:
    (first, report), *others = loaded.items()
    geometry = Geometry.from_dict(report["geometry"])
    for name, other in others:
        geometry.require_same_voxels(
            Geometry.from_dict(other["geometry"]), mine=f"Report {first!r}", theirs=f"report {name!r}"
        )


def _notes(loaded: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What makes the numbers of two reports hard to compare."""
    notes = []
    for what, section, key in (
        ("reference showers", ("samples", "reference"), "fingerprint"),
        ("thresholds", ("settings",), "threshold_MeV"),
        ("numbers of generated showers", ("samples", "generated"), "n_showers"),
    ):
        values = {str(_entry(report, *section, key)) for report in loaded.values()}
        if len(values) > 1:
            notes.append(f"The reports have different {what}, so their numbers compare only roughly.")
    if len({report["settings"].get("level") for report in loaded.values()}) > 1:
        notes.append(
            "The reports have different levels: coverage, which is found with more showers at the full level, "
            "compares only roughly."
        )
    return notes


def _entry(report: Any, *keys: str) -> Any:
    for key in keys:
        report = report.get(key, {})
    return report


def _table(loaded: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[dict[str, Any]]]:
    """One row for each report; columns in the order in which they first appear, classifiers first."""
    rows, columns = [], dict[str, bool]()
    for name, report in loaded.items():
        values: dict[str, tuple[float | None, str]] = {}
        for test in report.get("classifiers") or []:
            result = test["result"]
            values[f"AUC, {test['title']}"] = result["auc"], auc(result["auc"], result["auc_spread"])
            values[f"JSD, {test['title']}"] = result["jsd"], auc(result["jsd"], result["jsd_spread"])
        for group in report["verdict"]["groups"]:
            text = auc(group["auc"], group["auc_spread"])
            values[f"AUC, trees on {group['group']} only"] = group["auc"], text
        distances = (report.get("distances") or {}).get("settings", {}).get("calochallenge", {})
        for key, row in distances.items():
            values[f"{key.upper()} × 10³"] = row["value"], sig(1000 * row["value"], 3)
        if found := (report.get("prdc") or {}).get("result"):
            # Not precision, recall or density: recall is largest for showers that scatter too widely.
            expected = f"{sig(found['coverage_expected'], 3)} of equal samples"
            values["coverage"] = found["coverage"], f"{sig(found['coverage'], 3)} ({expected})"
        if words := copy_words(report):  # a sample that copies has the best of all numbers above
            values["copies"] = None, words
        verdict = report["verdict"]
        values["features that differ"] = (
            verdict["n_failing"],
            f"{verdict['n_failing']} of {verdict['n_features']}",
        )
        values["showers"] = None, f"{report['samples']['generated']['n_showers']:,}"
        columns |= {key: values[key][0] is not None and key[:5] in ("AUC, ", "JSD, ") for key in values}
        rows.append({"name": name, "values": {k: {"value": v, "text": t} for k, (v, t) in values.items()}})
    return sorted(columns, key=lambda key: not columns[key]), rows


def _features(loaded: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Separation power of every feature that all reports have, the worst first."""
    known = {name: {row["name"]: row for row in report["features"]} for name, report in loaded.items()}
    shared = [name for name in next(iter(known.values())) if all(name in rows for rows in known.values())]
    found = []
    for name in shared:
        rows = {report: rows[name] for report, rows in known.items()}
        found.append(
            {
                "name": name,
                "label": next(iter(rows.values()))["label"],
                "floor_95": max(row["floor_95"] for row in rows.values()),
                "separation": {report: row["separation"] for report, row in rows.items()},
            }
        )
    return sorted(found, key=lambda row: -max(row["separation"].values()))


def _overlaid(
    loaded: Mapping[str, Mapping[str, Any]], features: Sequence[Mapping[str, Any]]
) -> dict[str, list[Any]]:
    """The worst features whose bins are the same in all reports."""
    known = {
        name: {row["name"]: feature_of(row) for row in report["features"]} for name, report in loaded.items()
    }
    chosen = []
    for feature in features:
        edges = [rows[feature["name"]].histograms.edges for rows in known.values()]
        if all(len(e) == len(edges[0]) and np.allclose(e, edges[0], rtol=1e-5) for e in edges):
            chosen.append(feature["name"])
    return {name: [rows[feature] for feature in chosen[:_N_OVERLAID]] for name, rows in known.items()}


def _reference_name(loaded: Mapping[str, Mapping[str, Any]]) -> str:
    names = {reference_name(report["samples"]["reference"]["provenance"]) for report in loaded.values()}
    return (names.pop() if len(names) == 1 else "the reference").removeprefix("the ")


def _write(
    result: dict[str, Any], overlaid: dict[str, list[Any]], reference: str, output: Path, *, overwrite: bool
) -> None:
    part = output.with_name(f".{output.name}.{uuid4().hex[:8]}.part")
    if not all(overlaid.values()):
        result["notes"].append(
            "No feature has the same bins in all reports (their references differ), so there is no overlay."
        )
    try:
        (part / PLOTS).mkdir(parents=True)
        images = {}
        if all(overlaid.values()):
            # A dollar would begin a formula in a legend.
            named = {name.replace("$", r"\$"): rows for name, rows in overlaid.items()}
            figure = draw_overlay(named, reference_name=reference)
            images["overlay"] = write_figure(figure, part / PLOTS / "overlay")
        page = environment().get_template("compare.html").render(result=result, images=images)
        (part / PAGE).write_text(page, encoding="utf-8")
        write_json(plain(result), part / REPORT_FILE)
        replace_folder(part, output, overwrite=overwrite)
    except OSError as err:
        if isinstance(err, OutputError):
            raise
        raise explain_os_error(output, err) from err
    finally:
        shutil.rmtree(part, ignore_errors=True)
