"""Files of showers: the field's HDF5 layouts, read, checked, written and converted in constant memory.

In memory all energies are MeV; units change here and nowhere else.
"""

from caloforge.io.converting import convert
from caloforge.io.layout import Column, Layout
from caloforge.io.layouts import LAYOUTS, get_layout
from caloforge.io.reading import detect_layout, read, read_chunks, read_energies
from caloforge.io.summary import FileInfo, LayerInfo, file_info
from caloforge.io.writing import ShowerWriter, write

__all__ = [
    "LAYOUTS",
    "Column",
    "FileInfo",
    "LayerInfo",
    "Layout",
    "ShowerWriter",
    "convert",
    "detect_layout",
    "file_info",
    "get_layout",
    "read",
    "read_chunks",
    "read_energies",
    "write",
]
