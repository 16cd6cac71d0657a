"""A calorimeter in Geant4: plates of the stack, cut into one cell per voxel, energy scored by Geant4 itself.

Cells lie in the mass geometry: positrons in ``calogan`` take 1.3 times as long as without any, a call of Python
per step would make it ten times (benchmarks/simulation_scoring.py). Rectangular cells are placed one by one: with
replicas of replicas every step asks all levels for its distance, which took 8 % longer. Slices of rings are
replicas, which for the 40 500 voxels of CaloChallenge data set 3 are faster, by a fifth, and far smaller.
"""

import itertools
import math
from collections.abc import Iterable
from typing import Any, final

import numpy as np
from jaxtyping import Float

from caloforge.errors import ConfigError
from caloforge.geometry import Box, CartesianGrid, Geometry, Incidence, PolarGrid
from caloforge.simulation.materials import build_materials
from caloforge.simulation.plates import Plate, plates, required_stack

__all__ = ["Detector", "check_aim", "check_outline"]

_MAX_CELLS = 2_000_000  # about 2 GB in every process
_AROUND = 10.0  # mm of vacuum; the primary particle starts there
_TOUCHING = 1e-6  # mm


def check_outline(geometry: Geometry) -> None:
    """Raise :class:`ConfigError` where voxels reach beyond the stack, so that they could never hold anything."""
    outline = required_stack(geometry).outline
    for layer in geometry.layers:
        if isinstance(layer.grid, CartesianGrid):
            x, y = (max(abs(e[0]), abs(e[-1])) for e in (layer.grid.x_edges, layer.grid.y_edges))
            reach = math.hypot(x, y)
        else:
            x = y = reach = layer.grid.r_edges[-1]
        if isinstance(outline, Box):
            outside = max(x - outline.width_x / 2, y - outline.width_y / 2)
        else:
            outside = reach - outline.radius
        if outside > _TOUCHING:
            raise ConfigError(
                f"Geometry {geometry.name!r}: the voxels of layer {layer.name!r} reach {outside:g} mm beyond the "
                "outline of its stack; make the stack wider, or leave out voxels without material."
            )


def check_number_of_cells(geometry: Geometry) -> None:
    """Raise :class:`ConfigError` where Geant4 would need hours and many GB to set up its volumes."""
    pieces = {(p.material, p.thickness, p.layer) for p in plates(geometry) if p.layer is not None}
    n = sum(
        grid.n_voxels
        for *_, layer in pieces
        if isinstance(grid := geometry.layers[layer].grid, CartesianGrid) or grid.n_alpha == 1
    )
    if n > _MAX_CELLS:
        raise ConfigError(
            f"Geometry {geometry.name!r} needs {n:,} cells in Geant4, more than {_MAX_CELLS:,}; make the voxels "
            "larger, or divide the calorimeter."
        )


def check_aim(geometry: Geometry, aim: Incidence) -> None:
    """Raise :class:`ConfigError` where particles could miss the front face."""
    outline = required_stack(geometry).outline
    x, y = abs(aim.x) + aim.spread, abs(aim.y) + aim.spread
    if isinstance(outline, Box):
        outside = max(x - outline.width_x / 2, y - outline.width_y / 2)
    else:
        outside = math.hypot(x, y) - outline.radius
    if outside > 0:
        raise ConfigError(
            f"Geometry {geometry.name!r}: entries up to {x:g} mm in x and {y:g} mm in y, with their spread, lie "
            f"{outside:g} mm outside the front face; aim at it."
        )


@final
class Detector:
    """The volumes and scorers of a geometry; one per process, before Geant4 is initialised.

    Args:
        g4: The module ``geant4_pybind``.
        geometry: Must have a stack, and layers with a place in depth.

    Raises:
        ConfigError: The geometry cannot be simulated, or its voxels reach beyond the stack's outline.
        UnknownNameError: Geant4 does not know a material.
    """

    def __init__(self, g4: Any, geometry: Geometry) -> None:
        self.g4, self.geometry = g4, geometry
        self._stack = required_stack(geometry)
        self._plates = plates(geometry)
        check_outline(geometry)
        check_number_of_cells(geometry)
        self._cells: dict[str, list[Any]] = {"placed": [], "replica": []}
        self._slots = _Slots(geometry)
        self._kept: list[Any] = []  # Geant4 does not own what Python makes

    def construct(self) -> Any:
        """All volumes; gives the world, whose z = 0 is the front face."""
        g4, stack = self.g4, self._stack
        materials = build_materials(g4, stack)
        vacuum = g4.G4NistManager.Instance().FindOrBuildMaterial("G4_Galactic")
        world = self._volume("world", self._outline("world", 2 * stack.depth, margin=_AROUND), vacuum)
        placed_world = self._place(world, None, name="world")
        calorimeter = self._volume("calorimeter", self._outline("calorimeter", stack.depth), vacuum)
        self._place(calorimeter, world, at=(0, 0, stack.depth / 2), name="calorimeter")
        made: dict[tuple[str, float, int | None], Any] = {}
        for plate in self._plates:
            key = (plate.material, plate.thickness, plate.layer)
            if key not in made:
                made[key] = self._plate(plate, materials[plate.material])
            z = (plate.z_min + plate.z_max - stack.depth) / 2
            self._place(made[key], calorimeter, at=(0, 0, z), name="plate")
        return placed_world

    def attach_scorers(self) -> None:
        """Score the deposits in all cells; to be called where Geant4 sets up its sensitive detectors."""
        g4, slots = self.g4, self._slots
        scorers = {
            "placed": g4.G4PSEnergyDeposit("placed"),
            # Layer two levels up, slice in alpha one, ring the cell itself.
            "replica": g4.G4PSEnergyDeposit3D("replica", slots.n_layers, slots.n_alpha, slots.n_r, 2, 1, 0),
        }
        for kind, cells in self._cells.items():
            if cells:
                detector = g4.G4MultiFunctionalDetector(kind)
                detector.RegisterPrimitive(scorers[kind])
                g4.G4SDManager.GetSDMpointer().AddNewDetector(detector)
                for cell in cells:
                    cell.SetSensitiveDetector(detector)
                self._kept += [detector, scorers[kind]]

    def collect(self, event: Any) -> Float[np.ndarray, " V"]:
        """Energy per voxel of a finished event, MeV, ``(V,)``, after the stack's sampling fraction."""
        voxels = np.zeros(self.geometry.n_voxels)
        collections = event.GetHCofThisEvent()
        for index in range(collections.GetNumberOfCollections() if collections is not None else 0):
            hits = collections.GetHC(index)
            if hits is None or not (pairs := np.array(list(hits), dtype=np.float64)).size:
                continue
            cells = pairs[:, 0].astype(np.int64)
            # Cells are not shared between collections, and no cell comes twice in one.
            voxels[cells if hits.GetSDname() == "placed" else self._slots.voxels(cells)] = pairs[:, 1]
        return voxels / (self.g4.MeV * self._stack.sampling_fraction)

    def _plate(self, plate: Plate, material: Any) -> Any:
        volume = self._volume("plate", self._outline("plate", plate.thickness), material)
        if plate.layer is not None:
            grid = self.geometry.layers[plate.layer].grid
            if isinstance(grid, CartesianGrid):
                self._boxes(volume, grid, plate)
            else:
                self._rings(volume, grid, plate)
        return volume

    def _boxes(self, plate_volume: Any, grid: CartesianGrid, plate: Plate) -> None:
        """A box per voxel, its copy number the voxel's index."""
        first = self.geometry.layer_slices[plate.layer or 0].start
        solids: dict[tuple[float, float], Any] = {}
        material = plate_volume.GetMaterial()
        mesh = self._mesh_box(plate_volume, grid, plate.thickness)
        middle_x, middle_y = _middle(grid.x_edges), _middle(grid.y_edges)
        for i, (x0, x1) in enumerate(_pairs(grid.x_edges)):
            for j, (y0, y1) in enumerate(_pairs(grid.y_edges)):
                size = (round(x1 - x0, 6), round(y1 - y0, 6))
                if size not in solids:
                    solid = self.g4.G4Box("cell", size[0] / 2, size[1] / 2, plate.thickness / 2)
                    solids[size] = self._volume("cell", solid, material)
                    self._cells["placed"].append(solids[size])
                at = ((x0 + x1) / 2 - middle_x, (y0 + y1) / 2 - middle_y, 0)
                copy = first + i * grid.shape[1] + j
                self._place(solids[size], mesh, at=at, copy=copy, name="cell")

    def _mesh_box(self, plate_volume: Any, grid: CartesianGrid, thickness: float) -> Any:
        """The part of a plate that has voxels: the whole of it where they fill it."""
        outline = self._stack.outline
        span = (grid.x_edges[-1] - grid.x_edges[0], grid.y_edges[-1] - grid.y_edges[0])
        if isinstance(outline, Box) and max(
            abs(outline.width_x - span[0]), abs(outline.width_y - span[1])
        ) < (_TOUCHING):
            return plate_volume
        solid = self.g4.G4Box("mesh", span[0] / 2, span[1] / 2, thickness / 2)
        mesh = self._volume("mesh", solid, plate_volume.GetMaterial())
        self._place(mesh, plate_volume, at=(_middle(grid.x_edges), _middle(grid.y_edges), 0), name="mesh")
        return mesh

    def _rings(self, plate_volume: Any, grid: PolarGrid, plate: Plate) -> None:
        """Slices in alpha and rings as replicas where rings are equal; else rings placed, cut into slices."""
        material, g4 = plate_volume.GetMaterial(), self.g4
        layer = plate.layer or 0
        slice_width = 2 * math.pi / grid.n_alpha
        edges = grid.r_edges
        widths = np.diff(edges)

        def tube(name: str, r: tuple[float, float], width: float) -> Any:
            start = -width / 2 if width < 2 * math.pi else -math.pi
            solid = g4.G4Tubs(name, r[0], r[1], plate.thickness / 2, start, width)
            return self._volume(name, solid, material)

        if grid.n_alpha == 1:
            first = self.geometry.layer_slices[layer].start
            for copy, r in enumerate(_pairs(edges), start=first):
                ring = tube("cell", r, 2 * math.pi)
                self._place(ring, plate_volume, copy=copy, name="cell")
                self._cells["placed"].append(ring)
            return
        equal = len(widths) > 1 and np.ptp(widths) < _TOUCHING
        # Rings of one width stand in one mesh; others in one each, whose number says which ring it is.
        rings = list(enumerate(_pairs(edges)))
        meshes: list[tuple[int | None, tuple[float, float]]] = (
            [(None, (edges[0], edges[-1]))] if equal else [*rings]
        )
        for j, r in meshes:
            mesh = tube("mesh", r, 2 * math.pi)
            self._place(mesh, plate_volume, copy=self._slots.mesh(layer, j), name="mesh")
            wedge = tube("wedge", r, slice_width)
            self._replicate(wedge, mesh, g4.kPhi, grid.n_alpha, slice_width, -math.pi)
            n_r = len(widths) if equal else 1
            cell = tube("cell", (r[0], r[0] + (r[1] - r[0]) / n_r), slice_width)
            self._replicate(cell, wedge, g4.kRho, n_r, (r[1] - r[0]) / n_r, r[0])
            self._cells["replica"].append(cell)

    def _outline(self, name: str, depth: float, *, margin: float = 0.0) -> Any:
        outline, half = self._stack.outline, depth / 2 + margin
        if isinstance(outline, Box):
            return self.g4.G4Box(name, outline.width_x / 2 + margin, outline.width_y / 2 + margin, half)
        return self.g4.G4Tubs(name, 0, outline.radius + margin, half, -math.pi, 2 * math.pi)

    def _volume(self, name: str, solid: Any, material: Any) -> Any:
        volume = self.g4.G4LogicalVolume(solid, material, name)
        self._kept += [solid, volume]
        return volume

    def _place(
        self, volume: Any, mother: Any, *, at: Iterable[float] = (0, 0, 0), copy: int = 0, name: str
    ) -> Any:
        where = self.g4.G4ThreeVector(*map(float, at))
        placed = self.g4.G4PVPlacement(None, where, volume, name, mother, False, copy)  # noqa: FBT003
        self._kept.append(placed)
        return placed

    def _replicate(self, volume: Any, mother: Any, axis: Any, n: int, width: float, offset: float) -> None:
        self._kept.append(self.g4.G4PVReplica(volume.GetName(), volume, mother, axis, n, width, offset))


@final
class _Slots:
    """Numbers of the replicated cells, layer by slice by ring, and the voxels they stand for."""

    def __init__(self, geometry: Geometry) -> None:
        polar = [
            (k, layer.grid) for k, layer in enumerate(geometry.layers) if isinstance(layer.grid, PolarGrid)
        ]
        self.n_alpha = max((grid.n_alpha for _, grid in polar), default=1)
        self.n_r = max((grid.shape[1] for _, grid in polar), default=1)
        # A mesh of a single ring has a number of its own, after those of whole layers.
        self.n_layers = geometry.n_layers * (1 + self.n_r)
        self._n = geometry.n_layers
        table = np.full((self.n_layers, self.n_alpha, self.n_r), -1)
        for k, grid in polar:
            n_alpha, n_r = grid.shape
            voxel = geometry.layer_slices[k].start + np.arange(n_alpha * n_r).reshape(n_alpha, n_r)
            table[k, :n_alpha, :n_r] = voxel
            for j in range(n_r):
                table[self.mesh(k, j), :n_alpha, 0] = voxel[:, j]
        self._table = table.ravel()

    def mesh(self, layer: int, ring: int | None) -> int:
        """Copy number of a mesh: of a layer, or of one of its rings."""
        return layer if ring is None else self._n + layer * self.n_r + ring

    def voxels(self, cells: Any) -> Any:
        """Voxel of each cell."""
        return self._table[cells]


def _pairs(edges: tuple[float, ...]) -> list[tuple[float, float]]:
    return list(itertools.pairwise(edges))


def _middle(edges: tuple[float, ...]) -> float:
    return (edges[0] + edges[-1]) / 2
