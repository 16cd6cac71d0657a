"""Shower i depends on the seed, i and its energy alone; what cannot be generated is refused with numbers."""

import re

import numpy as np
import pytest
import torch

from caloforge.errors import (
    CaloForgeWarning,
    ConfigError,
    EnergyRangeError,
    NonFiniteError,
    ShapeError,
    UnknownNameError,
    ValueRangeError,
)
from caloforge.generation import block_size, load_model
from caloforge.geometry import get_geometry
from caloforge.models.checkpoint import CheckpointHeader
from support.toys import cartesian, geometry_of


@pytest.fixture(scope="module")
def e_inc():
    return np.random.default_rng(3).uniform(2e3, 9e4, 2500)  # three blocks, the last not full


@pytest.fixture(scope="module")
def whole(run, e_inc):
    return load_model(run).sample(e_inc, seed=5)


@pytest.mark.parametrize("k", [1, 7, 1023, 1024, 1025, 2048, 2499])
def test_any_split_of_a_request(generator, e_inc, whole, k):
    first = generator.sample(e_inc[:k], seed=5)
    second = generator.sample(e_inc[k:], seed=5, start=k)
    np.testing.assert_array_equal(np.concatenate([first.voxels, second.voxels]), whole.voxels)


def test_one_by_one(generator, e_inc, whole):
    for index in (0, 1, 500, 1023, 1024, 2400):
        alone = generator.sample(e_inc[index : index + 1], seed=5, start=index)
        np.testing.assert_array_equal(alone.voxels[0], whole.voxels[index])


@pytest.mark.parametrize("n_threads", [1, 2])
def test_any_number_of_threads_which_is_left_as_it_was(generator, e_inc, whole, n_threads):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(n_threads)
        showers = generator.sample(e_inc, seed=5)
        assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(showers.voxels, whole.voxels)


def test_threads_are_left_as_they_were_after_an_error(run):
    generator, before = load_model(run), torch.get_num_threads()
    with torch.inference_mode():
        next(generator.model.parameters()).fill_(torch.nan)
    try:
        torch.set_num_threads(2)
        with pytest.raises(NonFiniteError):
            generator.sample([5e4], seed=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_what_a_shower_depends_on(generator, e_inc, whole):
    other_seed = generator.sample(e_inc[:50], seed=6).voxels
    moved = generator.sample(e_inc[:50], seed=5, start=1).voxels
    energies = e_inc[:50].copy()
    energies[7] *= 1.5
    neighbour = generator.sample(energies, seed=5).voxels
    assert not (other_seed == whole.voxels[:50]).all(axis=1).any()
    assert not (moved == whole.voxels[:50]).all(axis=1).any()
    changed = (neighbour != whole.voxels[:50]).any(axis=1)
    assert np.flatnonzero(changed).tolist() == [7]


def test_showers_say_where_they_come_from(generator, whole):
    assert whole.provenance["seed"] == 5
    assert whole.provenance["recipe"] == "tiny"
    assert whole.provenance["weights"] == generator.header.provenance["weights_id"]
    assert whole.voxels.dtype == np.float32
    assert (whole.voxels >= 0).all()
    assert "e_inc 1." in repr(generator)


def test_nothing_asked_for_nothing_given(generator):
    showers = generator.sample([], seed=1)
    assert showers.voxels.shape == (0, 6)


def test_extrapolation(generator):
    low, high = generator.e_inc_range
    for bad in (0.98 * low, 1.02 * high):
        message = f"{bad / 1e3:.6g} to {bad / 1e3:.6g} GeV are outside the trained range {low / 1e3:.4g} to"
        with pytest.raises(EnergyRangeError, match=re.escape(message)):
            generator.sample([bad], seed=1)
        assert generator.sample([bad], seed=1, allow_extrapolation=True).e_inc == [bad]
    assert len(generator.sample([0.995 * low, 1.005 * high], seed=1)) == 2


def test_bad_requests(generator):
    with pytest.raises(ShapeError, match="e_inc has shape"):
        generator.sample(np.full((2, 1), 5e4), seed=1)
    with pytest.raises(ValueRangeError, match="not finite and positive, first at index 1: nan MeV"):
        generator.sample([5e4, np.nan], seed=1)
    with pytest.raises(ValueRangeError, match="start must lie in 0"):
        generator.sample([5e4], seed=1, start=-1)
    for seed in (-1, 2**64):
        with pytest.raises(ValueRangeError, match="seed"):
            generator.sample([5e4], seed=seed)


@pytest.mark.parametrize("stage", ["energies", "shape"])
def test_spoilt_weights(run, stage):
    generator = load_model(run)
    with torch.inference_mode():
        list(generator.model.stages[stage].parameters())[-1].fill_(torch.nan)
    with pytest.raises(
        NonFiniteError, match=r"3 of 3 showers are not finite, first indices \[9, 10, 11\] \(seed 4\)"
    ):
        generator.sample([5e4] * 3, seed=4, start=9)


@pytest.mark.parametrize("device", ["tpu9", "meta", "cuda:99", ""])
def test_devices_that_are_not_there(run, device):
    with pytest.raises(ValueRangeError, match=f"Device '{device}' cannot be used"):
        load_model(run, device=device)


def header(geometry, family="caloflow"):
    return CheckpointHeader(family=family, settings={}, geometry=geometry)


def test_block_size():
    assert block_size(header(get_geometry("calogan"))) == 1024
    assert block_size(header(get_geometry("calogan"), "groupwise")) == 512
    assert block_size(header(get_geometry("calogan")), device="cuda") == 16 * 1024
    assert block_size(header(geometry_of(cartesian(100, 100)))) == 256
    assert block_size(header(geometry_of(cartesian(3000, 3000)))) == 1


def test_several_blocks_at_a_time(generator, e_inc, whole):
    before = torch.get_num_threads()
    showers = generator.sample(e_inc, seed=5, threads=3)
    np.testing.assert_array_equal(showers.voxels, whole.voxels)
    assert torch.get_num_threads() == before


def test_just_the_showers_asked_for(generator, e_inc, whole):
    """Without padding the model sees no more showers than asked for, and they are the same up to rounding."""
    seen = []
    generate = generator.model.generate
    generator.model.generate = lambda e, noise: seen.append(len(e)) or generate(e, noise)
    single = generator.sample(e_inc[1030:1031], seed=5, start=1030, padded=False)
    few = generator.sample(e_inc[1000:1100], seed=5, start=1000, padded=False)
    assert seen == [1, 24, 76]
    np.testing.assert_allclose(single.voxels, whole.voxels[1030:1031], rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(few.voxels, whole.voxels[1000:1100], rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 B"),
    ],
)
def test_too_little_memory_means_smaller_blocks(generator, e_inc, whole, error):
    generate = generator.model.generate

    def greedy(e, noise):
        if len(e) > 512:
            raise error
        return generate(e, noise)

    generator.model.generate = greedy
    with pytest.warns(
        CaloForgeWarning, match="Not enough memory for 1024 showers at a time; going on with 512"
    ):
        showers = generator.sample(e_inc[:1000], seed=5)
    np.testing.assert_allclose(showers.voxels, whole.voxels[:1000], rtol=1e-3, atol=1e-2)


def test_other_errors_are_not_taken_for_lack_of_memory(generator):
    def broken(e, noise):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    generator.model.generate = broken
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        generator.sample([5e4], seed=1)


def test_precision(run):
    with pytest.raises(UnknownNameError, match="precision 'float16'"):
        load_model(run, precision="float16")
    with pytest.raises(ConfigError, match="precision of its weights only"):
        load_model(run, precision="bfloat16")
    assert load_model(run).sample([5e4], seed=1).provenance["precision"] == "float32"


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True])
def test_threads_are_a_number(generator, wrong):
    with pytest.raises(ValueRangeError, match=r"^threads must"):
        generator.sample([5e4], seed=1, threads=wrong)


@pytest.mark.parametrize("wrong", [1.5, True, "1", None, np.float64(2), -1, 2**70])
def test_seed_and_start_are_whole_numbers(generator, wrong):
    for name in ("seed", "start"):
        with pytest.raises(ValueRangeError, match=rf"^{name} must (be a whole number|lie in)"):
            generator.sample([5e4], **{"seed": 1, name: wrong})


def test_the_last_start_and_numpy_integers(generator):
    assert len(generator.sample([5e4], seed=2**64 - 1, start=2**48)) == 1
    same = [generator.sample([5e4], seed=seed).voxels for seed in (3, np.int64(3))]
    np.testing.assert_array_equal(*same)


def test_a_family_that_cannot_be_compiled(run):
    with pytest.raises(ConfigError, match="cannot be compiled"):
        load_model(run, compiled=True)
