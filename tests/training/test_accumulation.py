"""Gradients of several batches in one step are those of one larger batch."""

import pytest
import torch
from torch import nn

from caloforge.models import ShowerModel, Stage
from caloforge.seeding import derive_seed
from caloforge.training import RunConfig, split_showers, train
from support.tiny_runs import GEOMETRY, tiny_showers


class Line(Stage):
    """A fit without noise, so that the batches are all there is."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, GEOMETRY.n_voxels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def fit(self, showers, *, seed):
        pass

    def rows(self, showers):
        arrays = {"voxels": showers.voxels, "e_inc": showers.e_inc}
        return {name: torch.from_numpy(a).double() / 1e4 for name, a in arrays.items()}

    def draw(self, rows, generator):
        return rows

    def forward(self, batch):
        return (self.linear(batch["e_inc"][:, None]) - batch["voxels"]).square().sum(1)


class LineModel(ShowerModel):
    def __init__(self):
        super().__init__(GEOMETRY)
        self.line = Line()

    @classmethod
    def build(cls, settings, geometry):
        return cls()

    @property
    def settings(self):
        return {}

    @property
    def stages(self):
        return {"line": self.line}

    def generate(self, e_inc, noise):
        raise NotImplementedError


def trained(folder, *settings):
    folder.mkdir()
    data = {"family": "line", "precision": "float64", "training": {"line": {"epochs": 3}}}
    settings = [f"training.line.{s}" for s in ("learning_rate=1e-3", *settings)]
    config = RunConfig.from_dict(data, settings)
    return train(LineModel(), tiny_showers(), config, folder).line.linear


def expected(group, *, clip=None):
    """Adam by hand over groups of batches of 10, the last group of an epoch as it comes.

    Slow enough that the last epoch is the best, which is what training gives back.
    """
    showers = tiny_showers()
    training, _ = split_showers(len(showers), validation=0.1, seed=1)
    line = Line().double()
    rows = line.rows(showers[training])
    optimizer = torch.optim.Adam(line.parameters(), lr=1e-3)
    for epoch in range(3):
        generator = torch.Generator().manual_seed(derive_seed(1, "line", "order", epoch))
        order = torch.randperm(len(training), generator=generator)[: len(training) // 10 * 10]
        for index in torch.split(order, 10 * group):
            optimizer.zero_grad()
            line({key: value[index] for key, value in rows.items()}).mean().backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(line.parameters(), clip)
            optimizer.step()
    return line.linear


@pytest.mark.parametrize("group", [1, 2, 4, 50])
def test_several_batches_are_one_larger(tmp_path, group):
    found = trained(tmp_path / "run", "batch_size=10", f"accumulate=[{group}]")
    for name, parameter in expected(group).named_parameters():
        torch.testing.assert_close(found.get_parameter(name), parameter.detach(), rtol=1e-10, atol=1e-12)


def test_the_sum_is_clipped_not_its_parts(tmp_path):
    found = trained(tmp_path / "run", "batch_size=10", "accumulate=[3]", "clip_norm=0.5")
    for name, parameter in expected(3, clip=0.5).named_parameters():
        torch.testing.assert_close(found.get_parameter(name), parameter.detach(), rtol=1e-10, atol=1e-12)


def test_the_number_changes_at_a_milestone(tmp_path):
    settings = ("batch_size=10", "milestones=[3]", "decay=1.0")
    same, one, two = (
        trained(tmp_path / name, *settings, f"accumulate={numbers}")
        for name, numbers in (("a", "[2, 5]"), ("b", "[2]"), ("c", "[5]"))
    )
    assert torch.equal(same.weight, one.weight)  # the milestone lies behind the last epoch
    assert not torch.allclose(one.weight, two.weight, rtol=1e-6)
