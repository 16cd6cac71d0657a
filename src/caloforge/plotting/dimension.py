"""Intrinsic dimension against the number of neighbours and against the incident energy."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from caloforge.evaluation import DimensionStudy, RegionDimension
from caloforge.plotting.style import MUTED, SERIES, label_log_axis
from caloforge.units import GeV

__all__ = ["draw_dimension", "draw_dimensions"]

_SPACES = {
    "normalised": "voxels over their layer's energy",
    "log": "logarithms of voxels",
    "energy": "voxels over incident energy",
}


def draw_dimension(study: DimensionStudy) -> Figure:
    """One sample: dimension against neighbours, of all showers and by layer, and against incident energy."""
    figure = Figure(figsize=(9.5, 3.8), layout="constrained")
    scan, slices = figure.subplots(1, 2, sharey=True)
    regions = {"all layers": study.whole} | {f"layer {r.layer}": r for r in study.layers}
    for (label, region), color in zip(regions.items(), _colors(len(regions)), strict=True):
        _scan(scan, region, label=label, color=color)
    _finish_scan(scan, study)
    for k, color in zip(study.ks, _colors(len(study.ks)), strict=True):
        _slices(slices, study, k, label=f"k = {k}", color=color)
    _finish_slices(slices, several=len(study.ks) > 1)
    figure.suptitle(f"Intrinsic dimension of {study.n_showers:,} showers; distance in {_SPACES[study.space]}")
    return figure


def draw_dimensions(studies: Mapping[str, DimensionStudy], *, k: int) -> Figure:
    """Several samples side by side: all showers against the number of neighbours, and slices for one k."""
    figure = Figure(figsize=(9.5, 3.8), layout="constrained")
    scan, slices = figure.subplots(1, 2, sharey=True)
    for (label, study), color in zip(studies.items(), _colors(len(studies)), strict=True):
        _scan(scan, study.whole, label=label, color=color)
        _slices(slices, study, k, label=label, color=color)
    first = next(iter(studies.values()))
    _finish_scan(scan, first)
    _finish_slices(slices, several=False)
    slices.set_title(f"k = {k}", fontsize="medium")
    figure.suptitle(f"Intrinsic dimension; distance in {_SPACES[first.space]}")
    return figure


def _colors(n: int) -> list[str]:
    return [SERIES[number % len(SERIES)] for number in range(n)]


def _scan(axes: Axes, region: RegionDimension, *, label: str, color: str) -> None:
    found = region.estimates
    if not found:
        return
    ks = [estimate.k for estimate in found]
    axes.errorbar(
        ks,
        [estimate.dimension for estimate in found],
        [estimate.error for estimate in found],
        fmt="o-",
        markersize=4,
        linewidth=1,
        color=color,
        label=label,
    )
    # How far the answer moves with the size of the sample.
    axes.plot(ks, [estimate.half for estimate in found], ":", color=color, linewidth=1)


def _slices(axes: Axes, study: DimensionStudy, k: int, *, label: str, color: str) -> None:
    points = [(r, e) for r in study.slices for e in r.estimates if e.k == k]
    if not points:
        return
    e_inc = np.array([region.e_inc for region, _ in points]) / GeV
    low = np.array([region.low for region, _ in points]) / GeV
    high = np.array([region.high for region, _ in points]) / GeV
    axes.errorbar(
        e_inc,
        [estimate.dimension for _, estimate in points],
        [estimate.error for _, estimate in points],
        xerr=(np.maximum(e_inc - low, 0), np.maximum(high - e_inc, 0)),
        fmt="o",
        markersize=4,
        elinewidth=0.9,
        color=color,
        label=label,
    )


def _finish_scan(axes: Axes, study: DimensionStudy) -> None:
    axes.set_xlabel("neighbours k")
    axes.set_ylabel("dimension")
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])  # room for the legend
    axes.plot([], [], ":", color=MUTED, linewidth=1, label="half of the showers")
    axes.legend(frameon=False, ncols=2, loc="upper left")
    if max(study.ks) > min(study.ks):
        axes.set_xscale("log")
        label_log_axis(axes.xaxis, min(study.ks), max(study.ks))


def _finish_slices(axes: Axes, *, several: bool) -> None:
    axes.set_xlabel("incident energy [GeV]")
    if several and axes.has_data():
        axes.legend(frameon=False, ncols=2, loc="upper left")
    if not axes.has_data():
        axes.text(0.5, 0.5, "no slices of the energy", transform=axes.transAxes, ha="center", color=MUTED)
        return
    low, high = axes.get_xlim()
    if low > 0 and high > 50 * low:
        axes.set_xscale("log")
