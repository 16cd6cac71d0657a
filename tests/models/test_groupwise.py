"""The groupwise family: energies and moments that close, every calorimeter, no shower that knows another."""

import numpy as np
import pytest
import torch

from caloforge.errors import ConfigError, UnknownNameError, ValueRangeError
from caloforge.geometry import catalogue, get_geometry
from caloforge.models import build_model
from caloforge.models.groupwise import Groupwise
from caloforge.noise import ShowerNoise
from caloforge.showers import Showers
from support.checks import no_global_draws
from support.model_checks import check_products_in_bfloat16, check_training_lowers_the_loss
from support.toys import cartesian, geometry_of, toy_showers

TINY = {"moments": {"hidden": 12, "components": 2}, "voxels": {"groups": 5, "hidden": 16}}
TOY = geometry_of(cartesian(3, 4), cartesian(4, 4), cartesian(1, 1))


def fitted(geometry, n=40, **settings):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = build_model("groupwise", {**TINY, **settings}, geometry).eval()
    showers = toy_showers(geometry, n)
    model.fit_range(showers)
    for stage in model.stages.values():
        stage.fit(showers, seed=1)
    return model, showers


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_calorimeter(name):
    geometry = get_geometry(name)
    model, showers = fitted(geometry, n=4, voxels={"groups": 4, "hidden": 8})
    for stage in model.stages.values():
        with no_global_draws():
            batch = stage.draw(stage.rows(showers), torch.Generator().manual_seed(1))
        with torch.no_grad():
            loss = stage(batch)
        assert loss.shape == (4,)
        assert bool(loss.isfinite().all())
    with torch.inference_mode(), no_global_draws():
        voxels = model.generate(torch.tensor([1e3, 1e5]), ShowerNoise(1, 0, 2))
    assert voxels.shape == (2, geometry.n_voxels)
    assert bool((voxels.isfinite() & (voxels >= 0)).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_energies_and_moments_close(dtype):
    model, _ = fitted(TOY, threshold=0.01)
    model.set_precision(dtype)
    e_inc = torch.logspace(3, 5, 200, dtype=torch.float64)
    with torch.inference_mode():
        u = ShowerNoise(1, 0, 200, dtype=dtype).uniform(model.moments.n_noise)
        e_layer, moments = model.moments.decode(u, e_inc)
        voxels = model.generate(e_inc, ShowerNoise(1, 0, 200, dtype=dtype))
    sums = torch.from_numpy(TOY.e_layer(voxels.double().numpy()))
    hit = e_layer >= 0.01
    torch.testing.assert_close(sums[hit], e_layer[hit], rtol=1e-5, atol=0)
    assert bool((sums[~hit] == 0).all())
    assert bool((voxels[voxels > 0] >= 0.01 * (1 - 1e-5)).all())
    # The network is untrained: its voxels are far from the moments, and most of the way is gone all the same.
    found = model.voxels.moments.encode(voxels)
    assert float((found - moments).abs().median()) < 0.5 * float((found - moments.flip(0)).abs().median())


def test_a_layer_with_energy_has_a_hit():
    model, _ = fitted(TOY)
    with torch.inference_mode():
        model.voxels.net.last_context.weight.zero_()
        model.voxels.net.last.weight.zero_()
        model.voxels.net.last_context.bias[: TOY.n_voxels] = -50.0  # no voxel wants to be hit
        voxels = model.generate(torch.full((50,), 5e4, dtype=torch.float64), ShowerNoise(1, 0, 50))
    sums = TOY.e_layer(voxels.numpy())
    assert (sums.sum(1) > 0).all()
    for k, where in enumerate(TOY.layer_slices):
        assert ((voxels[:, where] > 0).sum(1).numpy() == (sums[:, k] > 0)).all()


def test_showers_depend_on_their_own_energy_and_noise_only():
    model, _ = fitted(TOY)
    e_inc = torch.tensor([1e3, 3e3, 2e4, 9e4], dtype=torch.float64)
    with torch.inference_mode():
        whole = model.generate(e_inc, ShowerNoise(1, 0, 4))
        part = model.generate(e_inc[1:3], ShowerNoise(1, 1, 2))
    torch.testing.assert_close(whole[1:3], part, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n", [0, 1])
def test_few_showers(n):
    model, showers = fitted(TOY)
    with torch.inference_mode():
        e_inc = torch.full((n,), 1e4, dtype=torch.float64)
        assert model.generate(e_inc, ShowerNoise(1, 0, n)).shape == (n, TOY.n_voxels)
        for stage in model.stages.values():
            batch = stage.draw(stage.rows(showers[:n]), torch.Generator().manual_seed(1))
            assert stage(batch).shape == (n,)


def test_hits_are_as_frequent_as_the_network_says():
    """With energies and moments fixed, voxels of the first group are hit as often as the network says."""
    model, showers = fitted(TOY, symmetry="none")
    stage, n = model.voxels, 20_000
    rows = stage.rows(showers[:1])
    moments = stage.moments.encode(rows["voxels"])
    context = stage.context(rows["e_layer"], moments, rows["e_inc"])
    with torch.inference_mode():
        u = ShowerNoise(1, 0, n).uniform(stage.n_noise)
        drawn = stage.decode(u, rows["e_layer"].expand(n, -1), moments.expand(n, -1), rows["e_inc"].expand(n))
        sweep = stage.net.sweep(context)
        first = sweep.features[0]
        p = sweep.params(0)[0, :, 0].sigmoid()
    rate = (drawn[:, first] > 0).double().mean(0)
    assert bool(((rate - p).abs() < 5 * (p * (1 - p) / n).sqrt() + 0.01).all())


def test_training_lowers_the_loss():
    check_training_lowers_the_loss(*fitted(TOY, n=400))


def test_products_in_bfloat16_are_near():
    model, _ = fitted(TOY)
    check_products_in_bfloat16(model, share=0.05)


def test_counts_without_building():
    settings = {**TINY, "voxels": {"groups": 3, "hidden": 7, "depth": 2, "components": 4}}
    counted = Groupwise.count_parameters(settings, TOY)
    assert counted == build_model("groupwise", settings, TOY).n_parameters()


def test_drawing_sees_what_training_sees(monkeypatch):
    """Inputs and parameters of every step are those that training would have for the numbers that were drawn."""
    model, _ = fitted(TOY)
    stage, e_inc = model.moments, torch.logspace(3, 5, 50, dtype=torch.float64)
    sweeps, params, make = [], [], stage.net.sweep

    def sweep(context):
        sweeps.append(made := make(context))
        ask = made.params
        made.params = lambda k: params.append(ask(k)) or params[-1]
        return made

    monkeypatch.setattr(stage.net, "sweep", sweep)
    with torch.inference_mode():
        e_layer, moments = stage.decode(ShowerNoise(1, 0, 50).uniform(stage.n_noise), e_inc)
        seen = torch.stack([sweeps[0].inputs(k) for k in range(stage.n_features)], dim=-1).permute(1, 0, 2)
        drawn = stage.scale.decode(seen[:, 0])
        valid = stage.moments.valid(e_layer, stage.threshold)
        torch.testing.assert_close((drawn[:, TOY.n_layers :] * valid).float(), moments, rtol=1e-4, atol=1e-4)
        rest = e_layer.flip(1).cumsum(1).flip(1)
        taken = torch.cat([torch.zeros_like(rest[:, :1]), e_layer[:, :-1]], dim=1)
        expected = torch.stack([taken, rest], dim=1).add(1e-3).log10() - 2
        torch.testing.assert_close(seen[:, 1:, : TOY.n_layers].double(), expected, rtol=0, atol=2e-2)
        assert not seen[:, 1:, TOY.n_layers :].any()
        whole = stage.net(seen, stage.context(e_inc))
        steps = torch.stack([p[:, 0] for p in params], dim=-1).permute(1, 0, 2)
    torch.testing.assert_close(steps, whole, rtol=1e-4, atol=1e-4)


def test_training_sees_energies_in_mev():
    model, showers = fitted(TOY)
    stage = model.moments
    batch = stage.draw(stage.rows(showers), torch.Generator().manual_seed(1))
    e_layer = torch.from_numpy(showers.e_layer)
    rest = e_layer.flip(1).cumsum(1).flip(1)
    clear = (rest > 1) & (rest > 1e-3 * rest[:, :1])  # of margins and noise
    expected = rest.add(1e-3).log10() - 2
    seen = batch["seen"][:, :, : TOY.n_layers].double()
    torch.testing.assert_close(seen[:, 0], batch["x"][:, : TOY.n_layers].double())
    torch.testing.assert_close(seen[:, 2][clear], expected[clear], rtol=0, atol=2e-2)
    taken, clear = e_layer[:, :-1], (e_layer > 1)[:, :-1] & clear[:, :-1]
    torch.testing.assert_close(seen[:, 1, 1:][clear], (taken.add(1e-3).log10() - 2)[clear], rtol=0, atol=2e-2)
    assert float(clear.double().mean()) > 0.5


def test_symmetry_is_seen_in_training_only_where_asked():
    geometry = geometry_of(cartesian(4, 4))
    for symmetry, same in (("none", True), ("all", False)):
        model, showers = fitted(geometry, symmetry=symmetry)
        stage = model.voxels
        batch = stage.draw(stage.rows(showers), torch.Generator().manual_seed(1))
        assert torch.equal(batch["voxels"], stage.rows(showers)["voxels"]) is same


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 0}, "model.threshold must lie between"),
        ({"voxels": {"groups": 0}}, "model.voxels.groups must be at least 1"),
        ({"voxels": {"dropout": 1.0}}, r"model.voxels.dropout must lie in \[0, 1\)"),
        ({"moments": {"hidden": 0}}, "model.moments.hidden must be at least 1"),
        ({"moments": {"alpha": 0.5}}, "model.moments.alpha must lie between"),
        ({"moments": {"components": 0}}, "model.moments.components must be at least 1"),
    ],
)
def test_settings_without_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        build_model("groupwise", settings, TOY)


def test_unknown_settings_are_refused():
    with pytest.raises(UnknownNameError, match="hiden"):
        build_model("groupwise", {"voxels": {"hiden": 3}}, TOY)


def test_an_empty_layer_stays_without_moments():
    model, _ = fitted(TOY)
    voxels = np.zeros((2, TOY.n_voxels), dtype=np.float32)
    voxels[:, 3] = 50.0
    showers = Showers(e_inc=np.array([1e3, 2e3]), voxels=voxels, geometry=TOY)
    stage = model.moments
    batch = stage.draw(stage.rows(showers), torch.Generator().manual_seed(1))
    valid = batch["valid"][:, TOY.n_layers :]
    assert valid[0].tolist() == [k == 0 for k in stage.moments.layer_of_moment]
    assert bool((batch["x"][:, TOY.n_layers :][~valid] == 0).all())


def test_layers_of_one_voxel_have_no_moments():
    geometry = geometry_of(cartesian(1, 1), cartesian(1, 1))
    model, _ = fitted(geometry)
    with torch.inference_mode():
        voxels = model.generate(torch.full((5,), 5e4, dtype=torch.float64), ShowerNoise(1, 0, 5))
    assert voxels.shape == (5, 2)
    assert bool(voxels.isfinite().all())
    assert bool((voxels > 0).any())


def test_weights_made_in_inference_mode():
    with torch.inference_mode():
        model, _ = fitted(TOY)
        voxels = model.generate(torch.full((2,), 5e4, dtype=torch.float64), ShowerNoise(1, 0, 2))
    assert bool(voxels.isfinite().all())


def test_random_numbers_are_left_as_they_are():
    model, _ = fitted(TOY)
    e_inc = torch.full((1,), 5e4, dtype=torch.float64)
    with torch.inference_mode():
        u = ShowerNoise(1, 0, 1).uniform(model.moments.n_noise)
        before = u.clone()
        model.moments.decode(u, e_inc)
        assert torch.equal(u, before)


def test_a_threshold_above_all_voxels():
    with pytest.raises(
        ValueRangeError, match=r"No voxel .* reaches model.threshold = 1e\+09 MeV, the greatest has"
    ):
        fitted(TOY, threshold=1e9)
