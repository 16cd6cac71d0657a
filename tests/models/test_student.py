"""Students of CaloFlow: sizes as published, what they take over, and the loss that trains them."""

import math

import pytest
import torch

from caloforge.errors import ConfigError
from caloforge.geometry import get_geometry
from caloforge.models import DistillationConfig, build_model
from caloforge.models.caloflow import CaloFlow
from caloforge.models.checkpoint import load_checkpoint, save_model
from caloforge.noise import ShowerNoise
from caloforge.recipes import load_recipe
from support.checks import no_global_draws
from support.toys import cartesian, geometry_of, toy_showers

TOY = geometry_of(cartesian(3, 4), cartesian(2, 2), cartesian(1, 1))
ENERGIES = {"blocks": 1, "hidden": 4, "bins": 3, "standardize": True, "min_bin": 1e-3, "min_slope": 1e-3}
SHAPE = {
    "blocks": 3,
    "hidden": 9,
    "bins": 3,
    "bound": 8.0,
    "min_bin": 1e-2,
    "min_slope": 1e-2,
    "encoding": "log-energy",
    "standardize": True,
    "dropout": 0.3,
}


def stirred(model, seed):
    """Far from the identity, which hides mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.shape.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def teacher_of(geometry, **shape):
    model = stirred(build_model("caloflow", {"energies": ENERGIES, "shape": SHAPE | shape}, geometry), 1)
    model.set_precision(torch.float64)
    showers = toy_showers(geometry, 60)
    model.fit_range(showers)
    for stage in model.stages.values():
        stage.fit(showers, seed=1)
    return model, showers


def student_of(geometry, *, energies=None, **shape):
    settings = {"energies": energies or ENERGIES, "shape": SHAPE | {"role": "student"} | shape}
    return stirred(build_model("caloflow", settings, geometry), 2).set_precision(torch.float64)


def distillation(geometry, *, config=None, **shape):
    """Teacher, student, the stage and a batch."""
    teacher, showers = teacher_of(geometry)
    student = student_of(geometry, **shape)
    stage = student.distillation(teacher, config or DistillationConfig())["shape"]
    return teacher, student, stage, stage.draw(stage.rows(showers), torch.Generator().manual_seed(4))


@pytest.mark.parametrize(
    ("recipe", "shape", "total"),
    [
        ("caloflow-v2", 50_924_160, None),  # arXiv:2110.11377, 504 units
        ("caloflow-v2-ds1-photons", None, 56_554_930),  # arXiv:2210.14245, 736 units, with flow I
    ],
)
def test_parameters_are_as_many_as_published(recipe, shape, total):
    data = load_recipe(recipe)
    geometry = get_geometry(data["geometry"])
    model = build_model(data["family"], data["model"], geometry)
    assert model.needs_teacher
    assert shape in (None, model.n_parameters("shape"))
    assert total in (None, model.n_parameters())
    assert CaloFlow.count_parameters(data["model"], geometry) == model.n_parameters()


def test_a_student_takes_over_everything_but_flow_ii():
    teacher, student, _, _ = distillation(TOY, hidden=12, depth=2, dropout=0.0)
    assert torch.equal(student.e_inc_range, teacher.e_inc_range)
    for mine, theirs in (
        (student.energies, teacher.energies),
        (student.shape.step, teacher.shape.step),
        (student.shape.context_scale, teacher.shape.context_scale),
    ):
        expected = theirs.state_dict()
        assert all(torch.equal(value, expected[key]) for key, value in mine.state_dict().items())
    orders = [b.order for b in teacher.shape.chain.blocks if hasattr(b, "order")]
    shared = [b.bijection.order for b in student.shape.chain.blocks if hasattr(b, "bijection")]
    assert [o.tolist() for o in orders] == [o.tolist() for o in shared[::-1]]


def test_a_student_is_an_ordinary_model(tmp_path):
    _, student, _, _ = distillation(TOY)
    path = tmp_path / "student.safetensors"
    save_model(student, path, family="caloflow", provenance={})
    loaded, header = load_checkpoint(path)
    assert header.settings["shape"]["role"] == "student"
    e_inc = torch.logspace(3.1, 4.9, 50, dtype=torch.float64)
    with torch.inference_mode(), no_global_draws():
        voxels = loaded.generate(e_inc, ShowerNoise(1, 0, 50, dtype=torch.float64))
        assert torch.equal(voxels, student.generate(e_inc, ShowerNoise(1, 0, 50, dtype=torch.float64)))
        e_layer = student.energies.decode(
            ShowerNoise(1, 0, 50, dtype=torch.float64).normal(TOY.n_layers), e_inc
        )
    sums = torch.from_numpy(TOY.e_layer(voxels.numpy()))
    torch.testing.assert_close(sums[sums > 0], e_layer[sums > 0])
    assert int((sums > 0).sum()) > 100


def test_sampling_is_dense_passes_only(monkeypatch):
    _, student, _, batch = distillation(TOY)

    def refuse(*args, **options):
        raise AssertionError("the slow direction was used")

    monkeypatch.setattr("caloforge.flows.masked.MADE.sweep", refuse)
    with torch.no_grad():
        x = student.shape.flow.decode(batch["z"], batch["z_context"])
        assert torch.equal(x, student.shape.chain.encode(batch["z"], batch["z_context"]))
        with pytest.raises(AssertionError):
            student.shape.flow.log_prob(x, batch["z_context"])


def test_both_losses_are_fast_passes_only(monkeypatch):
    _, _, stage, batch = distillation(TOY)
    monkeypatch.setattr("caloforge.flows.masked.MADE.sweep", None)
    stage(batch).mean().backward()


def test_zero_for_a_student_that_is_its_teachers_inverse():
    """With one voxel the networks see the context alone, so equal weights are inverse maps."""
    geometry = geometry_of(cartesian(1, 1))
    teacher, student, stage, batch = distillation(geometry)
    judged = {name: float(value.detach().mean()) for name, value in stage.judge(batch).items()}
    assert judged["loss"] > 1e-2
    assert judged["kl"] > 1e-2
    splines = [
        [block for block in chain.blocks if hasattr(block, "made")]
        for chain in (teacher.shape.chain, student.shape.chain)
    ]
    for mine, theirs in zip(splines[1][::-1], splines[0], strict=True):
        mine.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        judged = stage.judge(batch)
    for name in ("loss", "kl"):
        assert float(judged[name].abs().max()) < 1e-9, name
    torch.testing.assert_close(judged["nll"], judged["teacher_nll"])


SWITCHES = ("z_loss", "x_loss", "steps", "parameters")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_switches_add_up_to_the_full_loss(dtype):
    _, student, stage, batch = distillation(TOY)
    stage.to(dtype)
    assert {p.dtype for p in stage.teacher.parameters()} == {dtype}
    batch = {key: value.to(dtype) for key, value in batch.items()}
    student.eval()

    def loss(**on):
        config = {name: on.get(name, False) for name in SWITCHES}
        object.__setattr__(stage, "config", DistillationConfig(**config))
        with torch.no_grad():
            return stage(batch)

    parts = []
    for loop in ("z_loss", "x_loss"):
        ends = loss(**{loop: True})
        steps, parameters = (loss(**{loop: True, name: True}) - ends for name in ("steps", "parameters"))
        for part in (ends, steps, parameters):
            assert part.shape == (60,)
            assert float(part.min()) > 0
        assert bool((steps >= ends * (1 - 1e-5)).all())  # the ends are among the steps
        parts.append(ends + steps + parameters)
    torch.testing.assert_close(loss(**dict.fromkeys(SWITCHES, True)), parts[0] + parts[1])


def test_the_teacher_is_frozen_and_saved_nowhere():
    teacher, student, stage, batch = distillation(TOY)
    assert {id(p) for p in stage.parameters()} == {id(p) for p in student.shape.parameters()}
    assert all(key.startswith("student.") for key in stage.state_dict())
    stage.train()
    assert student.shape.training
    assert not teacher.shape.training
    before = [p.clone() for p in teacher.parameters()]
    optimizer = torch.optim.Adam(stage.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = stage(batch).mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    assert all(torch.equal(a, b) for a, b in zip(before, teacher.parameters(), strict=True))
    assert all(p.grad is None for p in teacher.parameters())


def test_noise_comes_with_energies_of_the_teachers_range():
    teacher, showers = teacher_of(TOY)
    stage = student_of(TOY).distillation(teacher, DistillationConfig())["shape"]
    rows = {key: value.repeat_interleave(100, 0) for key, value in stage.rows(showers).items()}
    with no_global_draws():
        batch = stage.draw(rows, torch.Generator().manual_seed(1))
    scale = teacher.shape.context_scale
    e_inc = 10 ** scale.decode(batch["z_context"])[:, 0]
    low, high = teacher.e_inc_range.tolist()
    assert low <= float(e_inc.min()) < low + 0.01 * (high - low)
    assert high >= float(e_inc.max()) > high - 0.01 * (high - low)
    assert float(e_inc.mean()) == pytest.approx((low + high) / 2, rel=0.02)  # uniform: 4 standard errors
    assert float(batch["z"].std()) == pytest.approx(1, abs=0.01)
    again = stage.draw(rows, torch.Generator().manual_seed(1))
    assert all(torch.equal(batch[key], again[key]) for key in batch)
    other = stage.draw(rows, torch.Generator().manual_seed(2))
    assert not torch.equal(batch["z"], other["z"])


def test_the_divergence_is_that_of_the_densities():
    """Against the mean of log student - log teacher by the slow density of the student's own samples."""
    teacher, student, stage, batch = distillation(TOY)
    with torch.no_grad():
        x = student.shape.flow.decode(batch["z"], batch["z_context"])
        expected = student.shape.flow.log_prob(x, batch["z_context"]) - teacher.shape.flow.log_prob(
            x, batch["z_context"]
        )
        judged = stage.judge(batch)
        torch.testing.assert_close(judged["kl"], expected)
        torch.testing.assert_close(judged["teacher_nll"], teacher.shape(batch))
        torch.testing.assert_close(judged["nll"], student.shape(batch))
    assert stage.criterion == "kl"
    object.__setattr__(stage, "config", DistillationConfig(nll=False))
    assert "nll" not in stage.judge(batch)
    assert math.isfinite(float(judged["kl"].mean()))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"blocks": 2}, r"differ in model\.shape\.blocks: 3 against 2; .* --set it"),
        ({"bins": 4}, r"model\.shape\.bins: 3 against 4"),
        ({"bound": 9.0}, r"model\.shape\.bound: 8\.0 against 9\.0"),
        ({"min_bin": 1e-4}, r"model\.shape\.min_bin"),
        ({"encoding": "logit-share"}, r"model\.shape\.encoding: log-energy against logit-share"),
        ({"threshold": 0.5}, r"model\.shape\.threshold"),
        ({"permutation_seed": 5}, r"model\.shape\.permutation_seed: 2 against 5"),
        ({"energies": ENERGIES | {"hidden": 5}}, r"model\.energies\.hidden: 4 against 5"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_student_that_does_not_match(change, match):
    teacher, _ = teacher_of(TOY)
    with pytest.raises(ConfigError, match=match):
        student_of(TOY, **change).distillation(teacher, DistillationConfig())


def test_who_can_be_teacher_and_student():
    teacher, _ = teacher_of(TOY)
    student = student_of(TOY)
    with pytest.raises(ConfigError, match="trained on showers"):
        teacher.distillation(teacher, DistillationConfig())
    with pytest.raises(ConfigError, match="must be a CaloFlow with"):
        student.distillation(student, DistillationConfig())
    with pytest.raises(ConfigError, match="both off"):
        DistillationConfig(z_loss=False, x_loss=False)
