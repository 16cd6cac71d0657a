"""One engine for every model: showers from incident energies, in fixed blocks aligned to the shower index.

Shower i depends on (seed, i, its incident energy) and nothing else. Its random numbers do by construction
(:class:`~caloforge.noise.ShowerNoise`). Its arithmetic does because a matrix product rounds differently
for other shapes and thread counts: every block has the same shape, is padded where a request does not fill
it, and runs on one thread. Speed comes from workers on different blocks, not from threads within one.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float

from caloforge.devices import check_device
from caloforge.energies import EnergySource, GivenEnergies
from caloforge.errors import EnergyRangeError, NonFiniteError
from caloforge.geometry import Geometry
from caloforge.models import ShowerModel
from caloforge.models.checkpoint import CheckpointHeader, load_checkpoint
from caloforge.models.zoo import find_weights
from caloforge.noise import ShowerNoise
from caloforge.seeding import MAX_SEED, MAX_SHOWERS, check_whole
from caloforge.showers import Showers
from caloforge.units import GeV

__all__ = ["ShowerGenerator", "load_model", "block_size"]

_MAX_BLOCK = 1024
_BLOCK_VALUES = 2**22
_TOLERANCE = 0.01  # a flat spectrum's extreme draws stay inside its limits; one per cent gives them back


def block_size(geometry: Geometry) -> int:
    """Showers per block: 1024, fewer (a power of two) where a block would exceed 4 million voxels."""
    block = _MAX_BLOCK
    while block > 1 and block * geometry.n_voxels > _BLOCK_VALUES:
        block //= 2
    return block


def load_model(name_or_path: str | Path, *, device: torch.device | str = "cpu") -> "ShowerGenerator":
    """A trained model, ready to generate.

    Args:
        name_or_path: Shipped weights (``caloforge models`` lists them), a weights file, or the folder of
            a training run.
        device: ``"cpu"``, ``"cuda"`` ...

    Raises:
        UnknownNameError: Nothing has this name.
        CheckpointError: The file is damaged, foreign, or of a newer version.
        ValueRangeError: The device does not exist.

    Example:
        >>> generator = load_model("caloflow-eplus")  # doctest: +SKIP
        >>> generator.sample([50_000.0, 20_000.0], seed=1).e_dep.shape  # doctest: +SKIP
        (2,)
    """
    check_device(device)
    model, header = load_checkpoint(find_weights(name_or_path), device=device)
    return ShowerGenerator(model, header)


@final
class ShowerGenerator:
    """A trained model with its calorimeter, energy range and provenance; draws showers."""

    def __init__(self, model: ShowerModel, header: CheckpointHeader) -> None:
        self.model, self.header = model, header
        self.geometry = model.geometry
        self.block = block_size(model.geometry)
        self._device = model.e_inc_range.device

    def __repr__(self) -> str:
        low, high = self.e_inc_range
        return (
            f"ShowerGenerator({self.header.family}, geometry={self.geometry.describe()}, "
            f"e_inc {low / GeV:.4g}..{high / GeV:.4g} GeV)"
        )

    @property
    def e_inc_range(self) -> tuple[float, float]:
        """Lowest and highest incident energy of the training showers, MeV."""
        low, high = self.model.e_inc_range.tolist()
        return low, high

    def sample(
        self,
        e_inc: Float[np.ndarray, " n"] | Sequence[float],
        *,
        seed: int,
        start: int = 0,
        allow_extrapolation: bool = False,
    ) -> Showers:
        """Draw one shower per incident energy.

        Args:
            e_inc: Incident energies, MeV, shape ``(n,)``.
            seed: With the shower's index it determines all randomness.
            start: Index of the first shower: ``sample(e[:10], seed=1)`` and
                ``sample(e[10:], seed=1, start=10)`` together equal ``sample(e, seed=1)``, bit for bit.
            allow_extrapolation: Accept energies outside the trained range.

        Returns:
            Showers in MeV, float32 voxels.

        Raises:
            EnergyRangeError: An energy lies more than 1 % outside the trained range.
            ValueRangeError: An energy is not finite and positive, or seed or start is negative,
                too large or no whole number.
            NonFiniteError: The model gave NaN or infinity.
        """
        energies = np.asarray(e_inc, dtype=np.float64)
        seed = check_whole("seed", seed, greatest=MAX_SEED)
        start = check_whole("start", start, greatest=MAX_SHOWERS)
        self.check_energies(GivenEnergies(energies), allow_extrapolation=allow_extrapolation)
        stop = start + len(energies)
        parts = [
            self._block(
                index, energies[max(0, index * self.block - start) :], seed=seed, start=start, stop=stop
            )
            for index in range(start // self.block, -(-stop // self.block) if len(energies) else 0)
        ]
        voxels = np.concatenate(parts) if parts else np.zeros((0, self.geometry.n_voxels), dtype=np.float32)
        return Showers(
            e_inc=energies, voxels=voxels, geometry=self.geometry, provenance=self.provenance(seed)
        )

    def check_energies(self, energies: EnergySource, *, allow_extrapolation: bool) -> None:
        """Raise :class:`EnergyRangeError` if energies lie outside the trained range by more than 1 %."""
        low, high = self.e_inc_range
        least, greatest = energies.bounds()
        outside = least < low * (1 - _TOLERANCE) or greatest > high * (1 + _TOLERANCE)
        if outside and not allow_extrapolation:
            raise EnergyRangeError(
                f"Incident energies {least / GeV:.6g} to {greatest / GeV:.6g} GeV are outside the trained range "
                f"{low / GeV:.4g} to {high / GeV:.4g} GeV. Outside it the model is a guess; to generate all the "
                "same, allow extrapolation (--allow-extrapolation, allow_extrapolation=True)."
            )

    def provenance(self, seed: int) -> dict[str, Any]:
        """What generated showers say about their origin."""
        known = self.header.provenance
        return {
            "generator": "caloforge",
            "family": self.header.family,
            "recipe": known.get("recipe"),
            "weights": known.get("weights_id"),
            "particle": known.get("particle"),
            "trained_on": known.get("data"),
            "seed": seed,
            "block": self.block,
        }

    def _block(
        self, index: int, energies: Float[np.ndarray, " m"], *, seed: int, start: int, stop: int
    ) -> Float[np.ndarray, "b V"]:
        """The showers of one block that lie in ``start`` to ``stop``; ``energies`` begins at the first of them."""
        first = max(start, index * self.block)
        wanted = slice(first - index * self.block, min(stop, (index + 1) * self.block) - index * self.block)
        padded = np.full(self.block, energies[0])
        padded[wanted] = energies[: wanted.stop - wanted.start]
        e_inc = torch.from_numpy(padded).to(self._device)
        noise = ShowerNoise(seed, index * self.block, self.block, device=self._device)
        with torch.inference_mode(), _one_thread():
            voxels = self.model.generate(e_inc, noise)[wanted]
        finite = torch.isfinite(voxels).all(dim=1)
        if not finite.all():
            bad = (first + torch.nonzero(~finite)[:, 0]).tolist()
            raise NonFiniteError(
                f"{len(bad)} of {len(finite)} showers are not finite, first indices {bad[:5]} (seed {seed}). The "
                "weights are probably damaged or the energies far outside the trained range."
            )
        return voxels.float().cpu().numpy()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
