"""How close two ways to the same number must be, by precision."""

import torch

__all__ = ["TOLERANCES"]

TOLERANCES = {
    torch.float32: {"rtol": 1e-4, "atol": 2e-4},
    torch.float64: {"rtol": 1e-9, "atol": 1e-9},
}
