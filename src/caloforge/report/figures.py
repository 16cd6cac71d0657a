"""All figures of a report: PNG and PDF into a folder, and as data for the page."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from caloforge.evaluation import FeatureComparison
from caloforge.evaluation.voxel_correlations import BEHIND
from caloforge.geometry import Geometry
from caloforge.plotting import (
    adaptive_svg,
    draw_average_showers,
    draw_calibration,
    draw_comparison,
    draw_correlations,
    draw_curves,
    draw_learning_curves,
    draw_neighbour_distances,
    draw_neighbours,
    draw_response,
    draw_separation_by_layer,
    draw_voxel_correlations,
    save_figure,
)
from caloforge.report.formatting import span
from caloforge.report.naming import reference_name
from caloforge.report.restore import array, average_of, curve_of, dense, feature_of, moments_of
from caloforge.units import GeV

__all__ = ["draw_figures", "write_figure"]

_FEW_LAYERS = 6
"""Up to so many layers every layer's histograms are drawn."""
_GROUPS = {
    "layer_shape": ("fraction", "sparsity", "brightest_ratio"),
    "centroids": ("centroid_x", "centroid_y", "centroid_r"),
    "widths": ("width_x", "width_y", "width_r"),
}
_KINDS = {
    "e_layer": "energy",
    "fraction": "energy share",
    "sparsity": "empty voxels",
    "brightest_ratio": "brightest-voxel ratio",
    "centroid_x": "centroid in x",
    "centroid_y": "centroid in y",
    "width_x": "width in x",
    "width_y": "width in y",
    "centroid_r": "mean radius",
    "width_r": "width in r",
}


def draw_figures(
    report: Mapping[str, Any], folder: Path, on_figure: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, str]:
    """Draw everything that the report has data for.

    Args:
        report: Contents of ``report.json``.
        folder: Where ``NAME.png`` and ``NAME.pdf`` go.
        on_figure: Told how many figures are finished, and of how many.

    Returns:
        Name to ``data:`` address.
    """
    found, figures = {}, list(_figures(report))
    for done, (name, draw) in enumerate(figures):
        on_figure(done, len(figures))
        found[name] = write_figure(draw(), folder / name)
    return found


def write_figure(figure: Figure, stem: Path) -> str:
    """Write PNG and PDF; give the ``data:`` address for a page."""
    address = adaptive_svg(figure)
    figure.set_layout_engine(None)  # it has been laid out; doing it again takes as long as drawing
    for suffix in ("png", "pdf"):
        save_figure(figure, stem.with_name(f"{stem.name}.{suffix}"))
    return address


def _figures(report: Mapping[str, Any]) -> Iterator[tuple[str, Callable[[], Figure]]]:
    geometry = Geometry.from_dict(report["geometry"])
    rows = [feature_of(row) for row in report["features"]]
    name = reference_name(report["samples"]["reference"]["provenance"]).removeprefix("the ")
    comparison = functools.partial(draw_comparison, rows, reference_name=name)
    if worst := report["verdict"]["worst_features"]:
        yield "worst_features", lambda: comparison(names=worst)
    if correlations := report.get("voxel_correlations"):
        layers = [layer.name for layer in geometry.layers]
        by_relation = _by_relation(correlations)
        yield (
            "voxel_correlations",
            lambda: draw_voxel_correlations(by_relation, layers, reference_name=name),
        )
    yield from _of_layers(rows, geometry.n_layers, comparison)
    yield "overview", comparison
    averages = [average_of(report["average_showers"][name], geometry) for name in ("generated", "reference")]
    if averages[1].mean.any():
        yield "average_showers", lambda: draw_average_showers(*averages, reference_name=name)
    yield from _of_slices(report["energy_slices"], name)
    if "result" in (found := report["correlations"]):
        result = found["result"]
        yield (
            "correlations",
            lambda: draw_correlations(
                array(result["generated"]), array(result["reference"]), found["labels"], reference_name=name
            ),
        )
    yield from _of_profiles(report["shapes"], name)
    yield from _of_classifiers(report["classifiers"])
    if "pairs" in (neighbours := report["neighbours"]):
        yield from _of_neighbours(neighbours, geometry, name)
    if "histogram" in (copies := report["copies"]):
        yield "copies", functools.partial(_draw_copies, copies, name)


def _by_relation(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float, float]]]:
    found: dict[str, list[tuple[int, float, float]]] = {}
    for row in rows:
        relation = row["relation"]
        name = "voxels behind each other" if relation == BEHIND else f"neighbours along {relation}"
        found.setdefault(name, []).append((row["layer"], row["generated"], row["reference"]))
    return found


def _of_layers(
    rows: Sequence[FeatureComparison], n_layers: int, comparison: Callable[..., Figure]
) -> Iterator[tuple[str, Callable[[], Figure]]]:
    if n_layers <= _FEW_LAYERS:
        for name, group in _GROUPS.items():
            if names := [row.name for row in rows if row.name.rpartition("_")[0] in group]:
                yield name, functools.partial(comparison, names=names)
        return
    kinds = {}
    for kind, label in _KINDS.items():
        of_kind = [row for row in rows if row.name.rpartition("_")[0] == kind]
        if of_kind:
            numbers = [int(row.name.rpartition("_")[2]) for row in of_kind]
            kinds[label] = numbers, [max(row.separation, 1e-9) for row in of_kind]
    floor, floor_95 = (float(np.mean([getattr(row, name) for row in rows])) for name in ("floor", "floor_95"))
    yield "separation_by_layer", lambda: draw_separation_by_layer(kinds, floor, floor_95)


def _of_slices(slices: Mapping[str, Any], reference: str) -> Iterator[tuple[str, Callable[[], Figure]]]:
    if response := slices.get("response"):
        moments = {name: [moments_of(row[name]) for row in response] for name in ("reference", "generated")}
        e_inc = array([row["mean_e_inc_MeV"] for row in response]) / GeV
        edges = [(row["low_MeV"] / GeV, row["high_MeV"] / GeV) for row in response]
        yield "response", lambda: draw_response(e_inc, edges, moments, reference_name=reference)
    if histograms := slices.get("histograms"):
        rows = []
        for number, part in enumerate(histograms):
            where = span([part["low_MeV"], part["high_MeV"]])
            for row in part["features"]:
                found = feature_of(row)
                rows.append(replace(found, name=f"{found.name}/{number}", label=f"{found.label}, {where}"))
        names = [row.name for row in rows]
        yield "energy_slices", lambda: draw_comparison(rows, names=names, reference_name=reference)


def _of_profiles(shapes: Mapping[str, Any], reference: str) -> Iterator[tuple[str, Callable[[], Figure]]]:
    draw = functools.partial(draw_curves, reference_name=reference)
    if "profiles" in shapes:
        yield "profiles", lambda: draw([curve_of(profile) for profile in shapes["profiles"]])
        yield "voxel_spectrum", lambda: draw([curve_of(shapes["voxel_spectrum"])])


def _of_classifiers(tests: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Callable[[], Figure]]]:
    learning = {}
    for test in tests:
        if curve := test["learning_curve"]:
            points = curve["points"]
            n, auc = ([point[key] for point in points] for key in ("n_showers", "auc"))
            error = [np.hypot(point["auc_spread"] or 0, point["auc_error"] or 0) for point in points]
            learning[test["title"]] = array(n), array(auc), array(error)
    if learning:
        floors = {t["title"]: (t["floor"]["auc"], t["floor"]["auc_spread"]) for t in tests if t["floor"]}
        yield "learning_curve", lambda: draw_learning_curves(learning, floors)
    calibration = {
        test["title"]: {
            when: _calibration(test["result"][f"calibration_{when}"]) for when in ("before", "after")
        }
        for test in tests
    }
    if calibration:
        yield "calibration", lambda: draw_calibration(calibration)


def _calibration(curve: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    columns = [array(curve[key]) for key in ("mean_score", "reference_fraction", "error")]
    known = np.isfinite(columns[0]) & np.isfinite(columns[1])
    score, share, error = (column[known] for column in columns)
    return score, share, np.nan_to_num(error)


def _of_neighbours(
    neighbours: Mapping[str, Any], geometry: Geometry, reference: str
) -> Iterator[tuple[str, Callable[[], Figure]]]:
    pairs = [
        (
            f"{pair['e_inc_MeV'] / GeV:.3g} GeV",
            dense(pair["generated"], geometry.n_voxels),
            dense(pair["reference"], geometry.n_voxels),
        )
        for pair in neighbours["pairs"]
    ]
    yield "neighbours", lambda: draw_neighbours(pairs, geometry, reference_name=reference)


def _draw_copies(copies: Mapping[str, Any], reference: str) -> Figure:
    histogram = copies["histogram"]
    return draw_neighbour_distances(
        array(histogram["edges"]),
        {name: np.array(values) for name, values in histogram["counts"].items()},
        "distance in shape to the nearest shower, over the natural one",
        limit=copies["copy"],
        reference_name=reference,
    )
