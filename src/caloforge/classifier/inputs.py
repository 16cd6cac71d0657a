"""What the classifier sees of a shower: rows of numbers, made batch by batch where all of them would be too many."""

from collections.abc import Iterator
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from caloforge.classifier.config import ClassifierConfig
from caloforge.errors import NonFiniteError
from caloforge.evaluation import GROUPS, high_level_features, l2lflows_features
from caloforge.evaluation.challenge import challenge_features
from caloforge.geometry import Geometry
from caloforge.showers import Showers
from caloforge.units import GeV, keV

__all__ = ["InputRows", "InputTable"]

_CHUNK = 2048
_BLOCK_VALUES = 2**22
_CACHE_BYTES = 2**30
_UNIT = 10 * GeV


@final
class InputTable:
    """The inputs of all showers of a test, those of the reference first; only features are kept, voxels are not.

    Args:
        generated: Label 0.
        reference: Label 1.
        config: Says which inputs.
    """

    def __init__(self, generated: Showers, reference: Showers, config: ClassifierConfig) -> None:
        self._samples = reference, generated
        self._config = config
        self.geometry: Geometry = reference.geometry
        self.labels = np.repeat([1, 0], [len(reference), len(generated)])
        self.dtype = np.dtype(config.precision)
        self._features: np.ndarray | None = None
        if config.inputs in ("high-level", "l2lflows", "features"):
            features = [self._feature_rows(part) for sample in self._samples for part in _chunks(sample)]
            self._features = np.concatenate(features).astype(self.dtype)
        self.n_inputs = self.rows(np.arange(1)).shape[1]
        self.standardised = config.architecture == "caloflow" or config.inputs in ("l2lflows", "features")
        """Whether to scale by mean and width of the training split: the CaloChallenge does not."""

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, index: Int[np.ndarray, " b"]) -> Float[np.ndarray, "b F"]:
        """Inputs of some showers, ``(b, F)``; each depends on its own shower only.

        Raises:
            NonFiniteError: An input is NaN or infinite.
        """
        rows = self._voxel_rows(index) if self._features is None else self._features[index]
        if not np.isfinite(rows).all():
            bad = int((~np.isfinite(rows)).any(axis=1).sum())
            raise NonFiniteError(
                f"{bad} of {len(rows)} showers give the classifier inputs that are not finite."
            )
        return rows

    def moments(
        self, index: Int[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, " F"], Float[np.ndarray, " F"]]:
        """Mean and standard deviation of each input over some showers; an input that is constant has width 1."""
        mean, square, n = 0.0, 0.0, 0
        for start in range(0, len(index), _CHUNK):
            rows = self.rows(index[start : start + _CHUNK]).astype(np.float64)
            shift = rows.mean(axis=0) - mean
            square = square + ((rows - rows.mean(axis=0)) ** 2).sum(axis=0)
            square = square + shift**2 * (n * len(rows) / (n + len(rows)))
            mean = mean + shift * (len(rows) / (n + len(rows)))
            n += len(rows)
        std = np.sqrt(np.asarray(square) / max(n - 1, 1))
        return np.asarray(mean), np.where(std > 1e-12 * np.abs(mean), std, 1.0)

    def _feature_rows(self, showers: Showers) -> Float[np.ndarray, "b F"]:
        if self._config.inputs == "high-level":
            return challenge_features(showers)
        if self._config.inputs == "l2lflows":
            return l2lflows_features(showers)
        columns = [np.log10(showers.e_inc)]
        features = high_level_features(
            showers, threshold=self._config.threshold, groups=self._config.groups or GROUPS
        )
        columns += [
            np.log10(feature.values + 1e-8) if feature.logarithmic else feature.values for feature in features
        ]
        return np.column_stack(columns)

    def _voxel_rows(self, index: Int[np.ndarray, " b"]) -> Float[np.ndarray, "b F"]:
        """A few rows at a time, so that the intermediate steps need little memory."""
        step = max(1, _BLOCK_VALUES // self.geometry.n_voxels)
        blocks = [self._block(index[start : start + step]) for start in range(0, len(index), step)]
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    def _block(self, index: Int[np.ndarray, " b"]) -> Float[np.ndarray, "b F"]:
        n_reference = len(self._samples[0])
        first = index < n_reference
        e_inc = np.empty(len(index))
        voxels = np.empty((len(index), self.geometry.n_voxels))
        for sample, where, offset in zip(self._samples, (first, ~first), (0, n_reference), strict=True):
            e_inc[where] = sample.e_inc[index[where] - offset]
            voxels[where] = sample.voxels[index[where] - offset]
        if self._config.inputs == "log-voxels":
            return np.column_stack([np.log10(e_inc / _UNIT), np.log1p(voxels / keV)]).astype(self.dtype)
        e_layer = self.geometry.e_layer(voxels)
        challenge = self._config.architecture in ("calochallenge", "resnet")
        if self._config.inputs == "normalised":
            for layer, energy in zip(self.geometry.layer_slices, e_layer.T, strict=True):
                voxels[:, layer] /= energy[:, None] + 1e-16
        else:
            voxels /= e_inc[:, None] if challenge else GeV
        if not challenge:  # CaloFlow
            columns = [np.log10(e_inc / _UNIT), np.log10(e_layer / _UNIT + 1e-8), voxels]
        else:
            columns = [np.log10(e_inc), voxels]
            if self._config.inputs == "normalised":
                columns.append(np.log10(e_layer + 1e-8))
        return np.column_stack(columns).astype(self.dtype)


@final
class InputRows:
    """The rows of a table as tensors on a device, in the order asked for.

    All are kept there if they are less than a gigabyte; otherwise each batch is made when it is needed.
    """

    def __init__(self, table: InputTable, device: torch.device) -> None:
        self.device, self._table = device, table
        self._all: Tensor | None = None
        self.labels = torch.from_numpy(table.labels.astype(table.dtype)).to(device)
        if len(table) * table.n_inputs * table.dtype.itemsize <= _CACHE_BYTES:
            self._all = torch.empty(len(table), table.n_inputs, dtype=self.labels.dtype, device=device)
            for start in range(0, len(table), _CHUNK):
                index = np.arange(start, min(start + _CHUNK, len(table)))
                self._all[start : start + _CHUNK] = torch.from_numpy(table.rows(index)).to(device)

    def __call__(self, index: Int[np.ndarray, " b"]) -> Tensor:
        """Inputs of some showers, ``(b, F)``."""
        if self._all is not None:
            return self._all[torch.from_numpy(index).to(self.device)]
        return torch.from_numpy(self._table.rows(index)).to(self.device)

    def tensor(self, values: np.ndarray[Any, Any]) -> Tensor:
        """Numbers in the precision and on the device of the rows."""
        return torch.from_numpy(values.astype(self._table.dtype)).to(self.device)


def _chunks(showers: Showers) -> Iterator[Showers]:
    step = max(1, min(_CHUNK, 4 * _BLOCK_VALUES // showers.geometry.n_voxels))
    for start in range(0, len(showers), step):
        yield showers[start : start + step]
