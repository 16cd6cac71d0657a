"""CaloMan: sizes, likelihoods, what the stages see of one another, and what it refuses."""

import json
import math

import numpy as np
import pytest
import torch

from caloforge.errors import ConfigError, UnknownNameError, ValueRangeError
from caloforge.generation import load_model
from caloforge.geometry import get_geometry
from caloforge.models import build_model
from caloforge.models.caloman import CaloMan
from caloforge.models.manifold import mmd
from caloforge.models.voxel_likelihood import HitsAndEnergies
from caloforge.noise import ShowerNoise
from caloforge.preprocessing import LogEnergies
from caloforge.recipes import load_recipe
from caloforge.showers import Showers
from support.checks import no_global_draws
from support.model_checks import check_products_in_bfloat16
from support.tiny_runs import tiny_showers, train_tiny
from support.toys import cartesian, geometry_of, toy_showers

TOY = geometry_of(cartesian(3, 4), cartesian(2, 2), cartesian(1, 1))
TINY = {
    "energies": {"blocks": 1, "hidden": 4, "bins": 2},
    "moments": {"hidden": 6, "components": 2},
    "manifold": {"latent": 3, "hidden": 5, "depth": 1},
    "density": {"blocks": 2, "hidden": 4, "depth": 1, "bins": 2},
}
OURS = {
    "likelihood": "hits",
    "encoder_input": "surprise",
    "condition_encoder": True,
    "condition_decoder": True,
    "symmetry": "all",
}
VARIANTS = {
    "paper": ({}, {}),
    "ours": (OURS, {"conditioner": "coupling"}),
    "features of hits": (OURS | {"encoder_input": "features", "encoder_hidden": 7}, {}),
    "plain": ({"kind": "plain", "encoding": "log-energy", "standardize": True}, {"conditioner": "coupling"}),
    "wasserstein": ({"kind": "wasserstein", "encoding": "logit-share"}, {"residual": False}),
    "moments": (OURS | {"moments": True, "threshold": 1e-3}, {"conditioner": "coupling"}),
    "moments and features": ({"moments": True, "condition_decoder": True}, {}),
    "one coordinate": (OURS | {"latent": 1}, {"conditioner": "coupling"}),
}
variants = pytest.mark.parametrize(("manifold", "density"), VARIANTS.values(), ids=VARIANTS.keys())


def settings(manifold=None, density=None):
    return TINY | {
        "manifold": TINY["manifold"] | (manifold or {}),
        "density": TINY["density"] | (density or {}),
    }


def fitted(manifold=None, density=None, *, geometry=TOY, n=40):
    model, showers = (
        build_model("caloman", settings(manifold, density), geometry).eval(),
        toy_showers(geometry, n),
    )
    model.fit_range(showers)
    for stage in model.stages.values():
        stage.fit(showers, seed=1)
    return model, showers


@variants
def test_every_variant(manifold, density):
    model, showers = fitted(manifold, density)
    assert CaloMan.count_parameters(settings(manifold, density), TOY) == model.n_parameters()
    assert json.loads(json.dumps(model.settings)) == CaloMan.build(model.settings, TOY).settings
    for stage in model.stages.values():
        rows = stage.rows(showers)
        with no_global_draws():
            batch = stage.draw(rows, torch.Generator().manual_seed(1))
        loss = stage(batch)
        assert loss.shape == (40,)
        assert bool(loss.isfinite().all())
        gradients = torch.autograd.grad(loss.mean(), list(stage.parameters()), allow_unused=True)
        assert all(g is not None and bool(g.isfinite().all()) for g in gradients)
        for n in (0, 1):
            few = stage.draw(stage.rows(showers[:n]), torch.Generator().manual_seed(1))
            assert stage(few).shape == (n,)
    e_inc = torch.logspace(3, 5, 200, dtype=torch.float64)
    with torch.inference_mode(), no_global_draws():
        voxels = model.generate(e_inc, ShowerNoise(1, 0, 200)).double()
        e_layer, moments = of_layers(model, e_inc)
        part = model.generate(e_inc[70:80], ShowerNoise(1, 70, 10)).double()
        assert model.generate(e_inc[:0], ShowerNoise(1, 0, 0)).shape == (0, TOY.n_voxels)
    sums = torch.from_numpy(TOY.e_layer(voxels.numpy()))
    hit, threshold = sums > 0, model.config.manifold.threshold
    torch.testing.assert_close(sums[hit], e_layer[hit], rtol=1e-5, atol=0)
    assert float(hit.double().mean()) > 0.5
    assert bool((voxels[voxels > 0] >= threshold * (1 - 1e-5)).all())
    if model.config.manifold.moments:  # most of the way to them, though the decoder is untrained
        found = model.manifold.moments_of(voxels.float())
        assert float((found - moments).abs().median()) < 0.5 * float((found - moments.flip(0)).abs().median())
    torch.testing.assert_close(voxels[70:80], part, rtol=1e-3, atol=1e-2)


def of_layers(model, e_inc):
    """Energies and moments that showers with seed 1 are made with."""
    noise = ShowerNoise(1, 0, len(e_inc))
    if model.config.manifold.moments:
        return model.moments.decode(noise.uniform(model.moments.n_noise), e_inc)
    return model.energies.decode(noise.normal(TOY.n_layers), e_inc), None


@pytest.mark.parametrize("moments", [True, False])
@pytest.mark.parametrize("name", ["calochallenge_1_photons", "calochallenge_2"])
def test_other_calorimeters(name, moments):
    model, showers = fitted(OURS | {"moments": moments}, geometry=get_geometry(name), n=6)
    for stage in model.stages.values():
        assert bool(stage(stage.draw(stage.rows(showers), torch.Generator().manual_seed(1))).isfinite().all())
    with torch.inference_mode():
        voxels = model.generate(torch.tensor([1e3, 1e5]), ShowerNoise(1, 0, 2))
    assert bool((voxels.isfinite() & (voxels >= 0)).all())


def test_the_density_sees_the_trained_encoder_and_leaves_it_alone():
    model, showers = fitted(OURS)
    before = model.density.rows(showers)["mean"]
    own = {id(p) for p in model.density.parameters()}
    assert not own & {id(p) for p in model.manifold.parameters()}
    with torch.no_grad():
        model.manifold.encoder[-1].bias += 1
    after = model.density.rows(showers)["mean"]
    torch.testing.assert_close(after, before + 1)
    model.density.fit(showers, seed=1)
    batch = model.density.draw(model.density.rows(showers), torch.Generator().manual_seed(1))
    assert abs(float(batch["x"].mean())) < 0.3


def asymmetric_showers(n=40):
    showers = toy_showers(TOY, n)
    voxels = showers.voxels * np.random.default_rng(1).gamma(1.0, 1.0, showers.voxels.shape).astype(
        np.float32
    )
    return Showers(e_inc=showers.e_inc, voxels=voxels, geometry=TOY)


def test_images_have_the_moments_and_coordinates_that_the_autoencoder_gives_them():
    model, _ = fitted(OURS | {"moments": True, "threshold": 1e-3})
    showers, manifold = asymmetric_showers(), model.manifold
    rows = model.density.rows(showers)
    contexts = set()
    for k, symmetry in enumerate(manifold.symmetries):
        image = Showers(e_inc=showers.e_inc, voxels=showers.voxels[:, symmetry.numpy()], geometry=TOY)
        voxels = torch.from_numpy(image.voxels).float()
        moments = manifold.closing.moments.encode(voxels)
        e_layer = torch.from_numpy(image.e_layer).float()
        context = manifold.context(e_layer, moments, torch.from_numpy(image.e_inc).float())
        torch.testing.assert_close(rows["context"][:, k], context, rtol=1e-3, atol=1e-3)
        x, _ = manifold.likelihood.encode(voxels, torch.Generator())
        torch.testing.assert_close(rows["mean"][:, k], manifold.encode(x, context)[0], rtol=1e-2, atol=1e-2)
        contexts.add(round(float(rows["context"][:, k].double().sum()), 3))
    assert len(contexts) == len(manifold.symmetries)
    batch = model.density.draw(rows, torch.Generator().manual_seed(1))
    same = (batch["context"][:, None] == rows["context"]).all(-1)
    assert bool(same.any(1).all())
    assert bool(same.any(0).all())


def test_a_training_batch_has_the_moments_of_the_images_in_it(monkeypatch):
    model, _ = fitted(OURS | {"moments": True, "threshold": 1e-3})
    stage, seen = model.manifold, []
    encode = stage.likelihood.encode
    monkeypatch.setattr(
        stage.likelihood, "encode", lambda voxels, generator: seen.append(voxels) or encode(voxels, generator)
    )
    rows = stage.rows(asymmetric_showers())
    batch = stage.draw(rows, torch.Generator().manual_seed(1))
    assert not torch.equal(seen[0], rows["voxels"])
    moments = stage.closing.moments.encode(seen[0])
    expected = stage.context(batch["e_layer"], moments, rows["e_inc"])
    torch.testing.assert_close(batch["context"], expected)


def test_moments_leave_out_what_is_below_the_threshold():
    model, _ = fitted(OURS | {"moments": True, "threshold": 1.0})
    voxels = torch.full((1, TOY.n_voxels), 0.9)
    voxels[:, 0] = 50.0
    cut = torch.where(voxels < 1.0, 0.0, voxels)
    torch.testing.assert_close(
        model.manifold.moments_of(voxels), model.manifold.closing.moments.encode(cut), rtol=0, atol=0
    )


def test_chunks_are_drawn_from_their_own_rows():
    model, _ = fitted(OURS | {"moments": True, "threshold": 1e-3})
    e_inc = torch.logspace(3, 5, 300, dtype=torch.float64)
    noise = ShowerNoise(1, 0, 300)
    u, normal = noise.uniform(model.moments.n_noise), noise.normal(3)
    voxels = noise.uniform(model.manifold.likelihood.n_noise)
    with torch.inference_mode():
        whole = model.decode(u, normal, voxels, e_inc)
        part = slice(140, 280)  # over the border of two chunks
        alone = model.decode(u[part], normal[part], voxels[part], e_inc[part])
    torch.testing.assert_close(whole[part], alone, rtol=1e-3, atol=1e-2)


def test_no_voxel_is_brighter_than_in_training_and_none_is_hit_that_never_was():
    likelihood = HitsAndEnergies(LogEnergies([3], threshold=1e-3, standardize=False), 3)
    likelihood.log_odds.fill_(50.0)
    likelihood.hits.std.fill_(2.0)
    likelihood.step.brightest.copy_(torch.tensor([math.log(5.0), math.log(1e4), -1.0]))
    n = 2000
    with torch.inference_mode():
        voxels, _ = likelihood.draw(
            torch.zeros(3, 3, n), torch.full((3, n), 12.0), ShowerNoise(1, 0, n).uniform(3).T
        )
    assert float(voxels[0].max()) == pytest.approx(5.0)
    assert 5.0 < float(voxels[1].max()) <= 1e4 * (1 + 1e-5)
    assert not voxels[2].any()
    assert float(voxels[:2].min()) >= 1.0


def test_a_threshold_above_all_voxels(tmp_path):
    with pytest.raises(ValueRangeError, match=r"No voxel .* reaches model.manifold.threshold = 1e\+09 MeV"):
        train_tiny(
            tmp_path / "run", "model.manifold.threshold=1e9", "model.manifold.latent=2", family="caloman"
        )


def test_images_under_symmetries_have_coordinates_of_their_own():
    model, showers = fitted(OURS)
    rows = model.density.rows(showers)
    assert rows["mean"].shape == (40, 4, 3)
    flipped = Showers(
        e_inc=showers.e_inc, voxels=showers.voxels[:, model.manifold.symmetries[2].numpy()], geometry=TOY
    )
    torch.testing.assert_close(model.density.rows(flipped)["mean"][:, 0], rows["mean"][:, 2])


def test_the_loss_is_the_evidence_lower_bound():
    """Against torch's own distributions, with the same numbers for the coordinates."""
    model, showers = fitted({"beta": 0.7})
    stage = model.manifold
    batch = stage.draw(stage.rows(showers), torch.Generator().manual_seed(1))
    mean, log_variance = stage.encode(batch["x"], batch["context"])
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    z = mean + (0.5 * log_variance).exp() * batch["normal"]
    prior = torch.distributions.Normal(torch.zeros(3), torch.ones(3))
    reconstruction = torch.distributions.Normal(
        stage.params(z, batch["context"])[:, 0], stage.likelihood.log_width.exp()
    )
    expected = 0.7 * torch.distributions.kl_divergence(posterior, prior).sum(1)
    expected -= reconstruction.log_prob(batch["x"]).sum(1)
    torch.testing.assert_close(stage(batch), expected)


def test_what_is_drawn_follows_its_own_likelihood():
    """One voxel of a layer of two: rate of hits, and mean and width of their logarithmic energy, as asked for."""
    likelihood = HitsAndEnergies(LogEnergies([1], threshold=1e-3, standardize=False), 1)
    n = 40_000
    voxels = torch.from_numpy(np.random.default_rng(1).lognormal(2, 0.5, (500, 1))).float()
    likelihood.fit(voxels, peak=torch.tensor([1e9]), seed=1)
    likelihood.log_odds.zero_()
    likelihood.hits.mean.fill_(-1.0)
    likelihood.hits.std.fill_(0.5)
    likelihood.step.brightest.fill_(30.0)
    likelihood.raw_power.data.fill_(-7.0)  # nearly a logarithm, so nothing is cut off below
    params = torch.tensor([math.log(0.3 / 0.7), 0.4, math.log(0.6)]).view(3, 1, 1).repeat(1, 1, n)
    log_e = math.log(10.0 / 1e-3)
    u = ShowerNoise(1, 0, n).uniform(likelihood.n_noise)
    with torch.inference_mode():
        voxels, surplus = likelihood.draw(params, torch.full((1, n), log_e), u.T)
        hit = voxels > 0
        x, _ = likelihood._bent(voxels[hit].log() - log_e)
    assert torch.equal(hit, surplus > 0)
    rate = hit.double().mean()
    assert abs(rate - 0.3) < 5 * math.sqrt(0.21 / n)
    hits = x.double()
    assert abs(hits.mean() - 0.4) < 5 * 0.6 / math.sqrt(len(hits))
    assert abs(hits.std() - 0.6) < 5 * 0.6 / math.sqrt(2 * len(hits))


def test_soft_hits_follow_the_likelihood_that_is_cut_at_the_threshold():
    """Against the distribution function, integrated from the density."""
    likelihood = HitsAndEnergies(LogEnergies([1], threshold=1e-3, standardize=False), 1)
    likelihood.log_odds.fill_(50.0)  # always hit
    likelihood.hits.mean.fill_(-6.0)
    likelihood.step.brightest.fill_(30.0)
    n, e_layer = 20_000, 0.5
    log_e = math.log(e_layer / 1e-3)
    params = torch.tensor([0.0, -0.3, 0.2])
    with torch.inference_mode():
        voxels, _ = likelihood.draw(
            params.view(3, 1, 1).repeat(1, 1, n),
            torch.full((1, n), log_e),
            ShowerNoise(1, 0, n).uniform(1).T,
        )
        assert float(voxels.min()) > 1 - 1e-4  # in units of the threshold
        grid = torch.linspace(-log_e, 0, 4001)
        density = likelihood.log_prob(
            grid[:, None], params.view(1, 3, 1).expand(len(grid), -1, -1), torch.full((len(grid), 1), e_layer)
        ).exp()
    below = torch.cumulative_trapezoid(density, grid)
    for quantile in (0.1, 0.5, 0.9):
        at = grid[1:][torch.searchsorted(below, quantile)]
        found = float((voxels.log() - log_e <= at).double().mean())
        assert found == pytest.approx(quantile, abs=5 * math.sqrt(quantile * (1 - quantile) / n) + 1e-3)


def test_hits_have_a_normalised_density():
    likelihood = HitsAndEnergies(LogEnergies([2], threshold=1e-3, standardize=False), 2)
    likelihood.log_odds.copy_(torch.tensor([0.3, 5.0]))
    likelihood.hits.mean.fill_(-4.0)
    threshold_share = -7.0
    grid = torch.linspace(threshold_share, 0, 20_001)
    e_layer = torch.full((len(grid), 1), 1e-3 * math.exp(-threshold_share))
    params = torch.zeros(1, 3, 2).expand(len(grid), -1, -1)
    # Of the first voxel alone, next to a second one that stays the same.
    x = torch.stack([grid, torch.full_like(grid, -4.0)], dim=1)
    for power in (1e-3, 1 / 3, 0.5):
        likelihood.raw_power.data.fill_(math.log(power / (1 - power)))
        with torch.no_grad():
            missed = likelihood.log_prob(torch.tensor([[1.0, -4.0]]), params[:1], e_layer[:1])
            second = missed - math.log(1 - 1 / (1 + math.exp(-0.3)))
            hit = torch.trapezoid((likelihood.log_prob(x, params, e_layer) - second).exp(), grid)
        assert float(hit) == pytest.approx(1 / (1 + math.exp(-0.3)), abs=1e-3)


def test_a_layer_without_a_drawn_hit_keeps_its_energy_in_one_voxel():
    model, _ = fitted(OURS)
    likelihood = model.manifold.likelihood
    likelihood.log_odds.fill_(-50.0)
    e_inc = torch.full((50,), 2e4, dtype=torch.float64)
    with torch.inference_mode():
        voxels = model.generate(e_inc, ShowerNoise(1, 0, 50))
        e_layer, _ = of_layers(model, e_inc)
    for k, where in enumerate(TOY.layer_slices):
        some = e_layer[:, k] >= model.config.manifold.threshold
        torch.testing.assert_close(voxels[some, where].sum(1).double(), e_layer[some, k], rtol=1e-5, atol=0)
        assert torch.equal((voxels[:, where] > 0).sum(1), some.long())


def test_products_in_bfloat16_are_near():
    model, _ = fitted(OURS | {"moments": True})
    check_products_in_bfloat16(model, share=0.05)


def test_mean_discrepancy():
    generator = torch.Generator().manual_seed(1)
    same, other = torch.randn(2, 500, 3, generator=generator)
    close = float(mmd(same, other).mean())
    far = float(mmd(same + 1, other).mean())
    assert abs(close) < 0.02 < far
    assert float(mmd(0.3 * same, other).mean()) > 0.02


def test_log_density():
    """Of coordinates: it integrates to one. On the manifold: a stretched decoder thins it out by the volume."""
    model, showers = fitted({"latent": 1, "condition_decoder": True}, {"conditioner": "coupling"})
    plain, thick = model.log_density(showers), model.log_density(showers, volume=True)
    assert plain.shape == (40,)
    assert bool((plain.isfinite() & thick.isfinite()).all())
    context = model.manifold.context(torch.full((1, 3), 5e3), torch.empty(1, 0), torch.tensor([2e4])).expand(
        4001, -1
    )
    grid = torch.linspace(-40, 40, 4001)[:, None]
    with torch.no_grad():
        density = model.density.log_prob(
            grid * model.density.scale.std + model.density.scale.mean, context
        ).exp()
    assert float(torch.trapezoid(density, grid[:, 0] * model.density.scale.std)) == pytest.approx(1, abs=1e-3)
    with torch.no_grad():
        model.manifold.decoder[-1].weight *= 2
        model.manifold.decoder[-1].bias *= 2
    torch.testing.assert_close(
        thick - model.log_density(showers, volume=True), torch.full((40,), math.log(2)).double()
    )


@pytest.mark.parametrize("manifold", [{}, OURS], ids=["gaussian", "hits"])
def test_the_volume_is_that_of_the_decoders_derivative(manifold):
    model, showers = fitted(manifold)
    stage = model.manifold
    batch = stage.draw(stage.rows(showers), torch.Generator().manual_seed(1))
    for z, context in zip(batch["normal"][:5], batch["context"], strict=False):
        jacobian = torch.autograd.functional.jacobian(
            lambda z, c=context: stage.likelihood.mean(stage.params(z[None], c[None]))[0], z
        ).double()
        expected = 0.5 * torch.logdet(jacobian.T @ jacobian)
        torch.testing.assert_close(
            stage.log_volume(z[None], context[None])[0], expected, rtol=1e-4, atol=1e-3
        )


def test_coordinates_that_move_nothing_have_no_density_on_the_manifold():
    model, showers = fitted({"latent": 2})
    with torch.no_grad():
        model.manifold.decoder[0].weight[:, 1] = 0
    assert bool(torch.isposinf(model.log_density(showers, volume=True)).all())


def test_the_estimated_dimension_becomes_a_number_of_the_run(tmp_path):
    train_tiny(tmp_path, family="caloman")
    config = json.loads((tmp_path / "run.json").read_text())["config"]
    latent = config["model"]["manifold"]["latent"]
    assert 1 <= latent <= 6
    generator = load_model(tmp_path)
    assert generator.model.manifold.n_latent == latent
    assert generator.header.settings["manifold"]["latent"] == latent
    whole = generator.sample(np.full(30, 2e4), seed=1)
    part = generator.sample(np.full(10, 2e4), seed=1, start=20)
    np.testing.assert_array_equal(whole.voxels[20:], part.voxels)


def test_too_few_showers_for_an_estimate(tmp_path):
    with pytest.raises(ValueRangeError, match=r"9 different points are too few for k = 10 neighbours"):
        train_tiny(tmp_path / "run", showers=tiny_showers(10), family="caloman")
    train_tiny(tmp_path / "run", "model.manifold.latent=2", showers=tiny_showers(10), family="caloman")


@pytest.mark.parametrize(
    ("latent", "match"),
    [
        (7, r"at most 5 dimensions \(5 of their 6 voxels are not the same in all\)"),
        (6, "at most 5 dimensions"),
        (0, "latent must be at least 1"),
    ],
)
def test_more_coordinates_than_dimensions(latent, match, tmp_path):
    showers = tiny_showers()
    voxels = showers.voxels.copy()
    voxels[:, 0] = 0
    constant = Showers(e_inc=showers.e_inc, voxels=voxels, geometry=showers.geometry)
    with pytest.raises(ConfigError, match=match):
        train_tiny(tmp_path / "run", f"model.manifold.latent={latent}", showers=constant, family="caloman")
    assert not (tmp_path / "run").exists()


def test_building_needs_the_number_of_coordinates():
    open_ = settings()
    del open_["manifold"]["latent"]
    with pytest.raises(ConfigError, match="not known before the showers are: train with `caloforge train`"):
        build_model("caloman", open_, TOY)
    with pytest.raises(ConfigError, match="latent = 18 coordinates are more than the 17 voxels"):
        build_model("caloman", settings({"latent": 18}), TOY)
    with pytest.raises(ConfigError, match="at most 2,000,000,000 are allowed"):
        build_model("caloman", settings({"hidden": 60_000, "depth": 4}), TOY)


@pytest.mark.parametrize(
    ("section", "name", "value", "error"),
    [
        ("manifold", "hidden", 0, ConfigError),
        ("manifold", "encoder_hidden", 0, ConfigError),
        ("manifold", "depth", 0, ConfigError),
        ("manifold", "beta", -0.1, ConfigError),
        ("manifold", "dropout", 1.0, ConfigError),
        ("manifold", "threshold", 0.0, ConfigError),
        ("manifold", "alpha", 0.5, ConfigError),
        ("manifold", "kind", "gan", UnknownNameError),
        ("manifold", "likelihood", "hit", UnknownNameError),
        ("density", "blocks", 0, ConfigError),
        ("density", "hidden", 0, ConfigError),
        ("density", "conditioner", "none", UnknownNameError),
        ("density", "permutation_seed", -1, ConfigError),
    ],
)
def test_values_that_make_no_sense(section, name, value, error):
    with pytest.raises((error, ConfigError), match=name):
        build_model("caloman", settings(**{section: {name: value}}), TOY)


def test_the_papers_defaults():
    """Those of the authors' code."""
    data = load_recipe("caloman-paper")
    model = build_model("caloman", data["model"], get_geometry("calogan"))
    manifold, density = model.config.manifold, model.config.density
    assert (manifold.kind, manifold.latent, manifold.hidden, manifold.depth) == ("vae", 35, 512, 3)
    assert (manifold.likelihood, manifold.beta) == ("gaussian", 1.0)
    assert not (manifold.condition_encoder)
    assert not (manifold.condition_decoder)
    assert (density.blocks, density.depth, density.hidden, density.bins) == (4, 3, 64, 8)
    # Linear layers 504-512-512-512-70 and 35-512-512-512-504, and one width.
    ends = 505 * 512 + 513 * 70 + 36 * 512 + 513 * 504
    assert model.n_parameters("manifold") == ends + 4 * 513 * 512 + 1
