"""Response and resolution against the incident energy."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from caloforge.errors import ValueRangeError
from caloforge.evaluation import Moments
from caloforge.plotting.style import GENERATED, REFERENCE

__all__ = ["draw_response"]


def draw_response(
    e_inc: Float[np.ndarray, " s"],
    edges: Sequence[tuple[float, float]],
    moments: Mapping[str, Sequence[Moments]],
    *,
    reference_name: str = REFERENCE["label"],
) -> Figure:
    """Mean of deposited over incident energy, and its relative spread, in slices of the incident energy.

    Args:
        e_inc: Mean incident energy of each slice, GeV, ``(s,)``.
        edges: Limits of each slice, GeV.
        moments: Those of the ratio in each slice, for ``"reference"`` and ``"generated"``.
        reference_name: What to call the reference.

    Raises:
        ValueRangeError: There are no slices.
    """
    if not len(e_inc):
        raise ValueRangeError("No slice of the incident energy has enough showers to draw the response.")
    figure = Figure(figsize=(9.5, 4.0), layout="constrained")
    upper, lower = figure.subplots(2, 2, sharex=True, height_ratios=(3, 1.2))
    styles = {"reference": {**REFERENCE, "label": reference_name}, "generated": GENERATED}
    mean = {name: _column(rows, "mean", "mean_error") for name, rows in moments.items()}
    width = {name: _relative_width(rows) for name, rows in moments.items()}
    for column, (label, values, relative) in enumerate(
        (("mean of deposited / incident", mean, "ratio"), ("relative spread", width, "ratio"))
    ):
        for name, style in styles.items():
            _points(upper[column], e_inc, edges, *values[name], style=style)
        upper[column].set_ylabel(label)
        (top, top_error), (base, base_error) = values["generated"], values["reference"]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = top / base
            _points(lower[column], e_inc, edges, ratio, top_error / base, style=GENERATED)
            band = base_error / base
        lower[column].fill_between(
            e_inc, 1 - band, 1 + band, color=REFERENCE["color"], alpha=0.3, linewidth=0
        )
        lower[column].axhline(1, color=REFERENCE["color"], linewidth=0.8)
        lower[column].set_ylabel(relative)
        lower[column].set_xlabel("incident energy [GeV]")
        lower[column].ticklabel_format(
            axis="y", useOffset=False
        )  # a ratio of 1.0005, not 0.0005 and a "+1" somewhere
        if e_inc[-1] > 50 * e_inc[0]:
            lower[column].set_xscale("log")
    figure.legend(*upper[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return figure


def _column(rows: Sequence[Moments], value: str, error: str) -> tuple[np.ndarray, np.ndarray]:
    return np.array([getattr(row, value) for row in rows]), np.array([getattr(row, error) for row in rows])


def _relative_width(rows: Sequence[Moments]) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviation over mean; the error of the mean is small beside that of the spread."""
    (std, error), (mean, _) = _column(rows, "std", "std_error"), _column(rows, "mean", "mean_error")
    with np.errstate(divide="ignore", invalid="ignore"):
        return std / mean, error / mean


def _points(
    axes: Axes,
    e_inc: Float[np.ndarray, " s"],
    edges: Sequence[tuple[float, float]],
    values: Float[np.ndarray, " s"],
    errors: Float[np.ndarray, " s"],
    *,
    style: Mapping[str, str],
) -> None:
    low, high = np.array(edges).T
    axes.errorbar(
        e_inc,
        values,
        errors,
        xerr=(np.maximum(e_inc - low, 0), np.maximum(high - e_inc, 0)),
        fmt="o",
        markersize=3.5,
        elinewidth=0.9,
        color=style["color"],
        label=style["label"],
    )
