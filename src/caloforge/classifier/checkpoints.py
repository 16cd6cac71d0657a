"""Finished trainings on disk, so that a test that was killed goes on where it was."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from caloforge.classifier.config import ClassifierConfig
from caloforge.classifier.result import TrainingResult
from caloforge.config import from_mapping
from caloforge.errors import CaloForgeError
from caloforge.files import atomic_path, explain_os_error
from caloforge.showers import Showers

__all__ = ["FinishedTrainings"]

_FORMAT = 3
"""Goes up when the same showers and settings give other numbers than before."""
_ROWS = 4096


@final
class FinishedTrainings:
    """A folder of trainings; each is found again by its showers and settings only.

    Args:
        folder: Made when the first training is kept; ``None`` keeps nothing.
        generated: Showers of the test.
        reference: Showers of the test.
        config: Settings of the test; the number of trainings does not count, so that more can be added.
        device: Numbers of another kind of device differ a little.
    """

    def __init__(
        self,
        folder: Path | None,
        generated: Showers,
        reference: Showers,
        config: ClassifierConfig,
        *,
        device: torch.device,
    ) -> None:
        self._folder = folder
        if folder is None:
            return
        settings = {key: value for key, value in asdict(config).items() if key != "trainings"}
        text = json.dumps([_FORMAT, settings, device.type, torch.__version__], sort_keys=True, default=str)
        found = hashlib.sha256(text.encode())
        for showers in (generated, reference):
            _add(found, showers)
        self._key = found.hexdigest()[:16]

    def load(self, number: int) -> TrainingResult | None:
        """A finished training, or nothing where there is none or its file is damaged."""
        if self._folder is None:
            return None
        try:
            known = json.loads(self._path(number, "json").read_text())
            return from_mapping(TrainingResult, known)
        except (OSError, ValueError, TypeError, CaloForgeError):
            return None

    def save(self, number: int, result: TrainingResult) -> None:
        """Keep a finished training, and drop its state.

        Raises:
            OutputError: It cannot be written.
        """
        if self._folder is None:
            return
        self._make_folder(self._folder)
        with atomic_path(self._path(number, "json")) as part:
            part.write_text(json.dumps(asdict(result), allow_nan=False))
        self._path(number, "safetensors").unlink(missing_ok=True)

    def state(self, number: int) -> Path | None:
        """Where a running training keeps its state; its folder exists."""
        if self._folder is None:
            return None
        self._make_folder(self._folder)
        return self._path(number, "safetensors")

    def _path(self, number: int, suffix: str) -> Path:
        return (self._folder or Path()) / f"training-{self._key}-{number:03d}.{suffix}"

    @staticmethod
    def _make_folder(folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise explain_os_error(folder, err) from err


def _add(found: Any, showers: Showers) -> None:
    """All numbers of the showers, some rows at a time."""
    found.update(f"{showers.geometry.to_dict()} {showers.voxels.shape} {showers.voxels.dtype}".encode())
    found.update(np.ascontiguousarray(showers.e_inc, dtype=np.float64))
    for start in range(0, len(showers), _ROWS):
        found.update(np.ascontiguousarray(showers.voxels[start : start + _ROWS]))
