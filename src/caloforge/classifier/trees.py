"""The fast level: gradient-boosted trees, which need a minute where a network needs an hour."""

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from caloforge.classifier.config import ClassifierConfig
from caloforge.classifier.inputs import InputTable
from caloforge.classifier.network_training import TrainedScores
from caloforge.classifier.scores import cross_entropy
from caloforge.classifier.splitting import Split
from caloforge.seeding import derive_seed

__all__ = ["train_trees"]

_LEAVES = 16
_TRIED = 60  # features a split chooses among, at random: as good as all of hundreds, and faster


def train_trees(table: InputTable, split: Split, config: ClassifierConfig, *, seed: int) -> TrainedScores:
    """Boost and score; as many trees as give the lowest cross entropy on the selection split.

    Args:
        table: The inputs.
        split: Which showers do what.
        config: Largest number of trees and their shrinkage.
        seed: Fixes what is random about trees.
    """
    trees = HistGradientBoostingClassifier(
        max_iter=config.epochs,
        learning_rate=config.learning_rate,
        max_leaf_nodes=_LEAVES,
        max_features=min(1.0, _TRIED / table.n_inputs),
        early_stopping=False,
        random_state=derive_seed(seed, "trees") % 2**32,
    )
    trees.fit(table.rows(split.train), table.labels[split.train])
    selection, labels = table.rows(split.selection), table.labels[split.selection]
    stages = [logits.reshape(len(labels)) for logits in trees.staged_decision_function(selection)]
    losses = [cross_entropy(logits, labels) for logits in stages]
    best = int(np.argmin(losses))
    return TrainedScores(
        selection=stages[best].astype(np.float64),
        test=_stage(trees, table.rows(split.test), best),
        epoch=best + 1,
        epochs=len(losses),
    )


def _stage(trees: HistGradientBoostingClassifier, x: np.ndarray, stage: int) -> np.ndarray:
    """Logits after some of the trees."""
    for k, logits in enumerate(trees.staged_decision_function(x)):
        if k == stage:
            return np.asarray(logits, dtype=np.float64).reshape(len(x))
    raise AssertionError
