"""Figures from showers and results; drawn without a display, and never computing a metric.

``draw_...`` gives a figure, ``plot_...`` writes it.
"""

from caloforge.plotting.average_showers import draw_average_showers, plot_average_showers
from caloforge.plotting.classifier import draw_calibration, draw_learning_curves, draw_separation_by_layer
from caloforge.plotting.comparison import draw_comparison, plot_comparison
from caloforge.plotting.correlations import draw_correlations
from caloforge.plotting.losses import plot_losses
from caloforge.plotting.neighbours import draw_neighbour_distances, draw_neighbours
from caloforge.plotting.overlay import draw_overlay
from caloforge.plotting.profiles import Curve, draw_curves
from caloforge.plotting.response import draw_response
from caloforge.plotting.stack import plot_stack
from caloforge.plotting.style import adaptive_svg, save_figure
from caloforge.plotting.voxel_correlations import draw_voxel_correlations

__all__ = [
    "Curve",
    "adaptive_svg",
    "draw_average_showers",
    "draw_calibration",
    "draw_comparison",
    "draw_correlations",
    "draw_curves",
    "draw_learning_curves",
    "draw_neighbour_distances",
    "draw_neighbours",
    "draw_overlay",
    "draw_response",
    "draw_separation_by_layer",
    "draw_voxel_correlations",
    "plot_average_showers",
    "plot_comparison",
    "plot_losses",
    "plot_stack",
    "save_figure",
]
