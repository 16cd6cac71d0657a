"""Figures from showers and results; drawn without a display, and never computing a metric."""

from caloforge.plotting.average_showers import plot_average_showers
from caloforge.plotting.comparison import plot_comparison
from caloforge.plotting.losses import plot_losses
from caloforge.plotting.stack import plot_stack

__all__ = ["plot_average_showers", "plot_comparison", "plot_losses", "plot_stack"]
