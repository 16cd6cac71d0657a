"""The frozen model that a student is distilled from."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch

from caloforge.errors import ConfigError, EnergyRangeError
from caloforge.models import DistillationConfig, ShowerModel, build_model
from caloforge.models.checkpoint import load_checkpoint, weights_id
from caloforge.models.zoo import find_weights
from caloforge.showers import Showers
from caloforge.training.config import RunConfig
from caloforge.units import GeV

__all__ = ["Teacher"]

_TOLERANCE = 0.01  # as in generation: a spectrum's extreme draws lie a little inside its limits


@final
@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A trained model and what its student must remember of it."""

    model: ShowerModel
    family: str
    name: str
    """What was asked for: a shipped name, or the last part of a path."""
    weights: str
    """Its :func:`~caloforge.models.checkpoint.weights_id`."""
    provenance: dict[str, Any]

    @classmethod
    def load(cls, name_or_path: str | Path) -> "Teacher":
        """From shipped weights, a weights file, or the folder of a run.

        Raises:
            UnknownNameError: Nothing has this name.
            CheckpointError: The file is damaged, foreign, or of a newer version.
            ConfigError: It is a student.
        """
        model, header = load_checkpoint(find_weights(name_or_path))
        if model.needs_teacher:
            raise ConfigError(
                f"{name_or_path} is a student itself, and its density is slow; give the teacher that it was "
                f"distilled from ({header.provenance.get('teacher', {}).get('name', 'unknown')})."
            )
        return cls(
            model=model,
            family=header.family,
            name=Path(name_or_path).resolve().name,
            weights=header.provenance.get("weights_id") or weights_id(model.state_dict()),
            provenance=header.provenance,
        )

    def facts(self) -> dict[str, Any]:
        """For the records of the student, as JSON data."""
        return {"name": self.name, "weights": self.weights, "recipe": self.provenance.get("recipe")}

    def student_config(self, config: RunConfig) -> RunConfig:
        """The run with every setting of the model that it leaves open as the teacher has it.

        Raises:
            ConfigError: The run is for another family.
        """
        if config.family != self.family:
            raise ConfigError(
                f"The teacher is of the family {self.family!r}, the recipe for a student of {config.family!r}; "
                "choose another --preset."
            )
        return dataclasses.replace(
            config,
            model=_merged(self.model.settings, config.model),
            distillation=config.distillation or DistillationConfig(),
        )

    def in_precision(self, dtype: torch.dtype) -> ShowerModel:
        """The model once more, with weights and standardisation in ``dtype``."""
        model = build_model(self.family, self.model.settings, self.model.geometry).set_precision(dtype)
        model.load_state_dict(self.model.state_dict())
        return model.eval()

    def check(self, showers: Showers, *, particle: str | None) -> None:
        """Whether its student can be trained on these showers.

        Raises:
            GeometryMismatchError: They are of another calorimeter.
            EnergyRangeError: Their incident energies lie outside the teacher's range.
            ConfigError: They are of another particle.
        """
        showers.geometry.require_same_voxels(
            self.model.geometry, mine="The showers", theirs=f"teacher {self.name}"
        )
        mine = self.provenance.get("particle")
        if None not in (mine, particle) and mine != particle:
            raise ConfigError(
                f"Teacher {self.name} was trained on {mine}, the showers are of {particle}; give showers of {mine}."
            )
        low, high = self.model.e_inc_range.tolist()
        if len(showers) and (
            showers.e_inc.min() < low * (1 - _TOLERANCE) or showers.e_inc.max() > high * (1 + _TOLERANCE)
        ):
            raise EnergyRangeError(
                f"The showers have incident energies from {showers.e_inc.min() / GeV:.4g} to "
                f"{showers.e_inc.max() / GeV:.4g} GeV, teacher {self.name} was trained on {low / GeV:.4g} to "
                f"{high / GeV:.4g} GeV; give showers inside this range."
            )

    def seen_with(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """What the student has seen, of which the teacher's showers are a part: facts of its data, widened.

        So showers that trained the teacher are refused as reference for the student, too.
        """
        mine = self.provenance.get("data") or {}
        seen = dict(data)
        seen["spots"] = sorted({*data.get("spots", ()), *mine.get("spots", ())})
        if mine.get("file") == data["file"]:
            seen["start"] = min(data["start"], mine["start"])
            seen["stop"] = max(data["stop"], mine["stop"])
        return seen


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables, where the second wins."""
    result = dict(below)
    for key, value in above.items():
        known = result.get(key)
        both = isinstance(known, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(known, value) if both else value  # type: ignore[arg-type]
    return result
