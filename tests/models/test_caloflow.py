"""CaloFlow: sizes as published, energies that close, every calorimeter of the catalogue."""

import numpy as np
import pytest
import torch

from caloforge.errors import ConfigError, UnknownNameError
from caloforge.geometry import catalogue, get_geometry
from caloforge.models import FAMILIES, build_model
from caloforge.models.caloflow import CaloFlow
from caloforge.models.conditions import mirrored
from caloforge.noise import ShowerNoise
from caloforge.recipes import load_recipe
from caloforge.showers import Showers
from support.checks import no_global_draws
from support.toys import cartesian, geometry_of, polar, toy_showers

TINY = {
    "energies": {"blocks": 1, "hidden": 4, "bins": 2},
    "shape": {"blocks": 1, "hidden": 4, "bins": 2},
}
TOY = geometry_of(cartesian(3, 4), cartesian(2, 2), cartesian(1, 1))


def tiny(geometry, **shape):
    return build_model("caloflow", {**TINY, "shape": TINY["shape"] | shape}, geometry).eval()


def fitted(geometry, n=30, **shape):
    model, showers = tiny(geometry, **shape), toy_showers(geometry, n)
    model.fit_range(showers)
    for stage in model.stages.values():
        stage.fit(showers, seed=1)
    return model, showers


@pytest.mark.parametrize(
    ("recipe", "energies", "shape"),
    [
        ("caloflow-v1", 79_134, 37_835_280),
        ("caloflow-ds1-photons", None, 28_043_810),  # published for both flows: 28.04 M
        ("caloflow-ds1-pions", None, 57_079_326),  # 57.08 M
    ],
)
def test_parameters_are_as_many_as_published(recipe, energies, shape):
    data = load_recipe(recipe)
    model = build_model(data["family"], data["model"], get_geometry(data["geometry"]))
    if energies is None:
        assert model.n_parameters() == shape
        assert model.n_parameters("energies") + model.n_parameters("shape") == shape
    else:
        assert (model.n_parameters("energies"), model.n_parameters("shape")) == (energies, shape)


@pytest.mark.parametrize("name", sorted(catalogue()))
@pytest.mark.parametrize("encoding", ["logit-share", "log-energy"])
def test_every_calorimeter(name, encoding):
    geometry = get_geometry(name)
    model, showers = fitted(geometry, n=4, encoding=encoding)
    generator = torch.Generator().manual_seed(1)
    for stage in model.stages.values():
        with no_global_draws():
            batch = stage.draw(stage.rows(showers), generator)
        with torch.no_grad():
            loss = stage(batch)
        assert loss.shape == (4,)
        assert bool(loss.isfinite().all())
    if geometry.n_voxels > 1000:  # the sweep over the features takes too long for a quick test
        return
    e_inc = torch.tensor([1e3, 1e5])
    with torch.inference_mode(), no_global_draws():
        voxels = model.generate(e_inc, ShowerNoise(1, 0, 2))
    assert voxels.shape == (2, geometry.n_voxels)
    assert bool((voxels.isfinite() & (voxels >= 0)).all())


@pytest.mark.parametrize("encoding", ["logit-share", "log-energy"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_voxels_sum_to_the_layer_energies(encoding, dtype):
    model, _ = fitted(TOY, encoding=encoding, threshold=0.01)
    model.to(dtype)
    e_inc = torch.logspace(3, 5, 200, dtype=torch.float64)
    with torch.inference_mode():
        noise = ShowerNoise(1, 0, 200, dtype=dtype)
        e_layer = model.energies.decode(noise.normal(TOY.n_layers), e_inc)
        voxels = model.generate(e_inc, ShowerNoise(1, 0, 200, dtype=dtype)).double()
    sums = torch.from_numpy(TOY.e_layer(voxels.numpy()))
    hit = sums > 0
    torch.testing.assert_close(sums[hit], e_layer[hit], rtol=1e-6, atol=0)
    assert float(hit.double().mean()) > 0.5
    assert bool((voxels[voxels > 0] >= 0.01 * (1 - 1e-6)).all())
    ratio = model.energies.shares.max_e_ratio
    assert bool((sums.sum(1) <= ratio * e_inc * (1 + 1e-6)).all())


def test_showers_depend_on_their_own_energy_and_noise_only():
    model, _ = fitted(TOY)
    e_inc = torch.tensor([1e3, 3e3, 2e4, 9e4])
    with torch.inference_mode():
        whole = model.generate(e_inc, ShowerNoise(1, 0, 4))
        part = model.generate(e_inc[1:3], ShowerNoise(1, 1, 2))
    torch.testing.assert_close(whole[1:3], part, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("n", [0, 1])
def test_few_showers(n):
    model, showers = fitted(TOY)
    with torch.inference_mode():
        assert model.generate(torch.full((n,), 1e4), ShowerNoise(1, 0, n)).shape == (n, TOY.n_voxels)
        for stage in model.stages.values():
            batch = stage.draw(stage.rows(showers[:n]), torch.Generator().manual_seed(1))
            assert stage(batch).shape == (n,)


def test_likelihood_in_training_is_that_of_the_flow():
    model, showers = fitted(TOY)
    for stage in model.stages.values():
        batch = stage.draw(stage.rows(showers), torch.Generator().manual_seed(1))
        assert torch.equal(stage(batch), -stage.flow.log_prob(batch["x"], batch["context"]))


@pytest.mark.parametrize("geometry", [TOY, geometry_of(polar(6, 2), polar(1, 3))], ids=["flipped", "turned"])
def test_augmentation_shows_all_symmetric_showers(geometry):
    shape = tiny(geometry, symmetry="all").shape
    row = torch.arange(1.0, geometry.n_voxels + 1)[None].expand(2000, -1)
    seen = mirrored(row, shape.symmetries, torch.Generator().manual_seed(1))
    kinds, counts = seen.unique(dim=0, return_counts=True)
    assert len(kinds) == len(shape.symmetries) > 1
    expected = 2000 / len(kinds)
    assert float((counts - expected).abs().max()) < 5 * expected**0.5
    np.testing.assert_allclose(geometry.e_layer(seen.numpy()), geometry.e_layer(row.numpy()))


def test_permutations_stay_within_layers():
    model = tiny(TOY, blocks=4)
    orders = [block.order for block in model.shape.flow.bijection.blocks if hasattr(block, "order")]
    assert len(orders) == 3
    for order in orders:
        for where in TOY.layer_slices:
            assert sorted(order[where].tolist()) == list(range(where.start, where.stop))
    assert orders[0].tolist()[:12] == list(range(11, -1, -1))


def test_settings_build_the_same_model_again():
    model = tiny(TOY, encoding="log-energy")
    twin = build_model("caloflow", model.settings, TOY)
    assert twin.settings == model.settings
    twin.load_state_dict(model.state_dict())


@pytest.mark.parametrize("stage", ["energies", "shape"])
def test_at_least_one_block(stage):
    with pytest.raises(ConfigError, match=f"{stage}.blocks"):
        build_model("caloflow", {stage: {"blocks": 0}}, TOY)


def test_unknown_families_and_settings():
    assert "caloflow" in FAMILIES
    with pytest.raises(UnknownNameError, match="caloflow"):
        build_model("califlow", {}, TOY)
    with pytest.raises(UnknownNameError, match=r"model\.shape.*hiden.*hidden"):
        build_model("caloflow", {"shape": {"hiden": 3}}, TOY)


def test_fit_sees_the_whole_file_and_every_mirror_image(monkeypatch):
    """A file may be sorted by energy, and a subsample must not lower the brightest voxels."""
    monkeypatch.setattr("caloforge.models.shower_shape._N_FIT", 3)
    geometry = get_geometry("calogan")
    voxels = np.zeros((30, geometry.n_voxels), dtype=np.float32)
    voxels[:, 300] = np.arange(1, 31)
    showers = Showers(e_inc=np.full(30, 1e3), voxels=voxels, geometry=geometry)
    settings = {"shape": {"blocks": 1, "hidden": 4, "encoding": "log-energy", "symmetry": "all"}}
    stage = build_model("caloflow", settings, geometry).shape
    stage.fit(showers, seed=1)
    brightest = stage.step.threshold * stage.step.brightest.exp()
    images = stage.symmetries[:, 300].unique()
    torch.testing.assert_close(brightest[images], torch.full((len(images),), 30.0))
    assert int((brightest > stage.step.threshold).sum()) == len(images) == 4
    stage.fit(showers[np.arange(29, -1, -1)], seed=1)
    torch.testing.assert_close(brightest, stage.step.threshold * stage.step.brightest.exp())


@pytest.mark.parametrize(
    "shape",
    [{}, {"residual": True, "depth": 2}, {"depth": 0, "bins": 5}, {"blocks": 3, "hidden": 9}],
    ids=str,
)
def test_parameters_are_counted_without_building(shape):
    settings = {**TINY, "shape": TINY["shape"] | shape}
    assert CaloFlow.count_parameters(settings, TOY) == tiny(TOY, **shape).n_parameters()


@pytest.mark.parametrize(
    ("hidden", "match"),
    [
        (100_000_000, r"would have about 10\^16 parameters \(about 10\^16 bytes in float32\)"),
        (10**30, r"about 10\^60 parameters"),
        (60_000, r"would have [\d,]{13} parameters .* at most 2,000,000,000"),
    ],
)
def test_a_model_that_is_too_large(hidden, match):
    with pytest.raises(ConfigError, match=match):
        tiny(TOY, hidden=hidden)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("section", "name", "values"),
    [
        *((section, name, (0, -1)) for section in ("energies", "shape") for name in ("blocks", "hidden")),
        *((section, "depth", (-1,)) for section in ("energies", "shape")),
        *((section, "alpha", (0.0, 0.5, -1e-6, NAN, INF)) for section in ("energies", "shape")),
        *((section, "bound", (0.0, -1.0, NAN, INF)) for section in ("energies", "shape")),
        *((section, "min_slope", (0.0, NAN)) for section in ("energies", "shape")),
        *((section, "permutation_seed", (-1, 2**63)) for section in ("energies", "shape")),
        ("energies", "max_e_ratio", (0.0, -1.0, NAN, INF)),
        ("energies", "noise", (-1e-3, NAN, INF)),
        ("shape", "threshold", (0.0, -1.0, NAN, INF)),
        ("shape", "dropout", (-0.1, 1.0, NAN)),
    ],
)
def test_values_that_make_no_sense(section, name, values):
    for value in values:
        with pytest.raises(ConfigError, match=rf"{name}.*{value}|bound must be positive and finite"):
            build_model("caloflow", {**TINY, section: TINY[section] | {name: value}}, TOY)
