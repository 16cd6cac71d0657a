"""Figures from showers and results; drawn without a display, and never computing a metric.

``draw_...`` gives a figure, ``plot_...`` writes it.
"""

from caloforge.plotting.average_showers import draw_average_showers, plot_average_showers
from caloforge.plotting.comparison import draw_comparison, plot_comparison
from caloforge.plotting.losses import plot_losses
from caloforge.plotting.style import adaptive_svg, save_figure

__all__ = [
    "adaptive_svg",
    "draw_average_showers",
    "draw_comparison",
    "plot_average_showers",
    "plot_comparison",
    "plot_losses",
    "save_figure",
]
