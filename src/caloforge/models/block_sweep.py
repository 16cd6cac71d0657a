"""Voxels drawn step by step: what :class:`VoxelBlocks` learned, laid out so that a step costs few operations.

Legend of shapes as in ``voxel_blocks``; n blocks of a step, m voxels of a block. All blocks of a step are images of
each other, so they share their biases.
"""

from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from caloforge.models.block_features import LOG, Remaining, layer_before, places, seen_of
from caloforge.models.block_network import BlockNet, VoxelMixture
from caloforge.models.block_plan import BlockPlan, NetTables, Step
from caloforge.preprocessing.hit_energies import HitEnergies

__all__ = ["BlockSweep", "StepPlan"]

_LEAST_LOG = 0.02  # of energies over the threshold: a hit is above it


_SPREAD = 1e-3  # of logarithms


@final
class StepPlan:
    """Weights and tables of one step."""

    @torch.no_grad()
    def __init__(
        self,
        plan: BlockPlan,
        step: Step,
        net: BlockNet,
        share: tuple[Tensor, Tensor],
        dtype: torch.dtype,
    ) -> None:
        tables = plan.nets[step.net]
        assert isinstance(tables, NetTables)
        self.tables, self.step = tables, step
        here = self.here = slice(step.within, step.within + step.n_blocks)
        n, m, first = step.n_blocks, tables.n_members, tables.n_first
        position = int(tables.position[here.start])
        self.layer_in_net = tables.layers.index(step.layer)
        self.rows = tables.rows[:, here].flatten()
        self.far = tables.far[:, here].flatten(0, 1)
        split = tables.n_rows
        self.first = net.first.weight[:, :split].to(dtype).contiguous()
        self.first_near = net.first.weight[:, split:].to(dtype).contiguous()
        shift_1, gain, shift_2 = net.places[position]
        self.of_step = torch.cat([net.first_step.weight, shift_1[:, None]], dim=1)
        self.gain, self.shift_2 = 1 + gain[:, None], shift_2[:, None]
        self.second = net.second.weight.to(dtype)
        self.early = net.early.weight.to(dtype)
        self.early_bias = net.bias[position, :first].reshape(-1, 1)
        slots = torch.arange(step.slot, step.slot + m * n)
        exists = plan.voxel_of_slot[slots].to("cpu") < plan.n_voxels
        exists = exists.view(m, n, 1).to(net.places.device)
        self.whole = bool(exists.all())
        starts = HitEnergies.starts(plan.class_of_slot[step.slot : step.slot + m * n]).view(m, n, 1)
        self.parts: list[tuple[slice, slice, Tensor, Tensor, Tensor, Tensor]] = []
        for a, b in ((0, first), (first, m)):
            if a < b:
                part, rows = slice(a, b), slice(step.slot + a * n, step.slot + b * n)
                mean, std = (t[a:b, position, None, None] for t in share)
                self.parts.append((part, rows, starts[part], mean, std, exists[part]))
        if first < m:
            self.late_in, self.late_seen = net.late_in.weight.to(dtype), net.late_seen.weight.to(dtype)
            self.late_places = net.late_places[position][:, None]
            self.late = net.late.weight.to(dtype)
            self.late_bias = net.bias[position, first:].reshape(-1, 1)


@final
class BlockSweep:
    """One pass through all steps.

    Args:
        plan: The calorimeter's.
        steps: Its steps.
        conditions: What showers change in each network.
        remaining: What they still have to give to their layers.
    """

    def __init__(
        self,
        plan: BlockPlan,
        mixture: VoxelMixture,
        energies: HitEnergies,
        steps: list[StepPlan],
        conditions: list[Float[Tensor, "3 H l B"]],
        remaining: Remaining,
    ) -> None:
        self._plan, self._mixture, self._energies, self._steps = plan, mixture, energies, steps
        self._conditions, self._remaining = conditions, remaining

    def __call__(
        self, chance: Float[Tensor, "S B"], place: Float[Tensor, "S B"]
    ) -> tuple[Float[Tensor, "S B"], Float[Tensor, "S B"]]:
        """Energies over the threshold of all slots, and how near each came to being hit.

        Args:
            chance: Uniform numbers: whether a voxel is hit, and by which component.
            place: Standard logistic numbers: where in its component.
        """
        rows, n_batch = self._plan.rows_of, chance.shape[1]
        state = chance.new_zeros(rows.count, n_batch)
        energy, surplus = torch.empty_like(chance), torch.empty_like(chance)
        layer = -1
        for step in self._steps:
            if step.step.layer != layer:
                layer = step.step.layer
                self._remaining.begin(layer)
                if layer > 0:
                    layer_before(self._plan, state, energy, layer)
            self._draw(step, state, energy, surplus, chance, place)
        return energy, surplus

    def _draw(
        self, plan: StepPlan, state: Tensor, energy: Tensor, surplus: Tensor, chance: Tensor, place: Tensor
    ) -> None:
        step, rows = plan.step, self._plan.rows_of
        n, m, n_batch = step.n_blocks, plan.tables.n_members, chance.shape[1]
        shape = n, n_batch
        left, mean, std, of_step = self._remaining.now()
        h = self._hidden(plan, state, of_step, mean, std)
        slots = slice(step.slot, step.slot + m * n)
        mine = energy[slots].view(m, *shape)
        rest = left
        for part, where, starts, share_mean, share_std, exists in plan.parts:
            count = part.stop - part.start
            if part.start == 0:
                params = self._product(plan.early, h) + plan.early_bias
            else:
                seen = seen_of(mine[: part.start], left).flatten(1)
                g = self._product(plan.late_in, h) + self._product(plan.late_seen, seen)
                params = self._product(plan.late, (g + plan.late_places).relu_()) + plan.late_bias
                rest = left - mine[: part.start].sum(0)
            params = params.view(count, self._mixture.n_params, *shape)
            anchor = rest.clamp_min(1.0).log()
            u = chance[where].view(count, *shape)
            hit, y, absolute = self._mixture.sample(u, place[where].view(count, *shape), params)
            hit = hit * (rest >= 1.0)  # with less than a threshold left, nothing is hit
            if not plan.whole:
                hit = hit * exists
            x = torch.where(
                absolute,
                self._energies.decode(y, starts),
                (torch.addcmul(share_mean, share_std, y) + anchor).abs(),
            )
            # Not quite all that is left, and no two voxels the same: of equals, closing could not choose.
            x = torch.minimum(x, anchor.clamp_min(_LEAST_LOG) - _SPREAD * u) * hit
            mine[part] = x.exp() * hit
            state[rows.hit + where.start : rows.hit + where.stop] = hit.flatten(0, 1)
            state[rows.log + where.start : rows.log + where.stop] = (LOG * x).flatten(0, 1)
            over = surplus[where].view(count, *shape)
            torch.sub(params[:, 0].sigmoid(), u, out=over)
            if not plan.whole:
                over -= 2.0 * ~exists
        self._remaining.take(slots, energy[slots])
        blocks = slice(rows.energy + step.first, rows.energy + step.first + n)
        state[blocks] = LOG * mine.sum(0).log1p()
        hits = state[rows.hit + slots.start : rows.hit + slots.stop].view(m, *shape)
        state[rows.hits + step.first : rows.hits + step.first + n] = hits.sum(0)

    def _hidden(
        self, plan: StepPlan, state: Tensor, of_step: Tensor, mean: Tensor, std: Tensor
    ) -> Float[Tensor, "H nB"]:
        step, tables, rows = plan.step, plan.tables, self._plan.rows_of
        n, n_batch = step.n_blocks, state.shape[1]
        shift_1, gain, shift_2 = self._conditions[step.net][:, :, plan.layer_in_net]
        one = torch.ones_like(of_step[:1])
        base = torch.addmm(shift_1, plan.of_step, torch.cat([of_step, one]))
        seen = state.index_select(0, plan.rows).view(tables.n_rows, n * n_batch)
        blocks = self._plan.layer_blocks[step.layer]
        near = [
            (plan.far @ state[start + blocks.start : start + blocks.stop]).view(
                plan.far.shape[0] // n, n, n_batch
            )
            for start in (rows.energy, rows.hits)
            if plan.far.shape[0]
        ]
        wanted = self._remaining.wanted()
        near.append(places(tables, plan.here, *wanted, mean[:, None], std[:, None]))
        near_rows = torch.cat(near).flatten(1)
        h = self._product(plan.first, seen) + self._product(plan.first_near, near_rows)
        h = h.view(h.shape[0], n, n_batch).add_(base[:, None]).relu_()
        g = self._product(plan.second, h.flatten(1)).view_as(h)
        g = g.mul_((gain + plan.gain)[:, None]).add_((shift_2 + plan.shift_2)[:, None]).relu_()
        return h.add_(g).flatten(1)

    def _product(self, weight: Tensor, x: Float[Tensor, "i c"]) -> Float[Tensor, "o c"]:
        return (weight @ x.to(weight.dtype)).to(x.dtype)
