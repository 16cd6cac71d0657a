"""The guard against reference showers that were in training."""

import warnings

import numpy as np
import pytest

from caloforge import Showers
from caloforge.errors import LeakageWarning, SameSampleError
from caloforge.evaluation import check_leakage
from caloforge.io.digests import N_SPOTS, sample_fingerprint, shower_digests, spot_digests
from support.toys import cartesian, geometry_of, toy_showers

GEOMETRY = geometry_of(cartesian(3, 3), cartesian(2, 2))
ALL = toy_showers(GEOMETRY, 600, seed=3)
TRAINED = ALL[:400]


def facts(showers=TRAINED, *, file="train.h5", start=0, spots=True):
    known = {
        "file": file,
        "start": start,
        "stop": start + len(showers),
        "fingerprint": sample_fingerprint(showers.e_inc, showers.e_dep),
    }
    return {"trained_on": known | ({"spots": list(spot_digests(showers))} if spots else {})}


def quiet(*args, **options):
    """The report, without the warning that may come with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeakageWarning)
        return check_leakage(*args, **options)


def test_held_out_showers_pass_whatever_their_file_is_called():
    report = check_leakage(facts(), ALL[400:], file="other.h5")
    assert report.status == "independent"
    assert report.n_found == 0
    assert "spots" not in report.trained_on
    assert check_leakage(facts(), ALL[400:], file="train.h5", start=400).status == "independent"


@pytest.mark.parametrize("spots", [True, False])
def test_training_showers_are_refused(spots):
    with pytest.raises(SameSampleError, match=r"train\.h5"):
        check_leakage(facts(spots=spots), ALL[300:], file="/data/train.h5", start=300)
    with pytest.warns(LeakageWarning, match="trained the model"):
        assert (
            check_leakage(facts(spots=spots), ALL[300:], file="train.h5", start=300, allow=True).status
            == "leak"
        )


def test_known_again_after_renaming_shuffling_thresholds_and_in_parts():
    order = np.random.default_rng(0).permutation(len(TRAINED))
    voxels = TRAINED.voxels[order].astype(np.float32)
    voxels[voxels < np.sort(voxels, axis=1)[:, -4:-3]] = 0  # the highest threshold that leaves four voxels
    copy = Showers(e_inc=TRAINED.e_inc[order], voxels=voxels, geometry=GEOMETRY)
    report = quiet(facts(), (copy[k : k + 7] for k in range(0, 400, 7)), file="renamed.h5", allow=True)
    assert report.status == "leak"
    assert report.n_found == report.n_spots > 0.7 * N_SPOTS


def test_a_fifth_of_the_training_showers_is_enough():
    mixed = Showers.concatenate([ALL[400:], TRAINED[::5]])
    assert quiet(facts(), mixed, file="mixed.h5", allow=True).status == "leak"


def test_old_weights_without_digests():
    known = facts(spots=False)
    assert check_leakage(known, ALL[400:], file="train.h5", start=400).status == "independent"
    # The whole training sample under another name, by its fingerprint; a part of it cannot be known.
    assert quiet(known, ALL, file="renamed.h5", allow=True).status == "leak"
    with pytest.warns(LeakageWarning, match="cannot be known"):
        assert check_leakage(known, ALL[:300], file="renamed.h5").status == "unknown"


def test_other_showers_under_the_same_name_pass_by_their_digests():
    others = toy_showers(GEOMETRY, 400, seed=77)
    assert check_leakage(facts(), others, file="train.h5", start=0).status == "independent"


@pytest.mark.parametrize(
    "provenance",
    [{}, {"generator": "caloforge", "trained_on": None}, {"trained_on": "?"}, {"trained_on": {"file": 3}}],
)
def test_unknown_training_warns(provenance):
    with pytest.warns(LeakageWarning):
        assert check_leakage(provenance, ALL).status == "unknown"


def test_simulated_showers_need_no_warning():
    assert check_leakage({"attributes": {"geant4": "11.4.1"}}, ALL).status == "independent"


def test_digest_of_a_shower():
    digests = shower_digests(ALL)
    assert len(set(digests)) > 0.8 * len(ALL)
    changed = Showers(e_inc=ALL.e_inc * 1.001, voxels=ALL.voxels, geometry=GEOMETRY)
    assert not set(digests) & set(shower_digests(changed)) - {""}
    empty = Showers(e_inc=np.array([1.0]), voxels=np.zeros((1, GEOMETRY.n_voxels)), geometry=GEOMETRY)
    assert shower_digests(empty) == [""]
    assert shower_digests(empty[:0]) == []
    one_voxel = geometry_of(cartesian(1, 1))
    assert shower_digests(Showers(e_inc=np.ones(1), voxels=np.ones((1, 1)), geometry=one_voxel)) == [""]
