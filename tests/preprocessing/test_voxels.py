import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from caloforge.errors import ConfigError
from caloforge.preprocessing import LogEnergies, LogitShares, VoxelStep, layer_sums, voxel_step
from support.checks import no_global_draws

SIZES = [6, 4, 1, 15]
THRESHOLD = 0.01
ENCODINGS = ("logit-share", "log-energy", "share")
kinds = pytest.mark.parametrize(
    ("encoding", "standardize"), list(itertools.product(ENCODINGS, [False, True]))
)


def make(encoding="logit-share", *, standardize=False, threshold=THRESHOLD) -> VoxelStep:
    return voxel_step(encoding, SIZES, threshold=threshold, standardize=standardize, alpha=1e-6).double()


def toys(n: int, seed: int = 0) -> torch.Tensor:
    """Voxels in MeV: empty ones, soft ones around the threshold, hard ones, and whole layers empty."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    voxels = 10 ** (6 * rand(n, sum(SIZES)) - 4) * (rand(n, sum(SIZES)) < 0.6)
    for part in voxels.split(SIZES, dim=1):
        part *= rand(n, 1) < 0.8
    return voxels


def sums(step: VoxelStep, voxels: torch.Tensor) -> torch.Tensor:
    return layer_sums(voxels, SIZES)


@kinds
@pytest.mark.parametrize("n", [0, 1, 200])
def test_voxels_above_the_threshold_come_back(encoding, standardize, n):
    step, voxels = make(encoding, standardize=standardize), toys(n)
    generator = torch.Generator().manual_seed(1)
    noisy = step.dequantize(voxels, generator)
    if n:
        step.fit(noisy, peak=voxels.amax(0))
    x = step.encode(noisy)
    assert x.shape == voxels.shape
    assert bool(x.isfinite().all())

    e_layer = step.e_layer(voxels, noisy)
    decoded = step.decode(x, e_layer)
    brightest = torch.stack([layer.amax(1) for layer in noisy.split(SIZES, dim=1)], dim=1)
    kept = torch.where((noisy < THRESHOLD) & (noisy < brightest[:, step.layer_of_voxel]), 0.0, noisy)
    scaled = kept * (e_layer / sums(step, kept).clamp_min(1e-30))[:, step.layer_of_voxel]
    expected = torch.where(scaled < THRESHOLD, 0.0, scaled)
    # A voxel within rounding of the threshold may fall on either side of it.
    sure = ~((noisy - THRESHOLD).abs() < 1e-9).any(1)
    torch.testing.assert_close(decoded[sure], expected[sure], rtol=1e-7, atol=1e-7)
    assert bool(sure.sum() >= 0.9 * n)


@kinds
@given(seed=st.integers(0, 10**6), width=st.floats(0.1, 8.0))
def test_any_features_decode_to_energies_that_close(encoding, standardize, seed, width):
    step = make(encoding, standardize=standardize)
    generator = torch.Generator().manual_seed(seed)
    x = width * torch.randn(20, sum(SIZES), generator=generator, dtype=torch.float64)
    e_layer = 10 ** (5 * torch.rand(20, len(SIZES), generator=generator, dtype=torch.float64))
    e_layer *= torch.rand(20, len(SIZES), generator=generator) < 0.7
    voxels = step.decode(x, e_layer)
    assert bool(((voxels == 0) | (voxels >= THRESHOLD * (1 - 1e-12))).all())
    closed = sums(step, voxels)
    # The brightest voxel always stays; only where all shares are zero (below the logit's margin) is none.
    least = {"log-energy": -math.inf, "logit-share": math.log(1e-6), "share": 0.0}[encoding]
    hit = sums(step, (x > least).double()) > 0
    torch.testing.assert_close(closed, torch.where(hit, e_layer, 0.0), rtol=1e-12, atol=0)
    assert bool((voxels[e_layer[:, step.layer_of_voxel] == 0] == 0).all())


def test_layers_below_the_threshold_are_empty():
    step = make()
    e_layer = torch.tensor([[0.5 * THRESHOLD, 1.0, 1.0, 0.0]], dtype=torch.float64)
    voxels = step.decode(torch.zeros(1, sum(SIZES), dtype=torch.float64), e_layer)
    assert sums(step, voxels).tolist() == [[0.0, pytest.approx(1.0), pytest.approx(1.0), 0.0]]


@kinds
def test_energy_closes_in_single_precision(encoding, standardize):
    step = make(encoding, standardize=standardize).float()
    x = 5 * torch.randn(200, sum(SIZES))
    e_layer = 10 ** (5 * torch.rand(200, len(SIZES), dtype=torch.float64))
    x[:, [0, 6, 10, 11]] = 1.0  # a hit in every layer
    voxels = step.decode(x, e_layer)
    assert voxels.dtype == torch.float32
    torch.testing.assert_close(sums(step, voxels.double()), e_layer, rtol=1e-6, atol=0)


def test_noise_below_the_threshold_leaves_the_rest_untouched():
    step, voxels = make("log-energy"), toys(2000)
    voxels[0, 0] = THRESHOLD
    noisy = step.dequantize(voxels, torch.Generator().manual_seed(1))
    above = voxels >= THRESHOLD
    assert torch.equal(noisy[above], voxels[above])
    filled = noisy[~above]
    assert bool((filled > 0).all())
    assert bool((filled < THRESHOLD).all())
    decades = (filled / THRESHOLD).log10()
    assert float(decades.mean()) == pytest.approx(-1, abs=5 * 0.25 / len(filled) ** 0.5)
    assert float(decades.std()) == pytest.approx(0.25, abs=5 * 0.25 / (2 * len(filled)) ** 0.5)


def test_uniform_noise_is_up_to_a_kilo_electronvolt_everywhere():
    step, voxels = make("logit-share"), toys(2000)
    added = step.dequantize(voxels, torch.Generator().manual_seed(1)) - voxels
    assert bool((added >= 0).all())
    assert bool((added <= 1.0001e-3).all())
    assert float(added.mean()) == pytest.approx(0.5e-3, abs=5 * 1e-3 / (12 * added.numel()) ** 0.5)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_noise_comes_from_the_generator_alone(encoding):
    step, voxels = make(encoding), toys(3)
    with no_global_draws():
        one = step.dequantize(voxels, torch.Generator().manual_seed(1))
        step.fit(one, peak=voxels.amax(0))
    assert torch.equal(one, step.dequantize(voxels, torch.Generator().manual_seed(1)))
    other = step.dequantize(voxels, torch.Generator().manual_seed(2))
    assert torch.equal(one, other) == (encoding == "share")  # which needs no noise


def test_standardised_features_have_unit_width():
    step, voxels = make("log-energy", standardize=True), toys(3000)
    step.fit(step.dequantize(voxels, torch.Generator().manual_seed(1)), peak=voxels.amax(0))
    x = step.encode(step.dequantize(voxels, torch.Generator().manual_seed(2)))
    assert float(x.mean(0).abs().max()) < 0.15
    assert float((x.std(0) - 1).abs().max()) < 0.15


def test_conditions_are_sums_with_noise_for_shares_and_without_for_energies():
    voxels = toys(5)
    for encoding, with_noise in (("logit-share", True), ("log-energy", False)):
        step = make(encoding)
        noisy = step.dequantize(voxels, torch.Generator().manual_seed(1))
        assert torch.equal(step.e_layer(voxels, noisy), sums(step, noisy if with_noise else voxels))


def test_features_by_hand():
    step = LogitShares([2, 1], threshold=0.01, standardize=False, alpha=0.05)
    x = step.encode(torch.tensor([[1.0, 3.0, 5.0]]))
    torch.testing.assert_close(x, torch.logit(torch.tensor([[0.275, 0.725, 0.95]])))
    step = LogEnergies([2, 1], threshold=0.01, standardize=False)
    x = step.encode(torch.tensor([[0.01, 1.0, 0.001]]))
    torch.testing.assert_close(x, torch.tensor([[1.0, 100.0, 0.1]]).log())
    decoded = step.decode(torch.tensor([[0.0, -0.1, 3.0]]), torch.tensor([[2.0, 7.0]]))
    torch.testing.assert_close(decoded, torch.tensor([[2.0, 0.0, 7.0]]))


@pytest.mark.parametrize("threshold", [0.0, -1.0])
def test_a_threshold_is_positive(threshold):
    with pytest.raises(ConfigError, match="positive"):
        make(threshold=threshold)


def test_logarithms_stop_at_the_peak_of_training_and_a_voxel_never_hit_stays_empty():
    step = LogEnergies([3, 1], threshold=0.01, standardize=False).double()
    peak = torch.tensor([4.0, 4.0, 0.0, 2.0], dtype=torch.float64)
    step.fit(torch.ones(2, 4, dtype=torch.float64), peak=peak)
    x = torch.full((1, 4), 50.0, dtype=torch.float64)
    x[0, 0] = torch.tensor(100.0).log()  # 1 MeV, beside 4 MeV at most
    decoded = step.decode(x, torch.tensor([[5.0, 9.0]], dtype=torch.float64))
    torch.testing.assert_close(decoded, torch.tensor([[1.0, 4.0, 0.0, 9.0]], dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_threshold_is_where_it_is(dtype):
    """One voxel at the threshold, and one as little below it as can be."""
    step = voxel_step("share", [3], threshold=THRESHOLD, standardize=False, alpha=0.1).to(dtype)
    at = torch.tensor(THRESHOLD, dtype=dtype)
    below = torch.nextafter(at, torch.zeros_like(at))
    assert step._above_threshold(torch.stack([at, below, 2 * at])[None]).tolist() == [[at, 0.0, 2 * at]]
    # A layer all of whose voxels are soft keeps its brightest.
    soft = torch.tensor([[1e-3, 2e-3, 1e-4], [1e-3, 2e-3, 0.5]], dtype=dtype)
    expected = torch.tensor([[0.0, 2e-3, 0.0], [0.0, 0.0, 0.5]], dtype=dtype)
    assert step._without_soft(soft).equal(expected)


def test_values_of_layers_for_their_voxels():
    for sizes in ([2, 3], [1] * 20):
        step = voxel_step("share", sizes, threshold=THRESHOLD, standardize=False, alpha=0.1)
        values = torch.randn(4, len(sizes))
        assert step.of_voxels(values).equal(values[:, step.layer_of_voxel])
