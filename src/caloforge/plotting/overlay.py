"""Several generated samples over one reference."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from caloforge.errors import ValueRangeError
from caloforge.evaluation import FeatureComparison
from caloforge.plotting.style import REFERENCE, SERIES, label_log_axis

__all__ = ["draw_overlay"]

_COLUMNS = 3
_RATIO_RANGE = (0.5, 1.5)


def draw_overlay(
    samples: Mapping[str, Sequence[FeatureComparison]], *, reference_name: str = REFERENCE["label"]
) -> Figure:
    """Histograms of several samples with their ratios to the reference, which is that of the first.

    Args:
        samples: Features by the name of a sample, the same ones in the same order for all.
        reference_name: What to call the reference.

    Raises:
        ValueRangeError: There is nothing to draw.
    """
    panels = list(zip(*samples.values(), strict=True))
    if not panels:
        raise ValueRangeError(
            "The reports share no feature with the same bins, so there is nothing to overlay."
        )
    n_columns = min(_COLUMNS, len(panels))
    n_rows = -(-len(panels) // n_columns)
    figure = Figure(figsize=(3.7 * n_columns + 0.3, 3.1 * n_rows + 0.6), layout="constrained")
    cells = figure.subfigures(n_rows, n_columns, squeeze=False).ravel()
    for cell, rows in zip(cells, panels, strict=False):
        upper, lower = cell.subplots(2, 1, sharex=True, height_ratios=(3, 1.3))
        bins, colour = rows[0].histograms, REFERENCE["color"]
        upper.stairs(
            bins.reference_fraction, bins.edges, fill=True, color=colour, alpha=0.3, label=reference_name
        )
        band = np.nan_to_num(bins.reference_relative_error)
        lower.stairs(1 + band, bins.edges, baseline=1 - band, fill=True, color=colour, alpha=0.3, linewidth=0)
        lower.axhline(1, color=colour, linewidth=0.8)
        for k, (name, row) in enumerate(zip(samples, rows, strict=True)):
            style = {
                "color": SERIES[k % len(SERIES)],
                "linewidth": 1.2,
                "linestyle": "-" if k < len(SERIES) else "--",
            }
            found = row.histograms
            upper.stairs(found.generated_fraction, found.edges, label=name, **style)
            shown = np.flatnonzero((found.ratio >= _RATIO_RANGE[0]) & (found.ratio <= _RATIO_RANGE[1]))
            lower.hlines(found.ratio[shown], found.edges[shown], found.edges[shown + 1], **style)
        upper.set(ylabel="fraction of showers", ylim=(0, None))
        upper.yaxis.set_major_locator(MaxNLocator(4))
        lower.set(ylabel="ratio", ylim=_RATIO_RANGE, yticks=[0.5, 1.0, 1.5])
        lower.set_xlabel(f"{rows[0].label} [{rows[0].unit}]" if rows[0].unit else rows[0].label)
        if bins.logarithmic:
            lower.set_xscale("log")
            label_log_axis(lower.xaxis, bins.edges[0], bins.edges[-1])
        else:
            lower.xaxis.set_major_locator(MaxNLocator(5))
        lower.set_xlim(bins.edges[0], bins.edges[-1])
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(4, len(labels)), frameon=False)
    return figure
