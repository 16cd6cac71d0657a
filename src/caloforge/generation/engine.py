"""One engine for every model: showers from incident energies, in fixed blocks aligned to the shower index.

Shower i depends on (seed, i, its incident energy) and nothing else. Its random numbers do by construction
(:class:`~caloforge.noise.ShowerNoise`). Its arithmetic does because a matrix product rounds differently
for other shapes and thread counts: every block has the same shape, is padded where a request does not fill
it, and runs on one thread. Speed comes from different blocks on different threads or workers, not from threads
within one. Whoever needs few showers and no equal bits may ask for just these (``padded=False``).
"""

import contextlib
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, final, get_args

import numpy as np
import torch
from jaxtyping import Float

from caloforge.devices import check_device, is_out_of_memory
from caloforge.energies import EnergySource, GivenEnergies
from caloforge.errors import CaloForgeWarning, EnergyRangeError, NonFiniteError, UnknownNameError
from caloforge.io.physics import Physics
from caloforge.models import ShowerModel, family_class
from caloforge.models.checkpoint import CheckpointHeader, load_checkpoint
from caloforge.models.zoo import find_weights
from caloforge.noise import ShowerNoise
from caloforge.seeding import MAX_SEED, MAX_SHOWERS, check_whole
from caloforge.showers import Showers
from caloforge.units import GeV

__all__ = ["Precision", "ShowerGenerator", "load_model", "block_size"]

Precision = Literal["float32", "bfloat16"]

_BLOCK_VALUES = 2**22
_GPU_FACTOR = 16  # a GPU has work for as many times larger blocks
_MAX_THREADS = 1024
_TOLERANCE = 0.01  # a flat spectrum's extreme draws stay inside its limits; one per cent gives them back


def block_size(header: CheckpointHeader, *, device: torch.device | str = "cpu") -> int:
    """Showers per block: what the family asks for, fewer (a power of two) where a block were too large.

    A block has at most 4 million voxels on a CPU; on a GPU both limits are 16 times higher.
    """
    factor = 1 if torch.device(device).type == "cpu" else _GPU_FACTOR
    block = factor * family_class(header.family).max_block
    while block > 1 and block * header.geometry.n_voxels > factor * _BLOCK_VALUES:
        block //= 2
    return block


def load_model(
    name_or_path: str | Path,
    *,
    device: torch.device | str = "cpu",
    precision: Precision = "float32",
    compiled: bool = False,
) -> "ShowerGenerator":
    """A trained model, ready to generate.

    Args:
        name_or_path: Shipped weights (``caloforge models`` lists them), a weights file, or the folder of
            a training run.
        device: ``"cpu"``, ``"cuda"`` ...
        precision: ``"bfloat16"`` lets large matrix products run in bfloat16, where the family can: several times
            faster on processors with instructions for it, slower on others. Weights that were trained in float64
            generate in float64 all the same if this is ``"float32"``.
        compiled: Compile generation for single showers, and whole blocks where it helps the family, which takes
            minutes the first time and seconds once it is in the cache on disk. It needs a C++ compiler;
            without one there is a warning and nothing is compiled.

    Raises:
        UnknownNameError: Nothing has this name.
        CheckpointError: The file is damaged, foreign, or of a newer version.
        ValueRangeError: The device does not exist.
        ConfigError: The family has no such precision.

    Example:
        >>> generator = load_model("caloflow-eplus")  # doctest: +SKIP
        >>> generator.sample([50_000.0, 20_000.0], seed=1).e_dep.shape  # doctest: +SKIP
        (2,)
    """
    check_device(device)
    model, header = load_checkpoint(find_weights(name_or_path), device=device)
    generator = ShowerGenerator(model, header, precision=precision)
    if compiled:
        generator.compile()
    return generator


@final
class ShowerGenerator:
    """A trained model with its calorimeter, energy range and provenance; draws showers."""

    def __init__(
        self, model: ShowerModel, header: CheckpointHeader, *, precision: Precision = "float32"
    ) -> None:
        if precision not in get_args(Precision):
            raise UnknownNameError("precision", str(precision), get_args(Precision))
        self.model, self.header, self.precision = model, header, precision
        if precision == "bfloat16":
            model.set_products(torch.bfloat16)
        self.geometry = model.geometry
        self._device = model.e_inc_range.device
        self.block = block_size(header, device=self._device)
        self.compiled = False

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
        threads: int = 1,
        padded: bool = True,
    ) -> Showers:
        """Draw one shower per incident energy.

        A request of any size costs whole blocks of showers, since only these have reproducible bits. For single
        showers, as a simulation asks for them, ``padded=False`` computes those alone.

        Args:
            e_inc: Incident energies, MeV, shape ``(n,)``.
            seed: With the shower's index it determines all randomness.
            start: Index of the first shower: ``sample(e[:10], seed=1)`` and
                ``sample(e[10:], seed=1, start=10)`` together equal ``sample(e, seed=1)``, bit for bit.
            allow_extrapolation: Accept energies outside the trained range.
            threads: Blocks that are computed at the same time; does not change the showers.
            padded: Compute whole blocks. Without, a shower equals the one of a whole block up to rounding (of a
                voxel next to a threshold: up to the voxel), not bit by bit.

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
        check_whole("threads", threads, least=1, greatest=_MAX_THREADS)
        stop = start + len(energies)

        def block(index: int) -> np.ndarray:  # a shape here would be put together anew for every request
            first = max(start, index * self.block)
            last = min(stop, (index + 1) * self.block)
            return self._block(first, energies[first - start : last - start], seed=seed, padded=padded)

        indices = range(start // self.block, -(-stop // self.block) if len(energies) else 0)
        if threads == 1 or len(indices) < 2:
            parts = [block(index) for index in indices]
        else:
            with ThreadPoolExecutor(threads) as pool:
                parts = list(pool.map(block, indices))
        voxels = np.concatenate(parts) if parts else np.zeros((0, self.geometry.n_voxels), dtype=np.float32)
        return Showers(
            e_inc=energies, voxels=voxels, geometry=self.geometry, provenance=self.provenance(seed)
        )

    def compile(self) -> None:
        """Compile generation for single showers, and blocks where it helps; as ``compiled`` of :func:`load_model`.

        Compiled code rounds differently, so showers are reproducible bit by bit among themselves, and equal to
        those of plain generation up to rounding.
        """
        sizes = sorted({1, self.block})
        _keep_compiled_code()
        middle = sum(self.e_inc_range) / 2

        def generate(size: int) -> None:
            with torch.inference_mode(), _one_thread():
                e_inc = torch.full((size,), middle, dtype=torch.float64, device=self._device)
                self.model.generate(e_inc, ShowerNoise(0, 0, size, device=self._device))

        generate(1)  # prepares once what is no part of the compiled code
        self.model.compile_for(sizes)
        try:
            for size in sizes:
                generate(size)
        except Exception as err:  # noqa: BLE001 - what compilers raise is theirs
            self.model.compile_for(())
            reason = " ".join(str(err).split())[:160] or type(err).__name__
            warnings.warn(
                f"Generation could not be compiled and runs uncompiled ({reason}). Compiling needs a C++ compiler and "
                "the headers of Python.",
                CaloForgeWarning,
                stacklevel=2,
            )
        else:
            self.compiled = True

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
            "physics": Physics.of(known).table(),
            "seed": seed,
            "block": self.block,
            "precision": self.precision,
            "compiled": self.compiled,
        }

    def _block(
        self, first: int, energies: Float[np.ndarray, " m"], *, seed: int, padded: bool
    ) -> Float[np.ndarray, "m V"]:
        """Showers ``first`` and following, all of one block."""
        begin = first - first % self.block if padded else first
        wanted = slice(first - begin, first - begin + len(energies))
        e_inc = np.full(self.block if padded else len(energies), energies[0])
        e_inc[wanted] = energies
        with torch.inference_mode(), _one_thread():
            voxels = self._generate(torch.from_numpy(e_inc).to(self._device), seed=seed, start=begin)[wanted]
            finite = torch.isfinite(voxels.sum(dim=1))  # voxels are not negative: no sum hides an infinity
        if not finite.all():
            bad = (first + torch.nonzero(~finite)[:, 0]).tolist()
            raise NonFiniteError(
                f"{len(bad)} of {len(finite)} showers are not finite, first indices {bad[:5]} (seed {seed}). The "
                "weights are probably damaged or the energies far outside the trained range."
            )
        return voxels.float().cpu().numpy()

    def _generate(self, e_inc: torch.Tensor, *, seed: int, start: int) -> torch.Tensor:
        """The model's showers; where memory does not suffice, in halves."""
        try:
            return self.model.generate(e_inc, ShowerNoise(seed, start, len(e_inc), device=self._device))
        except (MemoryError, RuntimeError) as err:
            if len(e_inc) == 1 or not is_out_of_memory(err):
                raise
        half = len(e_inc) // 2
        warnings.warn(
            f"Not enough memory for {len(e_inc)} showers at a time; going on with {half}. They are the same up to "
            "rounding.",
            CaloForgeWarning,
            stacklevel=4,
        )
        parts = (e_inc[:half], start), (e_inc[half:], start + half)
        return torch.cat([self._generate(energies, seed=seed, start=at) for energies, at in parts])


def _keep_compiled_code() -> None:
    """Keep what is compiled in the user's cache, where it survives a restart, unless told otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(base) / "caloforge" / "compiled"))


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
