"""How a shower fills its voxels: p(voxels | layer energies, moments, e_inc), a block of neighbours at a time.

Legend of shapes: B showers, L layers, V voxels, S slots, N blocks, T steps, A positions, P powers (1, and of each position 1 and 2).
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from caloforge.geometry import Geometry
from caloforge.models.base import Batch, Stage
from caloforge.models.block_network import BlockNet, VoxelMixture
from caloforge.models.block_plan import BlockPlan, NetTables
from caloforge.models.conditions import log_energies
from caloforge.models.limits import check_at_least, check_between, check_threshold
from caloforge.preprocessing import LayerMoments, Standardize, Symmetry, mirrored, voxel_symmetries
from caloforge.preprocessing.gentle_closing import GentleClosing
from caloforge.preprocessing.hit_energies import HitEnergies
from caloforge.seeding import derive_seed
from caloforge.showers import Showers

__all__ = ["VoxelBlocks", "VoxelBlocksConfig"]

_N_FIT = 20_000
_UNIT = 100.0  # mm, of moments
_LOG = 0.1  # of logarithms in the inputs
_RAREST = 1e-4
_LEAST_STD = 0.1
_FARTHEST = 5.0  # of positions relative to the shower's, in standard deviations


@final
@dataclass(frozen=True, kw_only=True)
class VoxelBlocksConfig:
    """Sizes of the second stage."""

    hidden: int = 96
    """Hidden units of a network."""
    late: int = 48
    """Hidden units for the voxels of a block that see its other voxels."""
    absolute: int = 4
    """Components of a voxel's energy as such."""
    relative: int = 4
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
        self.nets = nn.ModuleList()
        for k, tables in enumerate(plan.nets):
            assert isinstance(tables, NetTables)
            shape = tables.n_members, tables.n_positions
            self.register_buffer(f"share_mean_{k}", torch.full(shape, -2.0))
            self.register_buffer(f"share_std_{k}", torch.ones(shape))
            self.nets.append(
                BlockNet(
                    n_inputs=tables.n_rows + 2 * tables.far.shape[0] + 2 * plan.n_axes,
                    n_step=2 + plan.n_axes,
                    n_context=self.context_scale.mean.shape[0],
                    n_own=self.own.shape[0],
                    n_layers=len(tables.layers),
                    n_positions=tables.n_positions,
                    n_members=tables.n_members,
                    n_first=tables.n_first,
                    mixture=self.mixture,
                    hidden=config.hidden,
                    late=config.late,
                )
            )

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
        self.context_scale.fit(self._condition(e_layer, moments, e_inc))
        self.closing.fit(rows["voxels"] / self.threshold)
        energy = self._slots(voxels)
        hit = energy > 0
        classes = self.plan.class_of_slot[:, None].expand_as(energy)
        self.energies.fit(energy[hit].log(), classes[hit])
        del classes
        left = self._left(energy, e_layer, moments)
        for k, (tables, net) in enumerate(zip(self.plan.nets, self.nets, strict=True)):
            assert isinstance(tables, NetTables)
            assert isinstance(net, BlockNet)
            values = energy[tables.slots.flatten()].view(*tables.slots.shape, energy.shape[1])
            share = self._share(values, left[0][tables.step], tables.n_first)
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
        voxels = torch.from_numpy(showers.voxels).to(self._dtype)
        voxels = torch.where(voxels < self.threshold, torch.zeros_like(voxels), voxels)
        e_layer, e_inc = (torch.from_numpy(a).to(self._dtype) for a in (showers.e_layer, showers.e_inc))
        return {"voxels": voxels, "e_layer": e_layer, "e_inc": e_inc}

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
        energy = self._slots(batch["voxels"])
        e_layer, moments = batch["e_layer"], batch["moments"]
        state = self._state(energy)
        energy_left, mean, variance = self._left(energy, e_layer, moments)
        noise = self.config.softness * batch["noise"].permute(1, 2, 0)
        of_step, mean, std = self._of_step(energy_left, mean, variance, e_layer, self.plan.layer_of_step, noise)
        wanted = self._wanted(moments)
        context = self.context(e_layer, moments, batch["e_inc"]).T
        context = torch.cat([context, torch.zeros_like(context[:1])])
        hit = energy > 0
        x = torch.where(hit, energy, torch.ones_like(energy)).log()
        t, slope = self.energies.encode(x, self.plan.class_of_slot[:, None].expand_as(x))
        rows = self.plan.rows_of
        total = 0.0
        for k, (tables, net) in enumerate(zip(self.plan.nets, self.nets, strict=True)):
            assert isinstance(tables, NetTables)
            assert isinstance(net, BlockNet)
            n = tables.n_blocks
            seen = [state.index_select(0, tables.rows.flatten()).view(tables.n_rows, n, state.shape[1])]
            block = self._block_rows(state, rows)
            seen.append(self._far(tables, block))
            step = tables.step
            layer_of = torch.tensor(tables.layers)[tables.layer]
            seen.append(
                _places(tables, slice(0, n), wanted[0][:, layer_of], wanted[1][:, layer_of], mean[:, step], std[:, step])
            )
            condition = net.condition(context[:-1], context[self.own[:, tables.layers]])
            h = net.trunk(
                torch.cat(seen), of_step[:, step], condition.index_select(2, tables.layer), tables.position
            )
            slots, first = tables.slots, tables.n_first
            shape = (*slots.shape, energy.shape[1])
            here, mine = slots.flatten(), energy[slots.flatten()].view(shape)
            left = energy_left[step]
            share = self._share(mine, left, first)
            share_mean = self.get_buffer(f"share_mean_{k}")[:, tables.position, None]
            share_std = self.get_buffer(f"share_std_{k}")[:, tables.position, None]
            relative = (share - share_mean) / share_std
            params = net.early_params(h, tables.position)
            if first < tables.n_members:
                late = net.late_params(h, self._seen(mine[:first], left), tables.position)
                params = torch.cat([params, late])
            slopes = slope[here].view(shape), -share_std.log().expand_as(mine)
            log_prob = self.mixture.log_prob(
                hit[here].view(shape), t[here].view(shape), relative, slopes, params
            )
            exists = (self.plan.voxel_of_slot[slots] < self.n_voxels)[..., None]
            total = total - (log_prob * exists).sum((0, 1))
        return total

    def context(
        self, e_layer: Float[Tensor, "B L"], moments: Float[Tensor, "B M"], e_inc: Float[Tensor, " B"]
    ) -> Float[Tensor, "B C"]:
        """The networks' condition."""
        return self.context_scale.encode(self._condition(e_layer, moments, e_inc)).to(self._dtype)

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
        plan, rows, threshold = self.plan, self.plan.rows_of, self.threshold
        u = u.T
        chance, place = u[: plan.n_slots], u[plan.n_slots :].logit()
        n_batch = u.shape[1]
        e_layer, moments = e_layer.to(u.dtype), moments.to(u.dtype)
        context = self.context(e_layer, moments, e_inc).T
        context = torch.cat([context, torch.zeros_like(context[:1])])
        wanted_mean, wanted_variance = self._wanted(moments)
        wanted = self._sums(wanted_mean, wanted_variance, e_layer)
        state = u.new_zeros(rows.count, n_batch)
        energy = u.new_zeros(plan.n_slots, n_batch)
        surplus = torch.empty_like(energy)
        conditions: list[Tensor] = []
        for tables, net in zip(plan.nets, self.nets, strict=True):
            conditions.append(net.condition(context[:-1], context[self.own[:, tables.layers]]))
        before = -1
        for s, step in enumerate(plan.steps):
            tables, net = plan.nets[step.net], self.nets[step.net]
            k, n, first = step.layer, step.n_blocks, tables.n_first
            here = slice(step.within, step.within + n)
            if k != before:
                left = wanted[:, k].clone()
                if k > 0:
                    self._show_layer_before(state, energy, k)
                before = k
            energy_left, mean, variance = _central(left, e_layer[:, k] / threshold)
            of_step, mean, std = self._of_step(
                energy_left[None], mean[:, None], variance[:, None], e_layer, plan.layer_of_step[s : s + 1], None
            )
            seen = [state.index_select(0, tables.rows[:, here].flatten()).view(tables.n_rows, n, n_batch)]
            blocks = plan.layer_blocks[k]
            block = state[rows.energy : rows.before_energy].view(2, plan.n_blocks, n_batch)[:, blocks]
            far = tables.far[:, here].flatten(0, 1)
            seen.append((far @ block).view(2 * tables.far.shape[0], n, n_batch))
            seen.append(
                _places(tables, here, wanted_mean[:, k, None], wanted_variance[:, k, None], mean, std)
            )
            position = tables.position[here]
            layer = tables.layers.index(k)
            h = net.trunk(torch.cat(seen), of_step, conditions[step.net][:, :, layer : layer + 1], position)
            m = tables.n_members
            slots = slice(step.slot, step.slot + m * n)
            mine = energy[slots].view(m, n, n_batch)
            u_1, z = chance[slots].view(m, n, n_batch), place[slots].view(m, n, n_batch)
            exists = (plan.voxel_of_slot[slots] < self.n_voxels).view(m, n, 1)
            over = surplus[slots].view(m, n, n_batch)
            parts = [(0, first, net.early_params(h, position))]
            for start, stop, params in parts:
                part = slice(start, stop)
                remaining = energy_left[None]
                if start > 0:
                    remaining = remaining - mine[:start].sum(0)
                anchor = remaining.clamp_min(1.0).log()
                hit, y, absolute = self.mixture.sample(u_1[part], z[part], params)
                hit = hit & exists[part]
                where = slice(slots.start + start * n, slots.start + stop * n)
                knots = HitEnergies.starts(plan.class_of_slot[where]).view(-1, n, 1)
                share_mean = self.get_buffer(f"share_mean_{step.net}")[part][:, position, None]
                share_std = self.get_buffer(f"share_std_{step.net}")[part][:, position, None]
                x = torch.where(
                    absolute,
                    self.energies.decode(y, knots),
                    (anchor + torch.addcmul(share_mean, share_std, y)).abs(),
                )
                x = torch.minimum(x, anchor.clamp_min(0.02))
                mine[part] = x.exp() * hit
                state[rows.hit + where.start : rows.hit + where.stop] = hit.to(x.dtype).flatten(0, 1)
                state[rows.log + where.start : rows.log + where.stop] = (_LOG * x * hit).flatten(0, 1)
                over[part] = params[:, 0] - u_1[part].logit() - 1e6 * ~exists[part]
                if start == 0 and first < m:
                    parts.append((first, m, net.late_params(h, self._seen(mine[:first], energy_left[None]), position)))
            left = left - self.powers[:, slots] @ energy[slots]
            e_block, n_block = mine.sum(0), (mine > 0).sum(0)
            state[rows.energy + step.first : rows.energy + step.first + n] = _LOG * e_block.log1p()
            state[rows.hits + step.first : rows.hits + step.first + n] = n_block.to(u.dtype)
        voxels = energy.index_select(0, plan.slot_of_voxel)
        surplus = surplus.index_select(0, plan.slot_of_voxel)
        return self.closing(voxels, surplus, e_layer.T / threshold, moments.T).T.contiguous()

    def _show_layer_before(self, state: Tensor, energy: Tensor, k: int) -> None:
        plan, rows = self.plan, self.plan.rows_of
        slots, blocks = plan.layer_slots[k - 1], plan.layer_blocks[k]
        seen = plan.overlaps(k) @ energy[slots]
        hits = plan.overlaps(k) @ (energy[slots] > 0).to(energy.dtype)
        state[rows.before_energy + blocks.start : rows.before_energy + blocks.stop] = _LOG * seen.log1p()
        state[rows.before_hits + blocks.start : rows.before_hits + blocks.stop] = hits

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
        state[rows.log : rows.energy] = _LOG * torch.where(energy > 0, energy, torch.ones_like(energy)).log()
        sums = energy.new_zeros(plan.n_blocks, energy.shape[1])
        state[rows.energy : rows.hits] = _LOG * sums.index_add(0, plan.block_of_slot, energy).log1p()
        state[rows.hits : rows.before_energy] = sums.index_add(0, plan.block_of_slot, hit)
        for k in range(1, self.n_layers):
            self._show_layer_before(state, energy, k)
        return state

    def _block_rows(self, state: Tensor, rows: object) -> Float[Tensor, "2 N B"]:
        plan = self.plan
        return state[plan.rows_of.energy : plan.rows_of.before_energy].view(2, plan.n_blocks, state.shape[1])

    def _far(self, tables: NetTables, block: Float[Tensor, "2 N B"]) -> Float[Tensor, "f n B"]:
        """Sums over farther blocks, of energies and of hits."""
        seen = []
        for j, k in enumerate(tables.layers):
            mine = tables.layer == j
            here = block[:, self.plan.layer_blocks[k]]
            far = tables.far[:, mine]
            seen.append((far.flatten(0, 1) @ here).view(2 * far.shape[0], far.shape[1], here.shape[-1]))
        return torch.cat(seen, dim=1)

    def _wanted(self, moments: Float[Tensor, "B M"]) -> tuple[Float[Tensor, "A L B"], Float[Tensor, "A L B"]]:
        mean, variance = self.moments.central(moments.T)
        return mean.transpose(0, 1), variance.transpose(0, 1)

    def _sums(
        self, mean: Float[Tensor, "A L B"], variance: Float[Tensor, "A L B"], e_layer: Float[Tensor, "B L"]
    ) -> Float[Tensor, "P L B"]:
        """Energies of layers over the threshold, times powers of positions."""
        powers = torch.stack([mean, variance + mean.square()], dim=1).flatten(0, 1)
        return torch.cat([torch.ones_like(powers[:1]), powers]) * (e_layer.T / self.threshold)

    def _left(
        self, energy: Float[Tensor, "S B"], e_layer: Float[Tensor, "B L"], moments: Float[Tensor, "B M"]
    ) -> tuple[Float[Tensor, "T B"], Float[Tensor, "A T B"], Float[Tensor, "A T B"]]:
        """Energy left in the layer before each step, its mean and its variance."""
        plan = self.plan
        wanted = self._sums(*self._wanted(moments), e_layer)
        step_of_slot = plan.step_of_block[plan.block_of_slot]
        drawn = (energy * self.powers[:, :, None]).double()
        sums = drawn.new_zeros(drawn.shape[0], plan.n_steps + 1, drawn.shape[2])
        sums.index_add_(1, step_of_slot + 1, drawn)
        before = sums.cumsum(1)[:, :-1]
        before = before - before[:, plan.first_step[plan.layer_of_step]]
        left = wanted[:, plan.layer_of_step] - before.to(wanted.dtype)
        return _central(left, (e_layer.T / self.threshold)[plan.layer_of_step])

    def _of_step(
        self,
        energy_left: Float[Tensor, "T B"],
        mean: Float[Tensor, "A T B"],
        variance: Float[Tensor, "A T B"],
        e_layer: Float[Tensor, "B L"],
        layer: Tensor,
        noise: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What all blocks of a step see, and where what is left lies, softened."""
        of_layer = (e_layer.T / self.threshold)[layer].clamp_min(1.0)
        pitch = self.pitch[:, layer, None]
        log_variance = (variance + (0.1 * pitch).square()).log()
        if noise is not None:
            axes = self.plan.n_axes
            std = (0.5 * log_variance).exp()
            mean = mean + noise[:axes] * (0.6 * std + 0.5 * pitch)
            log_variance = log_variance + 1.2 * noise[axes:]
        relative = (energy_left / of_layer).clamp_min(1e-5).log()
        absolute = energy_left.clamp_min(1.0).log()
        of_step = torch.cat([0.3 * relative[None], _LOG * absolute[None], 0.3 * log_variance])
        return of_step, mean, (0.5 * log_variance).exp() + 0.5 * pitch

    @property
    def pitch(self) -> Float[Tensor, "A L"]:
        if not hasattr(self, "_pitch"):
            found = torch.ones(self.plan.n_axes, self.n_layers)
            for tables in self.plan.nets:
                for k in tables.layers:
                    found[:, k] = tables.pitch / _UNIT
            self._pitch = found
        return self._pitch.to(self.powers)

    def _share(self, mine: Float[Tensor, "m n B"], left: Float[Tensor, "n B"], first: int) -> Tensor:
        """Logarithm of the share of the energy left that voxels take, the later ones of what the earlier leave."""
        rest = (left - mine[:first].sum(0)).clamp_min(1.0).log()
        anchor = torch.cat([left.clamp_min(1.0).log().expand(first, -1, -1), rest.expand(mine.shape[0] - first, -1, -1)])
        return torch.where(mine > 0, mine, torch.ones_like(mine)).log() - anchor

    def _seen(self, early: Float[Tensor, "m n B"], left: Float[Tensor, "n B"]) -> Float[Tensor, "s n B"]:
        """What the later voxels of a block see of the earlier ones."""
        hit = early > 0
        log = torch.where(hit, early, torch.ones_like(early)).log()
        share = early / left.clamp_min(1.0)
        return torch.cat([hit.to(early.dtype), _LOG * log, share.clamp_max(1.5)])

    @staticmethod
    def _condition(e_layer: Tensor, moments: Tensor, e_inc: Tensor) -> Tensor:
        return torch.cat([log_energies(e_layer, e_inc).to(moments.dtype), moments], dim=1)


def _central(
    sums: Float[Tensor, "P *s B"], e_layer: Float[Tensor, "*s B"]
) -> tuple[Tensor, Tensor, Tensor]:
    """Energy, mean and variance of what sums of powers say is left; what cannot be is brought to what can."""
    energy = sums[0]
    safe = torch.maximum(energy, (1e-4 * e_layer).clamp_min(1.0))
    axes = (sums.shape[0] - 1) // 2
    shares = sums[1:].unflatten(0, (axes, 2)) / safe
    mean = shares[:, 0].clamp(-3.0, 3.0)
    return energy, mean, (shares[:, 1] - mean.square()).clamp(0.0, 9.0)


def _places(
    tables: NetTables, here: slice, mean: Tensor, variance: Tensor, mean_left: Tensor, std_left: Tensor
) -> Float[Tensor, "a n B"]:
    """Where blocks lie relative to the shower and to what is left of it, in their frames."""
    centre = tables.centre[:, here, None] / _UNIT
    pitch = tables.pitch[:, None, None] / _UNIT
    std = variance.sqrt() + 0.5 * pitch
    if tables.turned:
        std, std_left = (s.square().mean(0, keepdim=True).sqrt() for s in (std, std_left))
    seen = []
    for middle, scale in ((mean, std), (mean_left, std_left)):
        away = (centre - middle) / scale
        frame = tables.frame[here]
        if tables.turned:
            away = torch.stack([(frame[:, a, :, None] * away.transpose(0, 1)).sum(1) for a in range(2)])
        else:
            away = away * frame.diagonal(dim1=1, dim2=2).T[..., None]
        seen.append(away.clamp(-_FARTHEST, _FARTHEST))
    return torch.cat(seen)
