"""Work of a model and the speed of the machine: how far from the physical limit a figure is."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import torch
from torch.utils.flop_counter import FlopCounterMode

from caloforge.noise import ShowerNoise

if TYPE_CHECKING:
    from caloforge.models import ShowerModel

__all__ = ["count_flops", "generate_flops", "matmul_peak"]

_COUNTED: Final = 64  # showers of the call that is counted; the work is proportional to their number
_SIZES: Final = {"cpu": (512, 1024, 2048), "cuda": (4096, 8192)}
_ROUNDS: Final = 5


def count_flops(call: Callable[[], object]) -> int:
    """Floating-point operations of a call's matrix products (a product and a sum are two).

    Element-wise work, such as splines and exponentials, is not counted.
    """
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def generate_flops(model: "ShowerModel", e_inc: float) -> float:
    """Operations per shower of one ``generate`` of a model, at an incident energy in MeV.

    Products with masked weights count if they are computed: it is what the model does, not what it would need.
    """
    device = model.e_inc_range.device
    energies = torch.full((_COUNTED,), e_inc, dtype=torch.float64, device=device)
    noise = ShowerNoise(1, 0, _COUNTED, device=device)
    return count_flops(lambda: model.generate(energies, noise)) / _COUNTED


def matmul_peak(*, device: str, dtype: torch.dtype, threads: int) -> tuple[float, int]:
    """Fastest square matrix product of this machine, in GFLOP/s, and its size.

    Args:
        device: Where.
        dtype: Of the matrices.
        threads: Of the product, on a CPU; the setting is put back.
    """
    kind = torch.device(device).type
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    best = (0.0, 0)
    try:
        for size in _SIZES.get(kind, _SIZES["cpu"]):
            a = torch.rand(size, size, device=device).to(dtype)
            out = torch.empty_like(a)
            torch.mm(a, a, out=out)
            for _ in range(_ROUNDS):
                _wait(kind, device)
                begin = time.perf_counter()
                torch.mm(a, a, out=out)
                _wait(kind, device)
                best = max(best, (2 * size**3 / (time.perf_counter() - begin) / 1e9, size))
    finally:
        torch.set_num_threads(before)
    return best


def _wait(kind: str, device: str) -> None:
    if kind == "cuda":
        torch.cuda.synchronize(device)
