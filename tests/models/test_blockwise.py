"""The blockwise family: showers that close, every kind of calorimeter, no shower that knows another."""

import numpy as np
import pytest
import torch

from caloforge.errors import ConfigError, UnknownNameError, ValueRangeError
from caloforge.geometry import catalogue, get_geometry
from caloforge.models import build_model
from caloforge.models.block_network import BlockNet
from caloforge.models.blockwise import Blockwise
from caloforge.models.checkpoint import load_checkpoint, save_model
from caloforge.noise import ShowerNoise
from caloforge.showers import Showers
from support.checks import no_global_draws
from support.model_checks import check_products_in_bfloat16, check_training_lowers_the_loss
from support.toys import cartesian, geometry_of, polar, toy_showers

TINY = {"moments": {"hidden": 12, "components": 2}, "voxels": {"hidden": 12, "late": 6, "core": 4}}
TOY = geometry_of(cartesian(3, 4), cartesian(4, 4), cartesian(1, 1))
ODD = {
    "different grids": TOY,
    "one voxel": geometry_of(cartesian(1, 1)),
    "one layer": geometry_of(cartesian(5, 7)),
    "one row": geometry_of(cartesian(1, 9), cartesian(2, 2)),
    "polar": geometry_of(polar(8, 5), polar(8, 5), polar(8, 5)),
    "odd in alpha": geometry_of(polar(5, 4), polar(3, 2)),
    "rings and slices": geometry_of(polar(1, 6), polar(10, 6), polar(1, 1)),
    "two slices": geometry_of(polar(2, 3)),
}


def fitted(geometry, n=40, **settings):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = build_model("blockwise", {**TINY, **settings}, geometry).eval()
    showers = toy_showers(geometry, n)
    model.fit_range(showers)
    for stage in model.stages.values():
        stage.fit(showers, seed=1)
    return model, showers


def check_stages_and_showers(model, showers):
    geometry = showers.geometry
    for stage in model.stages.values():
        with no_global_draws():
            batch = stage.draw(stage.rows(showers), torch.Generator().manual_seed(1))
        with torch.no_grad():
            loss = stage(batch)
        assert loss.shape == (len(showers),)
        assert bool(loss.isfinite().all())
    with torch.inference_mode(), no_global_draws():
        voxels = model.generate(torch.tensor([1e3, 1e5]), ShowerNoise(1, 0, 2))
    assert voxels.shape == (2, geometry.n_voxels)
    assert bool((voxels.isfinite() & (voxels >= 0)).all())


# Those of more voxels have as many layers of the same kind; they take long.
@pytest.mark.parametrize("name", [n for n in sorted(catalogue()) if get_geometry(n).n_voxels < 1000])
def test_small_calorimeters_of_the_catalogue(name):
    model, showers = fitted(get_geometry(name), n=4)
    check_stages_and_showers(model, showers)


@pytest.mark.slow
def test_a_calorimeter_of_thousands_of_voxels():
    model, showers = fitted(get_geometry("calochallenge_2"), n=4)
    check_stages_and_showers(model, showers)


@pytest.mark.parametrize("geometry", ODD.values(), ids=ODD)
def test_odd_calorimeters(geometry):
    model, showers = fitted(geometry)
    check_stages_and_showers(model, showers)


@pytest.mark.parametrize("geometry", ODD.values(), ids=ODD)
def test_drawing_sees_what_training_sees(geometry, monkeypatch):
    """The likelihood of what was drawn has the inputs and the parameters that it was drawn with."""
    model, _ = fitted(geometry)
    model.set_precision(torch.float64)  # what is left of a layer is a small difference of large numbers
    stage, e_inc = model.voxels, torch.logspace(3, 5, 20, dtype=torch.float64)
    drawn, known = [], {}
    sample, hidden = stage.mixture.sample, BlockNet.trunk

    def spy(self, u, z, params):
        drawn.append(params)
        return sample(u, z, params)

    def close(voxels, surplus, e_layer, moments):
        return voxels * stage.threshold

    monkeypatch.setattr(type(stage.mixture), "sample", spy)
    monkeypatch.setattr(stage.closing, "forward", close)
    with torch.no_grad():
        noise = ShowerNoise(1, 0, 20, dtype=torch.float64)
        e_layer, moments = model.moments.decode(noise.uniform(model.moments.n_noise), e_inc)
        voxels = stage.decode(noise.uniform(stage.n_noise), e_layer, moments, e_inc)
        for name in ("early_params", "late_params"):
            monkeypatch.setattr(BlockNet, name, _kept(getattr(BlockNet, name), known))
        softness = torch.zeros(20, 2 * stage.plan.n_axes, stage.plan.n_steps, dtype=torch.float64)
        batch = {
            "voxels": voxels,
            "e_layer": e_layer,
            "moments": moments,
            "e_inc": e_inc,
            "noise": softness,
        }
        stage(batch)
    assert BlockNet.trunk is hidden
    asked = iter(drawn)
    for step in stage.plan.steps:
        tables, net = stage.plan.nets[step.net], stage.nets[step.net]
        for part in known[net]:
            mine = part[:, :, step.within : step.within + step.n_blocks]
            torch.testing.assert_close(next(asked), mine, rtol=1e-6, atol=1e-6)
        assert len(known[net]) == 1 + (tables.n_first < tables.n_members)
    assert next(asked, None) is None


def _kept(method, known):
    def keep(self, *args):
        params = method(self, *args)
        known.setdefault(self, []).append(params)
        return params

    return keep


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_energies_close(dtype):
    model, _ = fitted(TOY, threshold=0.01)
    model.set_precision(dtype)
    e_inc = torch.logspace(3, 5, 200, dtype=torch.float64)
    with torch.inference_mode():
        u = ShowerNoise(1, 0, 200, dtype=dtype).uniform(model.moments.n_noise)
        e_layer, _ = model.moments.decode(u, e_inc)
        voxels = model.generate(e_inc, ShowerNoise(1, 0, 200, dtype=dtype))
    assert voxels.dtype == dtype
    sums = torch.from_numpy(TOY.e_layer(voxels.double().numpy()))
    hit = e_layer >= 0.01
    torch.testing.assert_close(sums[hit], e_layer[hit], rtol=1e-5, atol=0)
    assert bool((sums[~hit] == 0).all())
    assert bool((voxels[voxels > 0] >= 0.01 * (1 - 1e-5)).all())


def test_a_layer_with_energy_has_a_hit():
    model, _ = fitted(TOY)
    with torch.inference_mode():
        for net in model.voxels.nets:
            net.bias[..., 0] = -50.0  # no voxel wants to be hit
        voxels = model.generate(torch.full((50,), 5e4, dtype=torch.float64), ShowerNoise(1, 0, 50))
    sums = TOY.e_layer(voxels.numpy())
    assert (sums.sum(1) > 0).all()
    for k, where in enumerate(TOY.layer_slices):
        assert ((voxels[:, where] > 0).sum(1).numpy() == (sums[:, k] > 0)).all()


@pytest.mark.parametrize("geometry", [TOY, ODD["polar"]], ids=["cartesian", "polar"])
def test_showers_depend_on_their_own_energy_and_noise_only(geometry):
    model, _ = fitted(geometry)
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


def test_images_are_equally_frequent():
    """Of a shower that is the same up to reflections, all four come."""
    geometry = geometry_of(cartesian(4, 4))
    model, _ = fitted(geometry)
    n = 400
    with torch.inference_mode():
        u = torch.rand(1, model.voxels.n_noise, generator=torch.Generator().manual_seed(1)).expand(n, -1)
        first = torch.full((n, model.moments.n_noise), 0.4)
        image = (torch.arange(n) + 0.5)[:, None] / n
        voxels = model.decode(torch.full((n,), 5e4, dtype=torch.float64), first, u, image)
    grids = voxels.view(n, 4, 4)
    one = grids[0]
    images = [one, one.flip(0), one.flip(1), one.flip(0, 1)]
    counts = [sum(torch.allclose(g, other, rtol=1e-4) for g in grids) for other in images]
    assert counts == [100] * 4


def test_hits_are_as_frequent_as_the_network_says():
    """With energies and moments fixed, voxels of the first step are hit as often as the network says."""
    model, showers = fitted(TOY, symmetry="none")
    stage, n = model.voxels, 20_000
    rows = stage.rows(showers[:1])
    moments = stage.moments.encode(rows["voxels"])
    params = []
    sample = stage.mixture.sample
    with torch.inference_mode(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            type(stage.mixture), "sample", lambda self, u, z, p: (params.append(p), sample(u, z, p))[1]
        )
        u = ShowerNoise(1, 0, n).uniform(stage.n_noise)
        drawn = stage.decode(u, rows["e_layer"].expand(n, -1), moments.expand(n, -1), rows["e_inc"].expand(n))
    p = params[0][:, 0, :, 0].sigmoid().flatten()
    slots = stage.plan.voxel_of_slot[: len(p)]
    exist = slots < TOY.n_voxels
    rate = (drawn[:, slots[exist]] > 0).double().mean(0)
    p = p[exist]
    assert bool(((rate - p).abs() < 5 * (p * (1 - p) / n).sqrt() + 0.01).all())


def test_training_lowers_the_loss():
    check_training_lowers_the_loss(*fitted(TOY, n=400))


def test_no_energy_beyond_what_was_seen_or_is_left():
    """Numbers far in the tails give finite showers, and no voxel has more than its layer."""
    model, _ = fitted(TOY)
    stage = model.voxels
    n = 50
    e_layer = (
        torch.rand(n, TOY.n_layers, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 1e4
    )
    moments = 3 * torch.randn(n, stage.moments.n_moments, generator=torch.Generator().manual_seed(2))
    edge = 1 - torch.finfo(torch.float32).eps / 2
    for value in (1e-9, edge):
        u = torch.full((n, stage.n_noise), value)
        u[:, : stage.n_noise // 2] = 1e-9  # all are hit
        with torch.inference_mode():
            voxels = stage.decode(u, e_layer, moments, torch.full((n,), 5e4, dtype=torch.float64))
        assert bool(voxels.isfinite().all())
        sums = torch.from_numpy(TOY.e_layer(voxels.double().numpy()))
        torch.testing.assert_close(sums, e_layer, rtol=1e-4, atol=1e-3)


def test_products_in_bfloat16_are_near():
    model, _ = fitted(TOY)
    check_products_in_bfloat16(model, share=0.1)


@pytest.mark.parametrize("geometry", [TOY, ODD["rings and slices"], get_geometry("calogan")])
def test_counts_without_building(geometry):
    settings = {**TINY, "voxels": {"hidden": 7, "late": 5, "absolute": 2, "relative": 1, "core": 5}}
    counted = Blockwise.count_parameters(settings, geometry)
    assert counted == build_model("blockwise", settings, geometry).n_parameters()


def test_a_file_gives_the_same_showers(tmp_path):
    model, _ = fitted(TOY)
    save_model(model, tmp_path / "toy.safetensors", family="blockwise", provenance={})
    again, _ = load_checkpoint(tmp_path / "toy.safetensors")
    e_inc = torch.logspace(3, 5, 20, dtype=torch.float64)
    with torch.inference_mode():
        assert torch.equal(
            model.generate(e_inc, ShowerNoise(1, 0, 20)), again.eval().generate(e_inc, ShowerNoise(1, 0, 20))
        )


def test_an_empty_layer():
    """Showers without energy in some layers can be trained on."""
    model, _ = fitted(TOY)
    voxels = np.zeros((2, TOY.n_voxels), dtype=np.float32)
    voxels[:, 3] = 50.0
    showers = Showers(e_inc=np.array([1e3, 2e3]), voxels=voxels, geometry=TOY)
    check_stages_and_showers(model, showers)


def test_showers_without_a_hit_in_any_layer_but_one():
    """Nothing can be learned of layers that are always empty, and they stay empty."""
    geometry = geometry_of(cartesian(3, 4), cartesian(4, 4))
    showers = toy_showers(geometry, 40)
    showers.voxels[:, 12:] = 0.0
    model, _ = fitted(geometry)
    for stage in model.stages.values():
        stage.fit(showers, seed=1)
    check_stages_and_showers(model, showers)


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
        ({"voxels": {"hidden": 0}}, "model.voxels.hidden must be at least 1"),
        ({"voxels": {"late": 0}}, "model.voxels.late must be at least 1"),
        ({"voxels": {"absolute": 0}}, "model.voxels.absolute must be at least 1"),
        ({"voxels": {"relative": 0}}, "model.voxels.relative must be at least 1"),
        ({"voxels": {"core": -1}}, "model.voxels.core must be at least 0"),
        ({"voxels": {"softness": -1.0}}, "model.voxels.softness must be at least 0"),
    ],
)
def test_settings_without_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        build_model("blockwise", settings, TOY)


def test_unknown_settings_are_refused():
    with pytest.raises(UnknownNameError, match="hiden"):
        build_model("blockwise", {"voxels": {"hiden": 3}}, TOY)


def test_a_threshold_above_all_voxels():
    with pytest.raises(
        ValueRangeError, match=r"No voxel .* reaches model.threshold = 1e\+09 MeV, the greatest has"
    ):
        fitted(TOY, threshold=1e9)
