"""The last step of generating: energies to the last digit, no voxel below the threshold, hits that stay hits."""

import pytest
import torch

from caloforge.preprocessing import Closing
from support.toys import cartesian, geometry_of

TOY = geometry_of(cartesian(4, 4), cartesian(1, 3))
THRESHOLD = 0.01


def layers(voxels):
    return torch.stack([voxels[:16].sum(0), voxels[16:].sum(0)])


@pytest.fixture
def closing():
    return Closing(TOY, threshold=THRESHOLD)


def drawn(n, seed=1, rate=0.6):
    generator = torch.Generator().manual_seed(seed)
    surplus = torch.rand(TOY.n_voxels, n, generator=generator) - (1 - rate)
    energies = torch.randn(TOY.n_voxels, n, generator=generator).mul(2).exp() + 1
    return energies * (surplus > 0), surplus


def test_energies_close_and_hits_stay(closing):
    voxels, surplus = drawn(300)
    hits = voxels > 0
    e_layer = torch.rand(2, 300, generator=torch.Generator().manual_seed(2)) * 1e4 + 16
    closed = closing(voxels, surplus, e_layer, None)
    torch.testing.assert_close(layers(closed), e_layer * THRESHOLD, rtol=1e-5, atol=0)
    assert bool((closed[closed > 0] >= THRESHOLD * (1 - 1e-6)).all())
    some = torch.stack([hits[:16].any(0), hits[16:].any(0)])
    for where, has in zip(TOY.layer_slices, some, strict=True):
        assert torch.equal((closed[where] > 0)[:, has], hits[where][:, has])
        assert bool(((closed[where] > 0).sum(0)[~has] == 1).all())


def test_nothing_piles_up_at_the_threshold(closing):
    """Moments move what lies above the threshold, so that no hit ends just on it."""
    voxels, surplus = drawn(300)
    other, _ = drawn(300, seed=5)
    moments = closing.moments.encode(other.T).T
    closed = closing(voxels, surplus, torch.full((2, 300), 500.0), moments)
    torch.testing.assert_close(layers(closed), torch.full((2, 300), 500.0 * THRESHOLD), rtol=1e-5, atol=0)
    hits = voxels > 0
    assert not bool((closed[hits] <= THRESHOLD * (1 + 1e-7)).any())


def test_the_order_of_voxels_stays(closing):
    voxels, surplus = drawn(50)
    closed = closing(voxels.clone(), surplus, torch.full((2, 50), 200.0), None)
    for where in TOY.layer_slices:
        before, after = voxels[where], closed[where]
        brighter = before[:, None] > before[None]
        assert bool((after[:, None] >= after[None])[brighter].all())


def test_a_poor_layer_loses_its_softest_hits(closing):
    """Ten hits cannot share three thresholds."""
    voxels = torch.zeros(TOY.n_voxels, 1)
    voxels[:10, 0] = torch.arange(1.0, 11.0)
    voxels[16] = 1.0
    closed = closing(voxels, voxels - 0.5, torch.tensor([[3.0], [1.0]]), None)
    torch.testing.assert_close(layers(closed), torch.tensor([[3.0], [1.0]]) * THRESHOLD)
    found = closed[:16, 0] > 0
    assert 1 <= int(found.sum()) <= 3
    assert bool(found[9])
    assert bool((closed[closed > 0] >= THRESHOLD * (1 - 1e-6)).all())


def test_a_layer_below_the_threshold_is_empty(closing):
    voxels, surplus = drawn(20)
    e_layer = torch.stack([torch.full((20,), 0.99), torch.zeros(20)])
    assert float(closing(voxels, surplus, e_layer, None).abs().max()) == 0.0


def test_hits_that_are_all_as_soft_as_can_be(closing):
    """As many thresholds as hits: nothing is above it that could be scaled."""
    voxels = torch.zeros(TOY.n_voxels, 1)
    voxels[:4] = voxels[16] = 2.0
    closed = closing(voxels, voxels - 0.5, torch.tensor([[4.0], [1.0]]), None)
    torch.testing.assert_close(closed[:4, 0], torch.full((4,), THRESHOLD))
    torch.testing.assert_close(closed[16, 0], torch.tensor(THRESHOLD))


def test_no_showers(closing):
    empty = torch.zeros(TOY.n_voxels, 0)
    assert (
        closing(empty, empty, torch.zeros(2, 0), torch.zeros(closing.moments.n_moments, 0)).shape
        == empty.shape
    )
