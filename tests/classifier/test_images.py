"""The image network: what it sees, what it must not see, and that it is one test like the others."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from caloforge import Showers
from caloforge.classifier import ClassifierConfig, classifier_test
from caloforge.classifier.images import ImageNetwork, portion_size
from caloforge.classifier.inputs import InputTable
from caloforge.classifier.network_training import _portion
from caloforge.classifier.networks import build_network
from caloforge.errors import ConfigError
from caloforge.evaluation import reference_sample
from caloforge.geometry import Geometry, get_geometry
from support.toys import cartesian, geometry_of, polar, toy_showers

IMAGES = ClassifierConfig(architecture="images", inputs="log-voxels", epochs=6, trainings=1)
EACH = {
    "stack": geometry_of(*[cartesian(5, 4)] * 3),
    "own grids": geometry_of(cartesian(3, 24), cartesian(6, 6), cartesian(6, 3)),
    "rings and slices": geometry_of(polar(1, 5), polar(8, 4), polar(8, 4), polar(2, 3), polar(1, 5)),
    "single voxels": geometry_of(cartesian(1, 1), cartesian(1, 2)),
}


def network(geometry: Geometry) -> ImageNetwork:
    net = build_network(IMAGES, geometry, 1 + geometry.n_voxels, seed=3)
    assert isinstance(net, ImageNetwork)
    return net.eval()


def logits(net: ImageNetwork, showers: Showers) -> np.ndarray:
    table = InputTable(showers, showers, IMAGES)
    with torch.inference_mode():
        return net(torch.from_numpy(table.rows(np.arange(len(showers))))).numpy()


def mirrored(showers: Showers) -> Showers:
    voxels = np.empty_like(showers.voxels)
    for layer, where in enumerate(showers.geometry.layer_slices):
        image = showers.geometry.layer_voxels(showers.voxels, layer)
        voxels[:, where] = image[:, ::-1].reshape(len(showers), -1)
    return Showers(e_inc=showers.e_inc, voxels=voxels, geometry=showers.geometry)


def exchanged(showers: Showers, *, seed: int) -> Showers:
    """Each voxel and its mirror image in y change places in half of the showers.

    Layer energies, hits, the spectrum and the radial profile stay; what neighbours have to do with each other goes.
    """
    rng = np.random.default_rng(seed)
    voxels = showers.voxels.copy()
    for layer, where in enumerate(showers.geometry.layer_slices):
        image = showers.geometry.layer_voxels(showers.voxels, layer)
        half = rng.random(image.shape) < 0.5
        n = image.shape[2]
        half[:, :, -(-n // 2) :] = half[:, :, : n // 2][:, :, ::-1]
        voxels[:, where] = np.where(half, image[:, :, ::-1], image).reshape(len(showers), -1)
    return Showers(e_inc=showers.e_inc, voxels=voxels, geometry=showers.geometry)


def test_exchanged_mirror_images_are_found_and_nothing_else():
    sample = Showers.concatenate([reference_sample(name) for name in ("eplus", "gamma", "piplus")])
    right = classifier_test(sample[::2], sample[1::2], IMAGES)
    assert abs(right.auc - 0.5) < 5 / np.sqrt(6 * right.n_test)

    # Each shower and its mirror image in x, against the same showers exchanged: equal energies are split together.
    both = Showers.concatenate([sample, mirrored(sample)])
    broken = exchanged(both, seed=0)
    np.testing.assert_allclose(broken.e_layer, both.e_layer, rtol=1e-6)
    assert ((broken.voxels > 0).sum(1) == (both.voxels > 0).sum(1)).all()
    wrong = classifier_test(broken, both, IMAGES)
    assert wrong.auc > 0.5 + 5 / np.sqrt(6 * wrong.n_test / 2)


@pytest.mark.parametrize("kind", EACH)
def test_each_voxel_and_the_incident_energy_are_seen(kind):
    geometry = EACH[kind]
    net = network(geometry)
    x = torch.rand(1, 1 + geometry.n_voxels).repeat(2 + geometry.n_voxels, 1)
    for column in range(x.shape[1]):
        x[1 + column, column] += 3
    with torch.inference_mode():
        changed = (net(x)[1:] - net(x)[0]).abs()
    assert (changed > 1e-7).float().mean() > 0.9  # a unit may be off
    assert changed[0] > 1e-7


def test_a_hit_is_more_than_its_energy():
    """A hit of almost no energy: the same logarithm as an empty voxel, and yet seen."""
    geometry = EACH["stack"]
    x = torch.zeros(2, 1 + geometry.n_voxels)
    x[1, 1:] = 1e-30
    with torch.inference_mode():
        empty, soft = network(geometry)(x)
    assert (empty - soft).abs() > 1e-4


@pytest.mark.parametrize("name", ["rings and slices", "calochallenge_1_photons", "calochallenge_2"])
def test_nothing_depends_on_where_alpha_begins(name):
    geometry = EACH.get(name) or get_geometry(name)
    showers = toy_showers(geometry, 6)
    turned, mixed = showers.voxels.copy(), showers.voxels.copy()
    for layer, where in enumerate(geometry.layer_slices):
        n = geometry.layers[layer].grid.shape[0]
        image = geometry.layer_voxels(showers.voxels, layer)
        # By the same angle in all layers: an eighth or, where there are only two slices, not at all.
        turned[:, where] = np.roll(image, n // 8, axis=1).reshape(6, -1) if n >= 8 else image.reshape(6, -1)
        mixed[:, where] = image[:, np.random.default_rng(layer).permutation(n)].reshape(6, -1)
    net = network(geometry)
    expected = logits(net, showers)
    again, other = (
        logits(net, Showers(e_inc=showers.e_inc, voxels=voxels, geometry=geometry))
        for voxels in (turned, mixed)
    )
    np.testing.assert_allclose(again, expected, atol=2e-5)
    assert np.abs(other - expected).max() > 1e-3  # but on which slices are neighbours


def test_weights_depend_on_the_seed_only():
    first, same, other = (
        build_network(IMAGES, EACH["stack"], 61, seed=seed).state_dict()["head.1.weight"]
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", ["calogan", "ild_ecal", "calochallenge_3"])
def test_stays_small(name):
    """A few numbers to learn from a few thousand showers, whatever the number of voxels."""
    with torch.device("meta"):
        net = ImageNetwork(get_geometry(name))
    assert sum(p.numel() for p in net.parameters()) < 50_000


def test_portions_go_on_where_the_one_before_ended():
    index = np.arange(100, 110)
    portions = [_portion(index, epoch, size=4, seed=0) for epoch in range(5)]
    assert all(len(portion) == 4 for portion in portions)
    both = np.concatenate(portions)
    assert sorted(both[:10]) == sorted(both[10:]) == index.tolist()
    assert both[:10].tolist() != both[10:].tolist()
    assert sorted(_portion(index, 3, size=1000, seed=0)) == index.tolist()  # at most all
    np.testing.assert_array_equal(portions[3], _portion(index, 3, size=4, seed=0))


def test_portions_are_smaller_where_a_shower_is_large():
    assert portion_size(get_geometry("calogan")) > portion_size(get_geometry("ild_ecal"))


def test_killed_and_repeated(tmp_path):
    geometry = EACH["rings and slices"]
    samples = tuple(toy_showers(geometry, 40, seed=seed) for seed in (1, 2))
    config = replace(IMAGES, trainings=2)

    def kill(progress):
        if (progress.training, progress.epoch) == (1, 2):
            raise KeyboardInterrupt

    def numbers(result):
        return [asdict(replace(training, seconds=0.0)) for training in result.trainings]

    whole = classifier_test(*samples, config)
    with pytest.raises(KeyboardInterrupt):
        classifier_test(*samples, config, checkpoint_dir=tmp_path, save_seconds=0, on_progress=kill)
    seen = []
    again = classifier_test(*samples, config, checkpoint_dir=tmp_path, on_progress=seen.append)
    assert numbers(again) == numbers(whole)
    assert next((p.training, p.epoch) for p in seen if p.epoch) == (1, 3)
    assert whole.n_parameters == sum(p.numel() for p in network(geometry).parameters())


@pytest.mark.parametrize("inputs", ["unnormalised", "features"])
def test_takes_log_voxels_only(inputs):
    with pytest.raises(ConfigError, match="log-voxels"):
        ClassifierConfig(architecture="images", inputs=inputs)


@pytest.mark.parametrize("architecture", ["caloflow", "trees"])
def test_others_take_log_voxels_too(architecture):
    samples = [toy_showers(EACH["single voxels"], 40, seed=seed) for seed in (1, 2)]
    config = ClassifierConfig(architecture=architecture, inputs="log-voxels", trainings=1, epochs=1)
    assert classifier_test(*samples, config).n_inputs == 4
