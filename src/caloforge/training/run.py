"""A training run as a folder: what was asked for, on which data, and where it stands."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast, final, get_type_hints

import torch

from caloforge import __version__
from caloforge.config import from_mapping
from caloforge.errors import (
    CaloForgeError,
    ConfigError,
    FileFormatError,
    GeometryMismatchError,
    OutputError,
    UnknownNameError,
)
from caloforge.files import atomic_path, explain_os_error
from caloforge.geometry import Geometry, get_geometry
from caloforge.io.digests import sample_fingerprint, spot_digests
from caloforge.io.physics import Physics
from caloforge.models import ShowerModel, Stage, build_model, family_class
from caloforge.seeding import derive_seed
from caloforge.showers import Showers
from caloforge.training.config import RunConfig
from caloforge.training.loop import BEST, STATE, TrainingEvent
from caloforge.training.parallel import Processes
from caloforge.training.teacher import Teacher
from caloforge.training.trainer import SAVE_SECONDS, split_showers, train, weights_dtype

__all__ = [
    "RUN",
    "DataFacts",
    "check_folder",
    "check_settings",
    "complete_config",
    "initial_model",
    "start_or_resume",
]

RUN = "run.json"


@final
@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """What a run remembers of the showers it was trained on; enough to notice when they are others."""

    file: str
    """Name of the file, without its folder."""
    start: int
    stop: int
    """Showers ``start`` to ``stop`` of the file were used, validation included."""
    fingerprint: str
    """Digest of incident and deposited energies."""
    particle: str | None
    """As the file says."""
    spots: tuple[str, ...] = ()
    """Digests of some showers, by which :func:`caloforge.evaluation.check_leakage` knows them again anywhere."""

    @classmethod
    def of(cls, showers: Showers, *, file: str, start: int) -> "DataFacts":
        """Facts of showers read from ``file`` beginning at ``start``."""
        known = {**showers.provenance.get("attributes", {}), **showers.provenance}
        particle = known.get("particle")
        return cls(
            file=file,
            start=start,
            stop=start + len(showers),
            fingerprint=sample_fingerprint(showers.e_inc, showers.e_dep),
            particle=None if particle is None else str(particle),
            spots=spot_digests(showers),
        )


def initial_model(config: RunConfig, geometry: Geometry) -> ShowerModel:
    """The untrained model of a run; its initial weights depend on the run's seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(config.seed, "init"))
        return build_model(config.family, config.model, geometry)


def complete_config(config: RunConfig, showers: Showers) -> RunConfig:
    """The run with all settings of its model known: some families take numbers from the training split.

    Raises:
        ValueRangeError: Too few showers for that, or for training and validation.
    """
    training, _ = split_showers(len(showers), validation=config.validation, seed=config.seed)
    settings = family_class(config.family).complete(config.model, showers[training], seed=config.seed)
    return dataclasses.replace(config, model=settings)


def start_or_resume(
    folder: Path,
    config: RunConfig,
    showers: Showers,
    data: DataFacts,
    *,
    recipe: str,
    teacher: Teacher | None = None,
    resume: bool = False,
    device: torch.device | str = "cpu",
    save_seconds: float = SAVE_SECONDS,
    on_event: Callable[[TrainingEvent], None] = lambda event: None,
) -> ShowerModel:
    """Train into ``folder``, from the start or from where an interrupted run stands.

    Args:
        folder: Created if needed; must be empty unless ``resume`` is set.
        config: The run; on resume it must be the one that started.
        showers: Training and validation showers.
        data: Where they come from.
        recipe: Name of the recipe, for the records.
        teacher: Of a student; settings of the model that ``config`` leaves open are the teacher's.
        resume: Continue; a folder without a run is started.
        device: Where to compute.
        save_seconds: As in :func:`train`.
        on_event: Told about progress.

    Raises:
        OutputError: The folder is not empty, or cannot be written.
        ConfigError: Another configuration, number of processes or kind of device on resume; a teacher that
            does not fit, or none where one is needed.
        EnergyRangeError: Showers outside the teacher's range of incident energies.
        GeometryMismatchError: Other showers on resume.
        ValueRangeError: Too few showers.
    """
    if teacher is None:
        config = complete_config(config, showers)
        model, stages = initial_model(config, showers.geometry), None
    else:
        teacher.check(showers, particle=data.particle)
        config = teacher.student_config(config)
        model, stages = _student(config, teacher)
    _check_kind(config, model, recipe=recipe, stages=stages)
    split_showers(
        len(showers), validation=config.validation, seed=config.seed
    )  # too few? before a folder is made
    processes = Processes.from_environment()
    if processes.is_main:
        description = {
            "recipe": recipe,
            "config": config.to_dict(),
            "data": asdict(data),
            "geometry": showers.geometry.to_dict(),
            "processes": processes.size,
            "device": torch.device(device).type,
        }
        if teacher is not None:
            description["teacher"] = teacher.facts()
        _claim(folder, description, resume=resume)
    return train(
        model,
        showers,
        config,
        folder,
        stages=stages,
        device=device,
        provenance=_provenance(config, showers, data, recipe=recipe, teacher=teacher),
        save_seconds=save_seconds,
        on_event=on_event,
    )


def check_settings(
    config: RunConfig,
    *,
    recipe: str,
    teacher: Teacher | None = None,
    complete: Callable[[RunConfig], RunConfig] = lambda config: config,
) -> None:
    """Fail early, before showers are read, if the settings of a run are wrong whatever the showers.

    What depends on their calorimeter or number is left to :func:`start_or_resume`.

    Args:
        config: The run.
        recipe: Name of the recipe.
        teacher: Of a student.
        complete: Fills in what only showers can tell, from some that are at hand.

    Raises:
        UnknownNameError: A setting of the model or a stage that it does not have.
        ConfigError: A value that makes no sense, a teacher that does not fit, or none where one is needed.
    """
    if teacher is not None:
        config = teacher.student_config(config)
        model, stages = _student(config, teacher)
        _check_kind(config, model, recipe=recipe, stages=stages)
        return
    config_class = get_type_hints(family_class(config.family).__init__).get("config")
    if dataclasses.is_dataclass(config_class):
        from_mapping(cast("type[Any]", config_class), config.model, where="model")
    try:
        model = initial_model(complete(config), get_geometry(config.geometry))
    except CaloForgeError:
        return  # of this calorimeter perhaps, not of that of the showers
    _check_kind(config, model, recipe=recipe, stages=None)


def _student(config: RunConfig, teacher: Teacher) -> tuple[ShowerModel, dict[str, Stage]]:
    """The untrained student and the stages that train it."""
    dtype = weights_dtype(config)
    model = initial_model(config, teacher.model.geometry).set_precision(dtype)
    assert config.distillation is not None
    return model, model.distillation(teacher.in_precision(dtype), config.distillation)


def _check_kind(
    config: RunConfig, model: ShowerModel, *, recipe: str, stages: Mapping[str, Stage] | None
) -> None:
    """Whether a student has a teacher, and ``[training]`` names stages that there are."""
    if stages is None and (model.needs_teacher or config.distillation is not None):
        raise ConfigError(
            f"Recipe {recipe!r} is for a student, which is not trained on showers alone: caloforge distill."
        )
    for name in config.training:
        if name not in (known := model.stages if stages is None else stages):
            raise UnknownNameError("stage in [training]", name, known)


def _provenance(
    config: RunConfig, showers: Showers, data: DataFacts, *, recipe: str, teacher: Teacher | None
) -> dict[str, Any]:
    """What the weights say about where they come from."""
    seen = asdict(data)
    origin = {} if teacher is None else {"teacher": teacher.facts()}
    return origin | {
        "recipe": recipe,
        "config": config.to_dict(),
        "data": seen if teacher is None else teacher.seen_with(seen),
        "particle": data.particle,
        "physics": _learned_physics(showers, teacher).table(),
        "source": showers.provenance,
        "validation": config.validation,
        "seed": config.seed,
        "caloforge": __version__,
        "torch": torch.__version__,
    }


def _learned_physics(showers: Showers, teacher: Teacher | None) -> Physics:
    """Of the showers; a student takes on its teacher's, whatever showers it is shown."""
    own = Physics.of(showers.provenance)
    taught = own if teacher is None else Physics.of(teacher.provenance)
    return taught if taught.known else own


def check_folder(folder: Path, *, resume: bool) -> None:
    """Fail early, before showers are read, if a run cannot start or continue in ``folder``.

    Raises:
        OutputError: It holds a run and ``resume`` is false, or weights without the state to continue from,
            or something else.
    """
    if (folder / RUN).is_file():
        if not resume:
            raise OutputError(
                folder, "holds a run already; pass --resume to continue it, or choose another folder."
            )
        if (folder / BEST).is_file() and not (folder / STATE).is_file():
            raise OutputError(folder, f"has weights but no {STATE} to continue from; choose another folder.")
    elif folder.is_dir() and any(folder.iterdir()):
        raise OutputError(folder, "is not empty and holds no run; choose another folder.")


def _claim(folder: Path, description: dict[str, Any], *, resume: bool) -> None:
    """Make the folder this run's own, or check that it is."""
    check_folder(folder, resume=resume)
    record = folder / RUN
    if record.is_file():
        _check_same(record, description)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise explain_os_error(folder, err) from err
    with atomic_path(record) as part:
        part.write_text(json.dumps({"version": __version__, **description}, indent=1))


def _check_same(record: Path, description: dict[str, Any]) -> None:
    try:
        known = json.loads(record.read_text())
    except ValueError as err:
        raise FileFormatError(record, f"is no JSON ({err}); start a new run.") from err
    if not isinstance(known, dict):
        raise FileFormatError(record, "is not the record of a run; start a new one.")
    if _same_data(known) != _same_data(description) or known.get("geometry") != description["geometry"]:
        raise GeometryMismatchError(
            f"{record.parent} was trained on other showers than those given: {_other_data(known, description)}. Give "
            "the same file and range, or start a new run."
        )
    teachers = [entry.get("teacher") or {} for entry in (known, description)]
    if teachers[0].get("weights") != teachers[1].get("weights"):
        names = [f"{t['name']} ({t['weights']})" if t else "no teacher" for t in teachers]
        raise ConfigError(
            f"{record.parent} was started with {names[0]}, not with {names[1]}; give the same, or start a new run."
        )
    if known.get("config") != description["config"]:
        changed = _differences(known.get("config", {}), description["config"])
        raise ConfigError(
            f"{record.parent} was started with other settings ({', '.join(changed)}); repeat them, or start a new run."
        )

    for name, what in (("processes", "processes"), ("device", "kind of device")):
        # Runs of earlier versions do not say.
        if known.get(name, description[name]) != description[name]:
            raise ConfigError(
                f"{record.parent} was started with {what} = {known[name]}, not {description[name]}; dropout and "
                "rounding depend on it, so continue with the same, or start a new run."
            )


def _same_data(description: dict[str, Any]) -> list[Any]:
    """What must not change on resume; a file may be renamed."""
    data = description.get("data")
    return [data.get(key) if isinstance(data, dict) else None for key in ("fingerprint", "start", "stop")]


def _other_data(known: dict[str, Any], given: dict[str, Any]) -> str:
    """In words, how the showers of a run differ from those given now."""
    mine, new = (entry["data"] if isinstance(entry.get("data"), dict) else {} for entry in (known, given))
    if not mine:
        return "its record does not say which"
    found = []
    if mine.get("file") != new["file"]:
        found.append(f"file {mine.get('file')} against {new['file']}")
    ranges = [(data.get("start"), data.get("stop")) for data in (mine, new)]
    if ranges[0] != ranges[1]:
        words = [
            f"{stop - start:,} showers ({start} to {stop})"
            if isinstance(start, int) and isinstance(stop, int)
            else "an unknown number of showers"
            for start, stop in ranges
        ]
        found.append(" against ".join(words))
    elif mine.get("fingerprint") != new["fingerprint"]:  # those of other ranges differ anyway
        found.append(
            f"their energies have the digest {mine.get('fingerprint')} against {new['fingerprint']}, so the contents "
            "of the file are others"
        )
    if known.get("geometry") != given["geometry"]:
        names = [
            repr(entry["name"]) if isinstance(entry, dict) and "name" in entry else "an unknown one"
            for entry in (known.get("geometry"), given["geometry"])
        ]
        other = "another calorimeter of that name" if names[0] == names[1] else names[1]
        found.append(f"calorimeter {names[0]} against {other}")
    return "; ".join(found)


def _differences(a: dict[str, Any], b: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key in sorted(a.keys() | b.keys()):
        if isinstance(a.get(key), dict) and isinstance(b.get(key), dict):
            found += _differences(a[key], b[key], f"{prefix}{key}.")
        elif a.get(key) != b.get(key):
            found.append(f"{prefix}{key} = {a.get(key)} against {b.get(key)}")
    return found
