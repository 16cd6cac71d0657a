"""Learning rate and batches per step as pure functions of the iteration: resuming needs no scheduler state."""

import math

from caloforge.training.config import StageConfig

__all__ = ["accumulation", "learning_rate"]

_WARM_UP = 0.02
_RISE = 0.3
_START, _END = 1 / 25, 1 / 2.5e5  # of the top: the conventional one-cycle ends


def learning_rate(config: StageConfig, iteration: int, *, per_epoch: int) -> float:
    """Adam's step size at an iteration of a stage with ``per_epoch`` iterations per epoch."""
    top = config.learning_rate
    if config.schedule == "milestones":
        epoch = iteration // per_epoch
        return top * config.decay ** sum(epoch >= milestone for milestone in config.milestones)
    total = config.epochs * per_epoch
    done = (iteration + 1) / total
    if config.schedule == "cosine":
        return top * min(1.0, done / _WARM_UP) * _fall(1.0, 0.0, done)
    if done < _RISE:
        return top * _fall(_START, 1.0, done / _RISE)
    return top * _fall(1.0, _END, (done - _RISE) / (1 - _RISE))


def accumulation(config: StageConfig, epoch: int) -> int:
    """Batches per step of the optimizer in an epoch, counted from 0."""
    passed = sum(epoch >= milestone for milestone in config.milestones)
    return config.accumulate[min(passed, len(config.accumulate) - 1)]


def _fall(start: float, end: float, share: float) -> float:
    """Half a cosine from ``start`` to ``end``."""
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * min(share, 1.0)))
