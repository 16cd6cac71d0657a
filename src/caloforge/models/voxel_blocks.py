"""How a shower fills its voxels: p(voxels | layer energies, moments, e_inc), a block of neighbours at a time.

Legend of shapes: B showers, L layers, V voxels, S slots, N blocks, T steps, A positions, P powers (1, and of each
position 1 and 2).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from caloforge.flows.plans import cached_plan
from caloforge.geometry import Geometry
from caloforge.models.base import Batch, Stage
from caloforge.models.block_features import (
    LOG,
    Remaining,
    layer_before,
    logs,
    of_step,
    places,
    seen_of,
    sums,
    what_is_left,
)
from caloforge.models.block_network import BlockNet, VoxelMixture
from caloforge.models.block_plan import BlockPlan, NetTables
from caloforge.models.block_sweep import BlockSweep, StepPlan
from caloforge.models.conditions import energies_and_moments, hit_rows
from caloforge.models.limits import check_at_least, check_between, check_threshold
from caloforge.preprocessing import LayerMoments, Standardize, Symmetry, mirrored, voxel_symmetries
from caloforge.preprocessing.gentle_closing import GentleClosing
from caloforge.preprocessing.hit_energies import HitEnergies
from caloforge.seeding import derive_seed
from caloforge.showers import Showers

__all__ = ["VoxelBlocks", "VoxelBlocksConfig"]

_N_FIT = 20_000
_UNIT = 100.0  # mm, of moments
_RAREST = 1e-4
_LEAST_STD = 0.1


@final
@dataclass(frozen=True, kw_only=True)
class VoxelBlocksConfig:
    """Sizes of the second stage."""

    hidden: int = 64
    """Hidden units of a network."""
    late: int = 32
    """Hidden units for the voxels of a block that see its other voxels."""
    absolute: int = 3
    """Components of a voxel's energy as such."""
    relative: int = 3
    """Components of a voxel's share of the energy left in its layer."""
    core: int = 16
    """Voxels of each layer, at least, that a network of their own draws."""
    softness: float = 1.0
    """Noise in training on where the energy left in a layer lies."""

    def __post_init__(self) -> None:
        for name, least in (("hidden", 1), ("late", 1), ("absolute", 1), ("relative", 1), ("core", 0)):
            check_at_least(least, getattr(self, name), name=f"model.voxels.{name}")
        check_at_least(0, self.softness, name="model.voxels.softness")


@final
class VoxelBlocks(Stage):
    """Blocks of neighbouring voxels, from the outside in; what is not hit needs no noise to have a density.

    Args:
        geometry: The calorimeter.
        config: Sizes.
        threshold: Voxels below it are not hit, MeV.
        symmetry: How training showers are reflected or turned.
    """

    symmetries: Tensor
    powers: Tensor
    own: Tensor
    pitch: Tensor

    def __init__(
        self, geometry: Geometry, config: VoxelBlocksConfig, *, threshold: float, symmetry: Symmetry
    ) -> None:
        super().__init__()
        check_between(0, threshold, math.inf, name="model.threshold")
        self.config, self.threshold = config, threshold
        self.n_layers, self.n_voxels = geometry.n_layers, geometry.n_voxels
        self.closing = GentleClosing(geometry, threshold=threshold)
        self.context_scale = Standardize(1 + self.n_layers + self.moments.n_moments)
        self.register_buffer("symmetries", voxel_symmetries(geometry, symmetry), persistent=False)
        self.mixture = VoxelMixture(absolute=config.absolute, relative=config.relative)
        self.plan = plan = BlockPlan(geometry, core=config.core)
        self.energies = HitEnergies(plan.n_classes)
        self.register_buffer("powers", self._powers(), persistent=False)
        self.register_buffer("own", self._own(), persistent=False)
        pitch = torch.ones(plan.n_axes, self.n_layers)
        for tables in plan.nets:
            assert isinstance(tables, NetTables)
            pitch[:, tables.layers] = tables.pitch[:, None] / _UNIT
        self.register_buffer("pitch", pitch, persistent=False)
        self.products: torch.dtype | None = None
        """Type of the matrix products of :meth:`decode`; by default that of the weights."""
        self.nets = nn.ModuleList(_networks(plan, config, n_context=self.context_scale.mean.shape[0]))
        for k, tables in enumerate(plan.nets):
            assert isinstance(tables, NetTables)
            shape = tables.n_members, tables.n_positions
            self.register_buffer(f"share_mean_{k}", torch.full(shape, -2.0))
            self.register_buffer(f"share_std_{k}", torch.ones(shape))

    @staticmethod
    def count_parameters(geometry: Geometry, config: VoxelBlocksConfig) -> int:
        """Parameters of such a stage, without the memory for its networks."""
        n_context = 1 + geometry.n_layers + LayerMoments(geometry).n_moments
        plan = BlockPlan(geometry, core=config.core)
        with torch.device("meta"):
            nets = list(_networks(plan, config, n_context=n_context))
        return sum(p.numel() for net in nets for p in net.parameters())

    def _powers(self) -> Float[Tensor, "P S"]:
        """Of each slot, powers 0, 1, 2 of its positions; of one without a voxel 0."""
        moments, axes = self.moments, self.plan.n_axes
        rows = [0] + [1 + 4 * a + n for a in range(axes) for n in (0, 1)]
        of_voxel = torch.cat([moments.powers(k)[rows] for k in range(self.n_layers)], dim=1)
        return torch.cat([of_voxel, of_voxel.new_zeros(len(rows), 1)], dim=1)[:, self.plan.voxel_of_slot]

    def _own(self) -> Tensor:
        """Rows of the context that are about each layer, ``(c, L)``; the last row is a zero."""
        none = 1 + self.n_layers + self.moments.n_moments
        rows = [[1 + k] for k in range(self.n_layers)]
        for m, k in enumerate(self.moments.layer_of_moment):
            rows[k].append(1 + self.n_layers + m)
        width = 1 + 2 * self.plan.n_axes
        return torch.tensor([r + [none] * (width - len(r)) for r in rows]).T.contiguous()

    @property
    def moments(self) -> LayerMoments:
        """Centres and widths of layers."""
        return self.closing.moments

    def fit(self, showers: Showers, *, seed: int) -> None:
        """Estimate scales, the distributions of hit energies, and how often each voxel is hit."""
        generator = torch.Generator().manual_seed(derive_seed(seed, "voxels", "fit"))
        sample = showers[:: -(-len(showers) // _N_FIT)]
        check_threshold(self.threshold, sample, name="model.threshold")
        rows = self.rows(sample)
        copies = 4 if self.symmetries.shape[0] > 1 else 1
        voxels = torch.cat([mirrored(rows["voxels"], self.symmetries, generator) for _ in range(copies)])
        e_layer, e_inc = rows["e_layer"].repeat(copies, 1), rows["e_inc"].repeat(copies)
        moments = self.moments.encode(voxels)
        self.context_scale.fit(energies_and_moments(e_layer, moments, e_inc))
        self.closing.fit(rows["voxels"] / self.threshold)
        energy = self._slots(voxels)
        hit = energy > 0
        classes = self.plan.class_of_slot[:, None].expand_as(energy)
        self.energies.fit(energy[hit].log(), classes[hit])
        del classes
        of_layers = e_layer.T / self.threshold
        left = self._left(energy, sums(*self._wanted(moments), of_layers), of_layers)[0]
        for k, (tables, net) in enumerate(self._networks()):
            values = energy[tables.slots.flatten()].view(*tables.slots.shape, energy.shape[1])
            share = self._share(values, left[tables.step], tables.n_first)
            hits = (values > 0).to(share.dtype)
            rate = torch.stack(
                [
                    torch.stack(
                        [
                            hits[:, tables.position == p].sum((1, 2)),
                            (hits * share)[:, tables.position == p].sum((1, 2)),
                            (hits * share**2)[:, tables.position == p].sum((1, 2)),
                            torch.full(
                                (tables.n_members,), float((tables.position == p).sum() * values.shape[2])
                            ),
                        ]
                    )
                    for p in range(tables.n_positions)
                ],
                dim=-1,
            )
            count, first, second, total = rate
            overall = first.sum(1, keepdim=True) / count.sum(1, keepdim=True).clamp_min(1)
            mean = torch.where(count > 20, first / count.clamp_min(1), overall)
            std = (second / count.clamp_min(1) - mean**2).clamp_min(0.0).sqrt()
            self.get_buffer(f"share_mean_{k}").copy_(mean)
            self.get_buffer(f"share_std_{k}").copy_(torch.where(count > 20, std, 1.0).clamp_min(_LEAST_STD))
            with torch.no_grad():
                net.bias[..., 0] = ((count + 0.5) / (total + 1)).clamp(_RAREST, 1 - _RAREST).logit().T

    def rows(self, showers: Showers) -> Batch:
        """Voxels, layer and incident energies, MeV, in the model's precision; what is not hit is 0."""
        return hit_rows(showers, threshold=self.threshold, dtype=self._dtype)

    def draw(self, rows: Batch, generator: torch.Generator) -> Batch:
        """Voxels after a fresh symmetry element, with what they are conditioned on, and noise that softens it."""
        voxels = mirrored(rows["voxels"], self.symmetries, generator)
        shape = voxels.shape[0], 2 * self.plan.n_axes, self.plan.n_steps
        noise = torch.randn(shape, generator=generator, dtype=voxels.dtype, device=voxels.device)
        return {
            "voxels": voxels,
            "e_layer": rows["e_layer"],
            "moments": self.moments.encode(voxels),
            "e_inc": rows["e_inc"],
            "noise": noise,
        }

    def forward(self, batch: Batch) -> Float[Tensor, " B"]:
        """Negative log-likelihood of hits and, where hit, of logarithmic energies."""
        plan, energy = self.plan, self._slots(batch["voxels"])
        e_layer = batch["e_layer"].T / self.threshold
        state = self._state(energy)
        wanted = self._wanted(batch["moments"])
        layer = plan.layer_of_step
        energy_left, mean, variance = self._left(energy, sums(*wanted, e_layer), e_layer)
        noise = self.config.softness * batch["noise"].permute(1, 2, 0)
        pitch = self.pitch[:, layer, None]
        log_variance = (variance + (0.1 * pitch).square()).log()
        mean = mean + noise[: plan.n_axes] * (0.6 * (0.5 * log_variance).exp() + 0.5 * pitch)
        log_variance = log_variance + 1.2 * noise[plan.n_axes :]
        std, steps = (0.5 * log_variance).exp(), of_step(energy_left, log_variance, e_layer[layer])
        context = self._padded(batch["e_layer"], batch["moments"], batch["e_inc"])
        x = logs(energy)
        t, slope = self.energies.encode(x, plan.class_of_slot[:, None].expand_as(x))
        exists = plan.voxel_of_slot < self.n_voxels
        losses = []
        for k, (tables, net) in enumerate(self._networks()):
            n, step = tables.n_blocks, tables.step
            seen = state.index_select(0, tables.rows.flatten()).view(tables.n_rows, n, state.shape[1])
            w_mean, w_variance = (w[:, layer[step]] for w in wanted)
            near = places(tables, slice(0, n), w_mean, w_variance, mean[:, step], std[:, step])
            condition = net.condition(context[:-1], context[self.own[:, tables.layers]])
            h = net.trunk(
                torch.cat([seen, self._far(tables, state), near]),
                steps[:, step],
                condition.index_select(2, tables.layer),
                tables.position,
            )
            slots, first, left = tables.slots.flatten(), tables.n_first, energy_left[step]
            mine = energy[slots].view(*tables.slots.shape, energy.shape[1])
            params = net.early_params(h, tables.position)
            if first < tables.n_members:
                late = net.late_params(h, seen_of(mine[:first], left), tables.position)
                params = torch.cat([params, late])
            share_mean, share_std = (s[:, tables.position, None] for s in self._share_scale(k))
            share = (self._share(mine, left, first) - share_mean) / share_std
            log_prob = self.mixture.log_prob(
                mine > 0,
                (t[slots].view_as(mine), share),
                (slope[slots].view_as(mine), -share_std.log()),
                params,
            )
            losses.append((log_prob * exists[slots].view(*tables.slots.shape, 1)).sum((0, 1)))
        return -torch.stack(losses).sum(0)

    def context(
        self, e_layer: Float[Tensor, "B L"], moments: Float[Tensor, "B M"], e_inc: Float[Tensor, " B"]
    ) -> Float[Tensor, "B C"]:
        """The networks' condition."""
        return self.context_scale.encode(energies_and_moments(e_layer, moments, e_inc)).to(self._dtype)

    @property
    def n_noise(self) -> int:
        """Uniform numbers that a shower needs."""
        return 2 * self.plan.n_slots

    def decode(
        self,
        u: Float[Tensor, "B N"],
        e_layer: Float[Tensor, "B L"],
        moments: Float[Tensor, "B M"],
        e_inc: Float[Tensor, " B"],
    ) -> Float[Tensor, "B V"]:
        """Uniform numbers to voxels in MeV that sum to ``e_layer`` and have, nearly, the moments asked for."""
        u = u.T.contiguous()
        chance, place = u[: self.plan.n_slots], u[self.plan.n_slots :].logit()
        context = self._padded(e_layer, moments, e_inc)
        energy_of_layers, moments = e_layer.T.to(u.dtype) / self.threshold, moments.T.to(u.dtype)
        conditions = [
            net.condition(context[:-1], context[self.own[:, tables.layers]])
            for tables, net in self._networks()
        ]
        remaining = Remaining(self.powers, self.pitch, self._wanted(moments.T), energy_of_layers)
        dtype = self.products or self._dtype
        steps = cached_plan(self, dtype, lambda: self._steps(dtype))
        sweep = BlockSweep(self.plan, self.mixture, self.energies, steps, conditions, remaining)
        energy, surplus = sweep(chance, place)
        voxels = energy.index_select(0, self.plan.slot_of_voxel)
        surplus = surplus.index_select(0, self.plan.slot_of_voxel)
        return self.closing(voxels, surplus, energy_of_layers, moments).T.contiguous()

    def _steps(self, dtype: torch.dtype) -> list[StepPlan]:
        nets = list(self._networks())
        return [
            StepPlan(self.plan, step, nets[step.net][1], self._share_scale(step.net), dtype)
            for step in self.plan.steps
        ]

    def _networks(self) -> Iterator[tuple[NetTables, BlockNet]]:
        for tables, net in zip(self.plan.nets, self.nets, strict=True):
            assert isinstance(tables, NetTables)
            assert isinstance(net, BlockNet)
            yield tables, net

    def _share_scale(self, net: int) -> tuple[Float[Tensor, "m p"], Float[Tensor, "m p"]]:
        """Mean and standard deviation of logarithmic shares, by place in the block and position."""
        return self.get_buffer(f"share_mean_{net}"), self.get_buffer(f"share_std_{net}")

    def _padded(self, e_layer: Tensor, moments: Tensor, e_inc: Tensor) -> Float[Tensor, "C B"]:
        context = self.context(e_layer, moments, e_inc).T
        return torch.cat([context, torch.zeros_like(context[:1])])

    def _slots(self, voxels: Float[Tensor, "B V"]) -> Float[Tensor, "S B"]:
        """Energies over the threshold, in the order of slots."""
        padded = torch.cat([voxels.T / self.threshold, voxels.new_zeros(1, voxels.shape[0])])
        return padded.index_select(0, self.plan.voxel_of_slot)

    def _state(self, energy: Float[Tensor, "S B"]) -> Float[Tensor, "R B"]:
        """The state of showers that are known: each block sees only those rows of it that are drawn before."""
        plan, rows = self.plan, self.plan.rows_of
        state = energy.new_zeros(rows.count, energy.shape[1])
        hit = (energy > 0).to(energy.dtype)
        state[rows.hit : rows.log] = hit
        state[rows.log : rows.energy] = LOG * logs(energy)
        none = energy.new_zeros(plan.n_blocks, energy.shape[1])
        state[rows.energy : rows.hits] = LOG * none.index_add(0, plan.block_of_slot, energy).log1p()
        state[rows.hits : rows.before_energy] = none.index_add(0, plan.block_of_slot, hit)
        for k in range(1, self.n_layers):
            layer_before(plan, state, energy, k)
        return state

    def _far(self, tables: NetTables, state: Float[Tensor, "R B"]) -> Float[Tensor, "f n B"]:
        """Sums over farther blocks, of energies and of hits."""
        plan, seen = self.plan, []
        for start in (plan.rows_of.energy, plan.rows_of.hits):
            of_layers = []
            for j, k in enumerate(tables.layers):
                blocks, far = plan.layer_blocks[k], tables.far[:, tables.layer == j].to(state.dtype)
                here = state[start + blocks.start : start + blocks.stop]
                of_layers.append((far.flatten(0, 1) @ here).view(*far.shape[:2], here.shape[1]))
            seen.append(torch.cat(of_layers, dim=1))
        return torch.cat(seen)

    def _wanted(self, moments: Float[Tensor, "B M"]) -> tuple[Float[Tensor, "A L B"], Float[Tensor, "A L B"]]:
        """Mean and variance of each layer, in units of 100 mm."""
        mean, variance = self.moments.central(moments.T)
        return mean.transpose(0, 1), variance.transpose(0, 1)

    def _left(
        self, energy: Float[Tensor, "S B"], wanted: Float[Tensor, "P L B"], e_layer: Float[Tensor, "L B"]
    ) -> tuple[Float[Tensor, "T B"], Float[Tensor, "A T B"], Float[Tensor, "A T B"]]:
        """Energy left in the layer before each step, its mean and its variance."""
        plan = self.plan
        drawn = (energy * self.powers[:, :, None]).double()
        found = drawn.new_zeros(drawn.shape[0], plan.n_steps + 1, drawn.shape[2])
        found.index_add_(1, plan.step_of_block[plan.block_of_slot] + 1, drawn)
        before = found.cumsum(1)[:, :-1]
        before = before - before[:, plan.first_step[plan.layer_of_step]]
        left = wanted[:, plan.layer_of_step] - before.to(wanted.dtype)
        return what_is_left(left, e_layer[plan.layer_of_step])

    def _share(
        self, mine: Float[Tensor, "m n B"], left: Float[Tensor, "n B"], first: int
    ) -> Float[Tensor, "m n B"]:
        """Logarithm of the share of the energy left that voxels take, the later ones of what the earlier leave."""
        rest = left - mine[:first].sum(0)
        anchors = [
            a.clamp_min(1.0).log().expand(m, -1, -1)
            for a, m in ((left, first), (rest, mine.shape[0] - first))
        ]
        return logs(mine) - torch.cat(anchors)


def _networks(plan: BlockPlan, config: VoxelBlocksConfig, *, n_context: int) -> Iterator[BlockNet]:
    """Untrained networks, one for each of the tables of a plan."""
    mixture = VoxelMixture(absolute=config.absolute, relative=config.relative)
    for tables in plan.nets:
        assert isinstance(tables, NetTables)
        yield BlockNet(
            n_inputs=tables.n_rows + 2 * tables.far.shape[0] + 2 * plan.n_axes,
            n_step=2 + plan.n_axes,
            n_context=n_context,
            n_own=1 + 2 * plan.n_axes,
            n_layers=len(tables.layers),
            n_positions=tables.n_positions,
            n_members=tables.n_members,
            n_first=tables.n_first,
            mixture=mixture,
            hidden=config.hidden,
            late=config.late,
        )
