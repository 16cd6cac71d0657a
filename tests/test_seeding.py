import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from caloforge.errors import ValueRangeError
from caloforge.noise import ShowerNoise
from caloforge.seeding import derive_seed, digest, shower_bits, shower_uniform

WIDTHS = [1, 8, 9, 504]
KINDS = ("uniform", "normal")


@given(
    seed=st.integers(0, 2**64 - 1),
    start=st.integers(0, 2**40),
    count=st.integers(0, 20),
    skip=st.integers(0, 20),
    width=st.sampled_from(WIDTHS),
    kind=st.sampled_from(KINDS),
)
def test_numbers_of_a_shower_do_not_depend_on_its_batch(seed, start, count, skip, width, kind):
    whole = getattr(ShowerNoise(seed, start, skip + count), kind)(width)
    part = getattr(ShowerNoise(seed, start + skip, count), kind)(width)
    assert part.shape == (count, width)
    assert torch.equal(whole[skip:], part)


def test_every_call_has_its_own_stream():
    """What was drawn before decides nothing but which stream comes next."""
    first, second = ShowerNoise(1, 0, 3), ShowerNoise(1, 0, 3)
    first.uniform(504), second.normal(1)
    assert torch.equal(first.normal(9), second.normal(9))


@pytest.mark.parametrize("width", WIDTHS)
def test_streams_seeds_and_showers_are_independent(width):
    n = 60_000 // width
    noise = ShowerNoise(3, 0, n, dtype=torch.float64)
    base = noise.normal(width)
    others = {
        "next draw": noise.normal(width),
        "next seed": ShowerNoise(4, 0, n, dtype=torch.float64).normal(width),
        "next shower": torch.roll(base, 1, 0),
        "far seed": ShowerNoise(2**63 + 3, 0, n, dtype=torch.float64).normal(width),
    }
    if width > 1:
        others["next number"] = torch.roll(base, 1, 1)
    for name, other in others.items():
        correlation = float((base * other).mean())
        assert abs(correlation) < 5 / math.sqrt(base.numel()), name


def largest_gap(cumulative: torch.Tensor) -> float:
    """Kolmogorov-Smirnov distance of what should be uniform in (0, 1)."""
    values = cumulative.flatten().double().sort().values
    n = len(values)
    steps = torch.arange(n + 1, dtype=torch.float64) / n
    return float(torch.maximum(steps[1:] - values, values - steps[:-1]).max())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_distributions(width, dtype):
    n = 100_000 // width
    noise = ShowerNoise(5, 17, n, dtype=dtype)
    uniform, normal = noise.uniform(width), noise.normal(width)
    assert uniform.dtype == normal.dtype == dtype
    assert bool(normal.isfinite().all())
    # A distance of 2.6 / sqrt(n) is 5 sigma.
    assert largest_gap(uniform) < 2.6 / math.sqrt(n * width)
    assert largest_gap(torch.special.ndtr(normal.double())) < 2.6 / math.sqrt(n * width)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bits", [0, 2**32 - 1])
def test_the_interval_is_open_and_the_tails_are_finite(bits, dtype, monkeypatch):
    def extreme(*args):
        return np.full((1, args[-1]), bits, dtype=np.uint32)

    monkeypatch.setattr("caloforge.noise.shower_bits", extreme)
    monkeypatch.setattr("caloforge.seeding.shower_bits", extreme)
    noise = ShowerNoise(0, 0, 1, dtype=dtype)
    assert 0 < noise.uniform(1).item() < 1
    assert 6 < abs(noise.normal(1).item()) < 6.5
    assert 0 < shower_uniform(0, 0, 1, 1).item() < 1


def test_all_32_bits_are_used():
    bits = shower_bits(0, 0, 0, 1000, 9)
    assert bits.dtype == np.uint32
    share = np.unpackbits(bits.view(np.uint8)).reshape(-1, 8).mean(0)
    np.testing.assert_allclose(share, 0.5, atol=5 * 0.5 / math.sqrt(bits.size * 4))
    assert bits.max() > 2**32 - 2**22


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seeds_out_of_range_are_refused(seed):
    with pytest.raises(ValueRangeError, match="seed"):
        ShowerNoise(seed, 0, 1)


@pytest.mark.parametrize(("start", "count"), [(-1, 1), (0, -1)])
def test_negative_showers_are_refused(start, count):
    with pytest.raises(ValueRangeError, match="start at 0"):
        ShowerNoise(0, start, count)


def test_large_seeds_are_not_rounded():
    """As float64, 2^64 - 1 would be 2^64 (that is 0), and 2^63 + 1 would be 2^63."""
    seeds = [0, 2**63, 2**63 + 1, 2**64 - 1]
    draws = {ShowerNoise(seed, 0, 1).uniform(1).item() for seed in seeds}
    assert len(draws) == len(seeds)


def test_the_stream_is_frozen():
    """Samples published with a seed must come out again: a change here is a change of results."""
    noise = ShowerNoise(7, 1000, 2, dtype=torch.float64)
    close = {"rtol": 0, "atol": 1e-7}
    expected = torch.tensor(
        [[0.4677681922, 0.2319057435, 0.4111932814], [0.4956951141, 0.0570901930, 0.6933046579]],
        dtype=torch.float64,
    )
    torch.testing.assert_close(noise.uniform(3), expected, **close)
    expected = torch.tensor(
        [[0.4112313390, -0.9692436363], [-1.7683389187, -2.3767327570]], dtype=torch.float64
    )
    torch.testing.assert_close(noise.normal(9)[:, [0, 8]], expected, **close)
    last = ShowerNoise(2**64 - 1, 5, 1, dtype=torch.float64).uniform(2)
    torch.testing.assert_close(
        last, torch.tensor([[0.6782270066, 0.4629253565]], dtype=torch.float64), **close
    )
    uniform = shower_uniform(7, 1000, 2, 3)
    assert uniform.dtype == np.float64
    np.testing.assert_array_equal(uniform, ShowerNoise(7, 1000, 2).uniform(3).double().numpy())
    assert derive_seed(1, "shape", 3) == 4016839464801163982
    assert derive_seed(0) == 2033344993903900207
    assert digest(b"caloforge") == "9ab73377accd8bc1"


@given(seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 10**6))
def test_derived_seeds_are_seeds_of_torch_and_of_ours(seed, epoch):
    derived = derive_seed(seed, "stage", epoch)
    assert 0 <= derived < 2**63
    assert derived != derive_seed(seed, "stage", epoch + 1)
    assert derived != derive_seed(seed, "other", epoch)
    torch.Generator().manual_seed(derived)
    ShowerNoise(derived, 0, 0)
