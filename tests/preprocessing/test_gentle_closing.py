"""The closing of blockwise: energies exactly, moments as far as it goes, soft hits as they are."""

import pytest
import torch

from caloforge.preprocessing.gentle_closing import GentleClosing
from support.toys import cartesian, geometry_of

TOY = geometry_of(cartesian(6, 6), cartesian(1, 4))
THRESHOLD = 0.01


def drawn(n, seed=1, rate=0.7):
    generator = torch.Generator().manual_seed(seed)
    surplus = torch.rand(TOY.n_voxels, n, generator=generator) - (1 - rate)
    energies = torch.randn(TOY.n_voxels, n, generator=generator).mul(2).add(3).exp() + 1
    return energies * (surplus > 0), surplus


@pytest.fixture
def closing():
    closing = GentleClosing(TOY, threshold=THRESHOLD)
    closing.fit(drawn(200, seed=5)[0].T)
    return closing


def sums(voxels):
    return torch.stack([voxels[where].sum(0) for where in TOY.layer_slices])


def test_soft_is_twice_the_typical_hit(closing):
    voxels = drawn(200, seed=5)[0]
    for k, where in enumerate(TOY.layer_slices):
        hits = voxels[where][voxels[where] > 0]
        assert float(closing.soft[k]) == pytest.approx(2 * float(hits.log().mean().exp()), rel=1e-4)


def test_energies_close_and_hits_stay(closing):
    voxels, surplus = drawn(300)
    e_layer = sums(voxels) * torch.empty(2, 300).uniform_(
        0.95, 1.05, generator=torch.Generator().manual_seed(2)
    )
    e_layer = e_layer.clamp_min(50.0)
    closed = closing(voxels, surplus, e_layer, closing.moments.encode((voxels * THRESHOLD).T).T)
    torch.testing.assert_close(sums(closed), e_layer * THRESHOLD, rtol=1e-5, atol=0)
    some = sums(voxels) > 0
    for where, has in zip(TOY.layer_slices, some, strict=True):
        assert torch.equal((closed[where] > 0)[:, has], (voxels[where] > 0)[:, has])
    assert bool((closed[closed > 0] >= THRESHOLD * (1 - 1e-6)).all())


def test_moments_a_little_off_are_met(closing):
    voxels, surplus = drawn(300, rate=1.0)
    near = voxels * (1 + 0.1 * torch.rand(voxels.shape, generator=torch.Generator().manual_seed(3)))
    moments = closing.moments.encode(near.T).T
    closed = closing(voxels, surplus, sums(near), moments)
    before = (closing.moments.encode(voxels.T).T - moments).abs()
    after = (closing.moments.encode(closed.T).T - moments).abs()
    assert float(after[:4].mean()) < 0.1 * float(before[:4].mean())


def test_soft_hits_hardly_change(closing):
    voxels, surplus = drawn(300)
    voxels[0] = 1.5  # of thresholds; typical are 20
    voxels[1] = 2e4
    e_layer = 1.1 * sums(voxels)
    closed = closing(voxels, surplus, e_layer, closing.moments.encode(voxels.T).T) / THRESHOLD
    assert float((closed[0] / voxels[0] - 1).abs().max()) < 0.03
    assert float((closed[1] / voxels[1] - 1).mean()) > 0.05


def test_no_layer_is_bent_far(closing):
    """A layer whose hits lie in the wrong places keeps them."""
    voxels, surplus = drawn(300)
    moments = closing.moments.encode(voxels.T).T.flip(1) * 3
    e_layer = sums(voxels).clamp_min(100.0)
    closed = closing(voxels, surplus, e_layer, moments) / THRESHOLD
    scaled = closing.closing(voxels, surplus, e_layer, None) / THRESHOLD
    hit = (voxels > 10) & (closed > 1)
    ratio = (closed / scaled.clamp_min(1e-9))[hit].log()
    assert float((ratio - ratio.median()).abs().max()) < 1.0
    assert bool(closed.isfinite().all())


@pytest.mark.parametrize("n_hits", [0, 1])
def test_layers_with_hardly_a_hit(closing, n_hits):
    voxels = torch.zeros(TOY.n_voxels, 5)
    surplus = torch.rand(TOY.n_voxels, 5, generator=torch.Generator().manual_seed(1))
    voxels[[0, 36], :] = float(7 * n_hits)
    e_layer = torch.full((2, 5), 100.0)
    closed = closing(voxels, surplus, e_layer, torch.full((closing.moments.n_moments, 5), 2.0))
    torch.testing.assert_close(sums(closed), e_layer * THRESHOLD)
    assert bool(((closed > 0).sum(0) == 2).all())
