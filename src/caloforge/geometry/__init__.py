"""Calorimeters as plain data: grids, layers, materials, and a catalogue of the field's geometries."""

from caloforge.geometry.binning_xml import read_binning_xml
from caloforge.geometry.geometry import Geometry, Layer
from caloforge.geometry.grid import CartesianGrid, Grid, PolarGrid, uniform_edges
from caloforge.geometry.incidence import Incidence
from caloforge.geometry.lookup import catalogue, get_geometry
from caloforge.geometry.stack import Box, Cylinder, Mixture, Section, Slab, Stack
from caloforge.geometry.toml import read_geometry, write_geometry

__all__ = [
    "Box",
    "CartesianGrid",
    "Cylinder",
    "Geometry",
    "Grid",
    "Incidence",
    "Layer",
    "Mixture",
    "PolarGrid",
    "Section",
    "Slab",
    "Stack",
    "catalogue",
    "get_geometry",
    "read_binning_xml",
    "read_geometry",
    "uniform_edges",
    "write_geometry",
]
