"""From two files of showers to a folder with a report."""

import datetime
import functools
import importlib.metadata
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid4

from caloforge import __version__
from caloforge.devices import check_device
from caloforge.errors import OutputError
from caloforge.evaluation.leakage import check_leakage
from caloforge.files import explain_os_error
from caloforge.geometry import Geometry
from caloforge.production.lock import sole_run
from caloforge.report.assemble import Assembly, memory_notes
from caloforge.report.figures import draw_figures
from caloforge.report.folder import check_folder, replace_folder
from caloforge.report.page import render_page
from caloforge.report.pieces import Pieces
from caloforge.report.plain import plain, write_json
from caloforge.report.published import challenge_metrics, rank
from caloforge.report.samples import Sample, check_independent, check_pair, open_sample, overlap
from caloforge.report.schema import PAGE, PLOTS, REPORT_FILE, SCHEMA, SCHEMA_VERSION
from caloforge.report.settings import EvaluationSettings
from caloforge.report.spectra import energy_facts
from caloforge.report.training_showers import find_training
from caloforge.report.verdict import verdict
from caloforge.showers import Showers

__all__ = ["evaluate"]

_PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "matplotlib", "h5py")


def evaluate(
    generated: str | Path | Showers,
    reference: str | Path | Showers,
    output: str | Path,
    *,
    second_reference: str | Path | Showers | None = None,
    training: str | Path | Showers | None = None,
    settings: EvaluationSettings | None = None,
    threshold: float | None = None,
    geometry: Geometry | str | Path | None = None,
    start: int = 0,
    stop: int | None = None,
    overwrite: bool = False,
    on_step: Callable[[str, float, int], None] | None = None,
) -> dict[str, Any]:
    """Judge generated showers against a reference, and write ``report.json``, plots and ``report.html``.

    Any two samples can be compared, Geant4 against Geant4, too. A file can be given as ``FILE[START:STOP]``. An
    evaluation that was interrupted goes on where it was when it is asked for again.

    Args:
        generated: The showers in question: a file, or in memory.
        reference: The showers that are right, usually Geant4.
        output: Folder to write.
        second_reference: More right showers; their test against ``reference`` gives every number its floor.
        training: The showers that trained the model; copies are looked for among them. By default the file that
            generated showers of this package name, if it is beside one of the samples or in the current folder.
        settings: Level, seed, number of trainings; by default those of :class:`EvaluationSettings`.
        threshold: Softer voxels count as empty, in all samples, MeV; by default the CaloChallenge's for its
            calorimeters, else 1 keV.
        geometry: As in :func:`caloforge.read`, for all samples.
        start: First shower of the reference.
        stop: Behind the last shower of the reference.
        overwrite: Replace ``output`` if it is an earlier report.
        on_step: Told what is done now, how many steps are finished, and of how many.

    Returns:
        The contents of ``report.json``.

    Raises:
        CaloForgeError: A sample cannot be read, the samples cannot be compared (see
            :func:`~caloforge.report.samples.check_pair`), or the output cannot be written. Nothing is left half.
    """
    settings = settings or EvaluationSettings()
    output = Path(output)
    check_folder(output, overwrite=overwrite)
    with sole_run(output):
        return _evaluate(
            generated,
            reference,
            output,
            second_reference=second_reference,
            training=training,
            settings=settings,
            threshold=threshold,
            geometry=geometry,
            start=start,
            stop=stop,
            overwrite=overwrite,
            on_step=on_step or (lambda *_: None),
        )


def _evaluate(
    generated: str | Path | Showers,
    reference: str | Path | Showers,
    output: Path,
    *,
    second_reference: str | Path | Showers | None,
    training: str | Path | Showers | None,
    settings: EvaluationSettings,
    threshold: float | None,
    geometry: Geometry | str | Path | None,
    start: int,
    stop: int | None,
    overwrite: bool,
    on_step: Callable[[str, float, int], None],
) -> dict[str, Any]:
    begin = perf_counter()
    find = functools.partial(open_sample, threshold=threshold, geometry=geometry)
    samples = [
        find(generated, role="generated"),
        find(reference, role="reference", start=start, stop=stop),
    ]
    if second_reference is not None:
        samples.append(find(second_reference, role="second reference"))
    if settings.overlap:
        samples = overlap(samples)
    notes = _check(samples, settings)
    notes += memory_notes(samples)
    check_device(settings.device)
    leakage = check_leakage(
        samples[0].provenance,
        samples[1].raw_chunks(),
        file=samples[1].source if isinstance(samples[1].source, Path) else None,
        start=samples[1].start,
        allow=settings.allow_leakage,
    )
    if leakage.status != "independent":
        notes.append(leakage.message)
    trained = find_training(
        training, samples[0], samples[1], leakage, find, allow_leakage=settings.allow_leakage
    )
    if trained.caution:
        notes.append(trained.caution)

    pieces = Pieces(output.with_name(f"{output.name}.parts"))
    second = samples[2] if len(samples) > 2 else None
    assembly = Assembly(samples[0], samples[1], second, trained.sample, settings=settings, pieces=pieces)
    report = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "software": _software(),
        "settings": plain(settings) | {"threshold_MeV": samples[1].threshold},
        "geometry": samples[1].geometry.to_dict(),
        "samples": {
            s.role.replace(" ", "_"): plain(s.facts()) for s in [*samples, *filter(None, [trained.sample])]
        },
        "energies": energy_facts(samples[0].e_inc, samples[1].e_inc),
        "training": {"status": trained.status, "message": trained.message},
        "leakage": plain(leakage),
        "notes": notes,
    }
    report |= assembly.run(on_step)
    report["ranking"] = plain(
        rank(samples[1].geometry.name, challenge_metrics(report), n_showers=min(map(len, samples[:2])))
    )
    report["notes"] += dict.fromkeys(
        note for test in report["classifiers"] for note in test["result"]["notes"]
    )
    report["verdict"] = verdict(report)
    report["times_s"] = pieces.seconds
    write_report(report, output, overwrite=overwrite, begin=begin, on_step=on_step)
    pieces.remove()
    return report


def _check(samples: list[Sample], settings: EvaluationSettings) -> list[str]:
    """Every sample against every other; what is odd but possible, in words."""
    generated, reference, *second = samples
    notes = []
    for sample in (generated, *second):
        notes += check_pair(sample, reference, allow_shared=settings.allow_leakage)
    for sample in second:  # the same showers as sample and as floor would hide any difference
        notes += check_independent(generated, sample, allow_shared=settings.allow_leakage)
    return list(dict.fromkeys(notes))


def write_report(
    report: dict[str, Any],
    output: Path,
    *,
    overwrite: bool,
    begin: float,
    on_step: Callable[[str, float, int], None],
) -> None:
    """Draw, render, write beside ``output`` and rename: the folder is whole or not there."""
    part = output.with_name(f".{output.name}.{uuid4().hex[:8]}.part")
    try:
        (part / PLOTS).mkdir(parents=True)
        images = draw_figures(
            report,
            part / PLOTS,
            on_figure=lambda done, total: on_step("figures", done, total),
        )
        report["times_s"]["all"] = round(perf_counter() - begin, 3)
        (part / PAGE).write_text(render_page(report, images), encoding="utf-8")
        write_json(report, part / REPORT_FILE)
        replace_folder(part, output, overwrite=overwrite)
    except OSError as err:
        if isinstance(err, OutputError):
            raise
        raise explain_os_error(output, err) from err
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _software() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"caloforge": __version__, "python": platform.python_version(), **versions} | {
        "machine": f"{platform.system()} {platform.machine()}"
    }
