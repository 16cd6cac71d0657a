"""What a network that draws voxels block by block sees at each block: tables of a calorimeter, made once.

Voxels lie in *slots*, in the order they are drawn: step after step, within a step member after member, of
each member all blocks. A block with fewer voxels than others has slots without a voxel.

The *state* of showers being drawn, features first, ``(R, B)``, has rows: a zero; of each slot whether it is hit; its
logarithm; of each block its energy and hits; of each block what the layer before has in its footprint, energy and hits.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from caloforge.geometry import Geometry, PolarGrid
from caloforge.geometry.grid import Grid
from caloforge.preprocessing.blocks import GridBlocks, grid_blocks, layer_overlaps
from caloforge.preprocessing.moments import grid_positions

__all__ = ["BlockPlan", "NetTables", "Step"]

_MANY = 12  # blocks along an axis: a window reaches farther there
_REACH = {False: 2, True: 4}  # cells, and blocks, that a window reaches
_RANGE = 3.0  # blocks over which sums of farther blocks fall off


@final
@dataclass(frozen=True, kw_only=True)
class Step:
    """Blocks that are drawn together."""

    layer: int
    net: int
    first: int
    """Number of the first of its blocks, and how many there are."""
    n_blocks: int
    slot: int
    """First of its slots."""
    within: int
    """Number of its first block among the blocks of its network."""


@final
class NetTables(nn.Module):
    """The blocks that one network draws.

    Args:
        n_members: Voxels of a block.
        n_first: Those drawn before the others.
    """

    rows: Tensor
    slots: Tensor
    block: Tensor
    layer: Tensor
    step: Tensor
    position: Tensor
    centre: Tensor
    frame: Tensor
    pitch: Tensor
    far: Tensor

    def __init__(
        self, *, n_members: int, n_first: int, turned: bool, layers: list[int], **tables: np.ndarray
    ) -> None:
        super().__init__()
        self.n_members, self.n_first = n_members, n_first
        for name, table in tables.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(table)), persistent=False)
        self.n_positions = int(tables["position"].max()) + 1
        self.n_blocks = len(tables["block"])
        self.n_rows = len(tables["rows"])
        self.turned = turned
        """Whether frames turn positions; otherwise they reflect them."""
        self.layers = list(layers)
        """Layers that it draws; the table ``layer`` holds places in this list."""


@final
class BlockPlan(nn.Module):
    """Slots, steps and networks of a calorimeter.

    Args:
        geometry: The calorimeter.
        core: Voxels of each layer, at least, that the network of the innermost blocks draws.
    """

    voxel_of_slot: Tensor
    slot_of_voxel: Tensor
    block_of_slot: Tensor
    step_of_block: Tensor
    layer_of_slot: Tensor
    class_of_slot: Tensor
    layer_of_step: Tensor
    first_step: Tensor

    def __init__(self, geometry: Geometry, *, core: int) -> None:
        super().__init__()
        self.n_voxels, self.n_layers = geometry.n_voxels, geometry.n_layers
        grids: dict[Grid, GridBlocks] = {}
        layers = [grids.setdefault(layer.grid, grid_blocks(layer.grid)) for layer in geometry.layers]
        kinds = list(grids.values())
        self.cyclic = any(g.cyclic for g in kinds)
        self.slices = list(geometry.layer_slices)
        self.n_axes = max(1, 1, *(len(grid_positions(grid)) for grid in grids))
        nets: list[_Net] = []
        by_key: dict[tuple[int, bool], int] = {}
        self.steps: list[Step] = []
        voxel_of_slot: list[np.ndarray] = []
        block_of_slot, step_of_block, class_of_slot, layer_of_slot = [], [], [], []
        self.layer_blocks: list[slice] = []
        self.layer_slots: list[slice] = []
        n_blocks = n_slots = n_classes = 0
        for k, blocks in enumerate(layers):
            is_core, members = blocks.is_core(core), blocks.members
            phases = np.array([b.phase for b in blocks.blocks])
            rings = list(dict.fromkeys(b.ring for b in blocks.blocks))
            start_block, start_slot = n_blocks, n_slots
            outer_class, core_class = n_classes, n_classes + 1
            n_classes += 1
            order = np.array([b.step for b in blocks.blocks])
            for step in range(order.max() + 1):
                mine = np.flatnonzero(order == step)
                key = kinds.index(blocks), bool(is_core[mine[0]])
                net = nets[by_key.setdefault(key, len(nets))] if key in by_key else None
                if net is None:
                    by_key[key] = len(nets)
                    nets.append(net := _Net(blocks=blocks, core=key[1], phases=phases[is_core == key[1]]))
                n, m = len(mine), blocks.size[0] * blocks.size[1]
                self.steps.append(
                    Step(
                        layer=k,
                        net=by_key[key],
                        first=n_blocks,
                        n_blocks=n,
                        slot=n_slots,
                        within=len(net.block),
                    )
                )
                local = members[mine].T
                voxel_of_slot.append(np.where(local >= 0, local + self.slices[k].start, -1).ravel())
                block_of_slot.append(np.tile(n_blocks + np.arange(n), m))
                step_of_block += [len(self.steps) - 1] * n
                layer_of_slot += [k] * (n * m)
                ring = rings.index(blocks.blocks[mine[0]].ring)
                if key[1]:
                    base = core_class + ring * m
                    n_classes = max(n_classes, core_class + (ring + 1) * m)
                    class_of_slot.append(np.repeat(base + np.arange(m), n))
                else:
                    class_of_slot.append(np.full(n * m, outer_class))
                for b, local_number in enumerate(mine):
                    net.block.append(n_blocks + b)
                    net.local.append(int(local_number))
                    net.layer.append(k)
                    net.step.append(len(self.steps) - 1)
                    net.slots.append(n_slots + np.arange(m) * n + b)
                n_blocks, n_slots = n_blocks + n, n_slots + n * m
            self.layer_blocks.append(slice(start_block, n_blocks))
            self.layer_slots.append(slice(start_slot, n_slots))
        self.n_blocks, self.n_slots, self.n_steps = n_blocks, n_slots, len(self.steps)
        classes = np.unique(np.concatenate(class_of_slot), return_inverse=True)[1]
        self.n_classes = int(classes.max()) + 1
        voxels = np.concatenate(voxel_of_slot)
        slot_of_voxel = np.full(self.n_voxels, -1)
        slot_of_voxel[voxels[voxels >= 0]] = np.flatnonzero(voxels >= 0)
        self._register("voxel_of_slot", np.where(voxels < 0, self.n_voxels, voxels))
        self._register("slot_of_voxel", slot_of_voxel)
        self._register("block_of_slot", np.concatenate(block_of_slot))
        self._register("step_of_block", np.array(step_of_block))
        self._register("layer_of_slot", np.array(layer_of_slot))
        self._register("class_of_slot", classes)
        layer_of_step = np.array([s.layer for s in self.steps])
        self._register("layer_of_step", layer_of_step)
        self._register(
            "first_step", np.array([np.flatnonzero(layer_of_step == k)[0] for k in range(len(layers))])
        )
        for k in range(1, len(layers)):
            # Blocks in the order of their numbers, voxels of the layer before in the order of their slots.
            overlaps = layer_overlaps(geometry, k, layers[k])
            before = voxels[self.layer_slots[k - 1]] - self.slices[k - 1].start
            kept = voxels[self.layer_slots[k - 1]] >= 0
            self._register(f"overlaps_{k}", overlaps[:, np.where(kept, before, 0)] * kept)
        self.nets = nn.ModuleList(self._tables(net, self.n_axes) for net in nets)
        self.rows_of = _Rows(self.n_slots, self.n_blocks)

    def _register(self, name: str, table: np.ndarray) -> None:
        self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(table)), persistent=False)

    def overlaps(self, layer: int) -> Float[Tensor, "n v"]:
        """How much of each slot of the layer before is in the footprint of each block of a layer."""
        return self.get_buffer(f"overlaps_{layer}")

    def _tables(self, net: "_Net", n_axes: int) -> NetTables:
        grid = net.blocks
        rows_of = _Rows(self.n_slots, self.n_blocks)
        n_segments = [max(b.place[axis] for b in grid.blocks) + 1 for axis in (0, 1)]
        reach = tuple(_REACH[n >= _MANY] if n > 1 else 0 for n in n_segments)
        cells = grid.cells(grid.window((reach[0], reach[1])))
        around = [
            (i, j)
            for i in range(-reach[0], reach[0] + 1)
            for j in range(-reach[1], reach[1] + 1)
            if (i, j) != (0, 0)
        ]
        neighbours = grid.neighbours(around)
        near = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        before = grid.neighbours(near)
        step = np.array([b.step for b in grid.blocks])
        step_of_cell = np.full(grid.grid.n_voxels, -1)
        for members, s in zip(grid.members, step, strict=True):
            step_of_cell[members[members >= 0]] = s
        local, layer = np.array(net.local), np.array(net.layer)
        slot_of_voxel = self.slot_of_voxel.numpy()
        starts = np.array([self.slices[k].start for k in layer])
        first_block = np.array([self.layer_blocks[k].start for k in layer])
        mine = cells[local]
        known = (mine >= 0) & (step_of_cell[mine] < step[local][:, None])
        slots = slot_of_voxel[np.where(known, starts[:, None] + mine, 0)]
        seen = [np.where(known, rows_of.hit + slots, 0), np.where(known, rows_of.log + slots, 0)]
        mine = neighbours[local]
        known = (mine >= 0) & (step[mine] < step[local][:, None])
        numbers = first_block[:, None] + mine
        seen += [np.where(known, rows_of.energy + numbers, 0), np.where(known, rows_of.hits + numbers, 0)]
        if max(layer) > 0:
            mine = before[local]
            known = (mine >= 0) & (layer > 0)[:, None]
            numbers = first_block[:, None] + mine
            seen += [
                np.where(known, rows_of.before_energy + numbers, 0),
                np.where(known, rows_of.before_hits + numbers, 0),
            ]
        rows = np.concatenate(seen, axis=1)
        rows = rows[:, (rows > 0).any(axis=0)]
        positions = np.unique(net.phases, return_inverse=True)[0]
        phase = np.array([grid.blocks[k].phase for k in net.local])
        # Sums over all blocks of the layer that are drawn: near ones of this side, all of it, all of others.
        far = _far(grid)[:, local]
        far = far[(far != 0).any(axis=(1, 2))]
        return NetTables(
            n_members=grid.size[0] * grid.size[1],
            n_first=grid.n_first,
            turned=grid.cyclic and len(grid_positions(grid.grid)) == 2,
            layers=sorted(set(net.layer)),
            rows=rows.T,
            slots=np.stack(net.slots).T,
            block=np.array(net.block),
            layer=np.unique(layer, return_inverse=True)[1],
            step=np.array(net.step),
            position=np.searchsorted(positions, phase),
            centre=grid.centres(n_axes)[local].T.astype(np.float32),
            frame=grid.frames(n_axes)[local].astype(np.float32),
            pitch=_pitch(grid, n_axes).astype(np.float32),
            far=far.astype(np.float32),
        )


@final
class _Rows:
    """Where what is kept of showers begins in their state."""

    def __init__(self, n_slots: int, n_blocks: int) -> None:
        self.hit, self.log = 1, 1 + n_slots
        self.energy = 1 + 2 * n_slots
        self.hits, self.before_energy, self.before_hits = (self.energy + n_blocks * k for k in (1, 2, 3))
        self.count = self.before_hits + n_blocks


@final
class _Net:
    """What a network draws, while it is put together."""

    def __init__(self, *, blocks: GridBlocks, core: bool, phases: np.ndarray) -> None:
        self.blocks, self.core, self.phases = blocks, core, phases
        self.block: list[int] = []
        self.local: list[int] = []
        self.layer: list[int] = []
        self.step: list[int] = []
        self.slots: list[np.ndarray] = []


def _far(grid: GridBlocks) -> Float[np.ndarray, "k n n"]:
    """Weights of earlier blocks in sums that reach beyond the window."""
    place = np.array([b.place for b in grid.blocks], dtype=float)
    apart = np.abs(place[:, None] - place[None])
    if grid.cyclic:
        around = place[:, 0].max() + 1
        apart[..., 0] = np.minimum(apart[..., 0], around - apart[..., 0])
    near = np.exp(-np.hypot(apart[..., 0], apart[..., 1]) / _RANGE)
    earlier, same = grid.earlier, grid.same_side
    return np.stack([near * earlier * same, 0.1 * earlier * same, 0.1 * earlier * ~same])


def _pitch(grid: GridBlocks, n_axes: int) -> Float[np.ndarray, " a"]:
    """Typical size of a cell along each position, mm."""
    found = np.ones(n_axes)
    cells = grid.grid
    if isinstance(cells, PolarGrid):
        found[:] = np.diff(cells.r_edges).mean()
    else:
        kept = [np.diff(e).mean() for e in (cells.x_edges, cells.y_edges) if len(e) > 2]
        found[: len(kept)] = kept
    return found
