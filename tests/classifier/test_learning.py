"""AUC against sample size."""

from dataclasses import replace

import pytest

from caloforge.classifier import ClassifierConfig, classifier_test, learning_curve
from caloforge.errors import ValueRangeError

TREES = ClassifierConfig(architecture="trees", epochs=20, trainings=2)


def test_last_point_is_the_test_itself(gaussian, tmp_path):
    samples = gaussian(400, shift=2.0, seed=1), gaussian(300, seed=2)
    whole = classifier_test(*samples, TREES, checkpoint_dir=tmp_path)
    seen = []
    curve = learning_curve(*samples, TREES, checkpoint_dir=tmp_path, on_progress=seen.append)
    assert [point.n_showers for point in curve.points] == [37, 75, 150, 300]
    assert curve.points[-1].aucs == whole.aucs
    assert {p.n_showers for p in seen} == {37, 75, 150}
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 0.75  # the last quarter was there
    # Few showers show less.
    assert curve.points[0].auc < curve.points[-1].auc
    assert curve.points[0].auc_error > curve.points[-1].auc_error


def test_sizes(gaussian):
    samples = gaussian(60, seed=1), gaussian(40, seed=2)
    one = replace(TREES, trainings=1)
    assert [p.n_showers for p in learning_curve(*samples, one, sizes=[40, 20]).points] == [20, 40]
    for sizes in ([5], [20, 41]):
        with pytest.raises(ValueRangeError, match=r"10 \.\. 40"):
            learning_curve(*samples, one, sizes=sizes)
