"""Loss against epoch, one panel per stage of training."""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from caloforge.plotting.style import save_figure

__all__ = ["plot_losses"]


def plot_losses(metrics: Path, path: Path) -> None:
    """Draw the ``metrics.csv`` of a training run.

    Args:
        metrics: The CSV file.
        path: Picture to write; its suffix chooses the format.
    """
    with metrics.open(newline="") as file:
        records = list(csv.DictReader(file))
    if not records:
        return
    stages: dict[str, list[dict[str, str]]] = defaultdict(list)
    for record in records:
        stages[record["stage"]].append(record)
    figure = Figure(figsize=(4.5 * len(stages), 3.4), layout="constrained")
    for axes, (name, history) in zip(
        figure.subplots(1, len(stages), squeeze=False)[0], stages.items(), strict=True
    ):
        epoch = [int(record["epoch"]) for record in history]
        training = np.array([float(record["train_loss"]) for record in history])
        validation = np.array([float(record["validation_loss"]) for record in history])
        axes.plot(epoch, training, label="training", color="tab:gray")
        axes.plot(epoch, validation, label="validation", color="tab:blue")
        # Runs of earlier versions do not say what chose the best epoch.
        best = int(
            np.argmin([float(record.get("criterion", record["validation_loss"])) for record in history])
        )
        axes.plot(epoch[best], validation[best], "o", color="tab:blue", label=f"best: {validation[best]:.4g}")
        # The first epochs fall from far above; show where the curve ends up.
        low = min(training.min(), validation.min())
        high = np.quantile(validation, 0.9) if len(epoch) > 10 else max(training.max(), validation.max())
        axes.set_ylim(low - 0.05 * (high - low + 1e-9), high + 0.3 * (high - low + 1e-9))
        axes.set(xlabel="epoch", ylabel="loss per shower", title=f"stage {name}")
        axes.legend(frameon=False)
    save_figure(figure, path)
