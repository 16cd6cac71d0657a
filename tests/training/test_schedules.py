"""The learning rate is a pure function of the iteration, with values that can be worked out by hand."""

import math

import pytest

from caloforge.errors import ConfigError, UnknownNameError
from caloforge.training import RunConfig, StageConfig
from caloforge.training.schedules import accumulation, learning_rate


def test_milestones():
    config = StageConfig(learning_rate=1e-3, milestones=(2, 3), decay=0.1)
    rates = [learning_rate(config, k, per_epoch=5) for k in range(20)]
    assert rates == pytest.approx([1e-3] * 10 + [1e-4] * 5 + [1e-5] * 5)


def test_cosine_warms_up_and_falls_to_zero():
    config = StageConfig(learning_rate=1e-2, schedule="cosine", epochs=10)
    rates = [learning_rate(config, k, per_epoch=100) for k in range(1000)]
    assert rates[0] == pytest.approx(1e-2 / 20, rel=1e-4)  # the first of 20 iterations of warm-up
    assert max(rates) == rates[19] == pytest.approx(1e-2, rel=1e-2)
    assert rates[499] == pytest.approx(5e-3)
    assert rates[749] == pytest.approx(1e-2 * 0.5 * (1 + math.cos(0.75 * math.pi)))
    assert rates[-1] == 0.0


def test_onecycle_has_the_conventional_ends():
    config = StageConfig(learning_rate=1e-2, schedule="onecycle", epochs=10)
    rates = [learning_rate(config, k, per_epoch=100) for k in range(1000)]
    assert rates[0] == pytest.approx(1e-2 / 25, rel=1e-3)
    assert rates[299] == pytest.approx(1e-2)
    assert rates[149] == pytest.approx(0.5 * (1e-2 + 1e-2 / 25))
    assert rates[-1] == pytest.approx(1e-2 / 2.5e5)
    assert rates == sorted(rates[:300]) + sorted(rates[300:], reverse=True)


@pytest.mark.parametrize("schedule", ["milestones", "cosine", "onecycle"])
def test_one_iteration_in_all(schedule):
    rate = learning_rate(StageConfig(schedule=schedule, epochs=1), 0, per_epoch=1)
    assert 0 <= rate <= 1e-4


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ("epochs=0", "epochs must be at least 1, got 0"),
        ("batch_size=0", "batch_size must be at least 1"),
        ("learning_rate=0", "learning_rate must lie between 0 and 1"),
        ("learning_rate=nan", "learning_rate must lie between 0 and 1"),
        ("decay=1.5", "decay must lie in"),
        ("weight_decay=-1", "weight_decay must be finite and not negative"),
        ("clip_norm=0", "clip_norm must be positive"),
        ("clip_norm=nan", "clip_norm must be positive"),
        ("weight_decay=nan", "weight_decay must be finite and not negative"),
        ("patience=0", "patience must be at least 1"),
        ("epochs=1.5", "training.a.epochs = 1.5"),
        ("milestones=3", "training.a.milestones = 3"),
    ],
)
def test_bad_settings(setting, match):
    with pytest.raises(ConfigError, match=match):
        RunConfig.from_dict({"family": "caloflow"}, [f"training.a.{setting}"])


def test_unknown_settings():
    with pytest.raises(UnknownNameError, match="Did you mean 'learning_rate'"):
        RunConfig.from_dict({"family": "caloflow"}, ["training.a.learningrate=1"])
    with pytest.raises(UnknownNameError, match="Did you mean 'cosine'"):
        RunConfig.from_dict({"family": "caloflow"}, ["training.a.schedule=cosin"])
    with pytest.raises(ConfigError, match="validation must lie between 0 and 1"):
        RunConfig.from_dict({"family": "caloflow", "validation": 1.0})


def test_a_run_is_plain_data_and_back():
    config = RunConfig.from_dict(
        {"family": "caloflow", "training": {"a": {"milestones": [1, 2], "patience": 3}}}
    )
    assert RunConfig.from_dict(config.to_dict()) == config
    assert config.with_seed(7).to_dict() == config.to_dict() | {"seed": 7}


def test_batches_per_step_change_at_the_milestones():
    """The student's schedule of CaloFlow II."""
    config = StageConfig(milestones=(10, 40, 70), accumulate=(2, 4, 8, 16))
    numbers = [accumulation(config, epoch) for epoch in range(100)]
    assert numbers == [2] * 10 + [4] * 30 + [8] * 30 + [16] * 30
    assert accumulation(StageConfig(milestones=(10, 40), accumulate=(2, 3)), 99) == 3
    assert accumulation(StageConfig(), 7) == 1


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"accumulate": ()}, r"accumulate must be one or more numbers from 1 up, got \[\]"),
        ({"accumulate": (0,)}, r"numbers from 1 up, got \[0\]"),
        ({"accumulate": (2, 4), "milestones": ()}, "needs 1 milestones, one for each change; there are 0"),
    ],
)
def test_accumulation_that_makes_no_sense(values, match):
    with pytest.raises(ConfigError, match=match):
        StageConfig(**values)
