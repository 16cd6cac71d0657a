"""Calorimeters as plain data: grids, layers, materials, and a catalogue of the field's geometries."""

from caloforge.geometry.geometry import Geometry, Layer
from caloforge.geometry.grid import CartesianGrid, Grid, PolarGrid, uniform_edges

__all__ = ["CartesianGrid", "Geometry", "Grid", "Layer", "PolarGrid", "uniform_edges"]
