"""What every trained family must do."""

import torch

from caloforge.models import ShowerModel
from caloforge.noise import ShowerNoise
from caloforge.showers import Showers

__all__ = ["check_products_in_bfloat16", "check_training_lowers_the_loss"]


def check_training_lowers_the_loss(model: ShowerModel, showers: Showers) -> None:
    """Of every stage, within thirty steps, with gradients for all parameters."""
    for stage in model.stages.values():
        optimizer = torch.optim.Adam(stage.parameters(), lr=1e-2)
        losses = []
        for k in range(30):
            batch = stage.draw(stage.rows(showers), torch.Generator().manual_seed(k))
            loss = stage(batch).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < losses[0] - 0.5
        assert all(p.grad is not None for p in stage.parameters())


def check_products_in_bfloat16(model: ShowerModel, *, share: float) -> None:
    """Showers are others, have the same energies, and differ on average by less than a share of a voxel's mean."""
    e_inc = torch.full((500,), 5e4, dtype=torch.float64)
    with torch.inference_mode():
        exact = model.generate(e_inc, ShowerNoise(1, 0, 500))
        model.set_products(torch.bfloat16)
        rough = model.generate(e_inc, ShowerNoise(1, 0, 500))
    assert not torch.equal(exact, rough)
    torch.testing.assert_close(exact.sum(1), rough.sum(1), rtol=1e-5, atol=0)
    assert float((exact - rough).abs().mean()) < share * float(exact.mean())
