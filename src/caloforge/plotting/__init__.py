"""Figures from showers and results; drawn without a display, and never computing a metric."""
