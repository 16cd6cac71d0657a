"""Time per shower against the number of showers asked for at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from caloforge.plotting.style import REFERENCE, SERIES

__all__ = ["TimingCurve", "draw_timing"]

_MARKERS: Final = ("o", "s", "^", "D", "v", "P")
_DASHES: Final = ("--", ":", "-.")


@final
@dataclass(frozen=True, kw_only=True)
class TimingCurve:
    """One model on so many threads; times in ms per shower."""

    name: str
    threads: int
    batch: Sequence[int]
    median: Sequence[float]
    least: Sequence[float]
    greatest: Sequence[float]


def draw_timing(
    curves: Sequence[TimingCurve], references: Mapping[str, float], *, device: str = "cpu"
) -> Figure:
    """Curves over the batch, with the range of the repeats, and Geant4 as lines; both axes logarithmic.

    A name keeps its colour, and more threads make the line thinner.

    Args:
        curves: Models.
        references: Milliseconds per shower of Geant4, by its name.
        device: For the title of the axis.
    """
    figure = Figure(figsize=(8.6, 4.6), layout="constrained")
    axes = figure.subplots()
    for k, (name, time) in enumerate(references.items()):
        axes.axhline(
            time, color=REFERENCE["color"], linestyle=_DASHES[k % len(_DASHES)], linewidth=1.2, label=name
        )
    names = list(dict.fromkeys(curve.name for curve in curves))
    threads = sorted({curve.threads for curve in curves})
    for curve in curves:
        k = names.index(curve.name)
        plural = "" if curve.threads == 1 else "s"
        label = f"{curve.name}, {curve.threads} thread{plural}" if len(threads) > 1 else curve.name
        axes.errorbar(
            curve.batch,
            curve.median,
            (
                [m - low for m, low in zip(curve.median, curve.least, strict=True)],
                [high - m for m, high in zip(curve.median, curve.greatest, strict=True)],
            ),
            color=SERIES[k % len(SERIES)],
            marker=_MARKERS[k // len(SERIES) % len(_MARKERS)],
            linestyle="-" if curve.threads == threads[0] else "--",
            markersize=4.5,
            markerfacecolor=None if curve.threads == threads[0] else "white",
            linewidth=1.3,
            elinewidth=0.9,
            capsize=2,
            label=label,
        )
    axes.set(
        xscale="log", yscale="log", xlabel=f"showers per request ({device})", ylabel="time per shower [ms]"
    )
    batches = sorted({batch for curve in curves for batch in curve.batch})
    if 0 < len(batches) <= 8:
        axes.set_xticks(batches, [f"{batch:,}" for batch in batches])
        axes.minorticks_off()
    if batches:
        axes.set_xlim(batches[0] / 1.5, batches[-1] * 1.5)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(visible=True, which="major", color="#e0e0e0", linewidth=0.6)
    axes.set_axisbelow(True)
    figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    return figure
