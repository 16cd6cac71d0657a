"""All figures of a benchmark, one after the other, each in a process of its own."""

import datetime
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, final

from caloforge import __version__
from caloforge.benchmark.derive import derived_rows
from caloforge.benchmark.folder import check_folder, write_benchmark
from caloforge.benchmark.machine import busy_note, machine_facts, waiting_note
from caloforge.benchmark.processes import CellError, OutOfMemoryError, measure
from caloforge.benchmark.references import geant4_arguments, plan_geant4
from caloforge.benchmark.schema import SCHEMA, SCHEMA_VERSION
from caloforge.benchmark.settings import BenchmarkSettings
from caloforge.benchmark.subjects import Subject, check_generation, find_subjects, paper_networks
from caloforge.errors import ConfigError, WorkerDiedError
from caloforge.report.plain import plain

__all__ = ["run_benchmark"]

_REASONS: Final = 3  # that are told where nothing could be measured; they are mostly one


def run_benchmark(
    settings: BenchmarkSettings | None = None,
    output: str | Path | None = None,
    *,
    overwrite: bool = False,
    command: str | None = None,
    on_step: Callable[[str, int, int], None] = lambda title, done, total: None,
    on_report: Callable[[dict[str, Any]], None] = lambda report: None,
) -> dict[str, Any]:
    """Time models and, if asked, Geant4 and other libraries.

    Times are from incident energies in memory to voxels in MeV in memory, post-processing included; loading a
    model and the first request, which fills caches, are not counted and stated apart.

    Args:
        settings: What to time; by default all shipped weights on one thread.
        output: Folder for ``benchmark.json`` and ``benchmark.png``; ``None`` writes nothing. After an
            interrupt it holds what was measured so far, marked as incomplete. Nothing is written before
            there is a figure.
        overwrite: Replace an earlier benchmark there.
        command: What the user typed, for the records.
        on_step: Told what is measured now, how many figures are there, and of how many.
        on_report: Given the report so far after every figure, from the first that could be measured on.

    Returns:
        The contents of ``benchmark.json``.

    Raises:
        CaloForgeError: A model, device, Geant4 or a peer is not there, or the output cannot be written;
            said before anything is measured. Later failures of single figures are part of the report.
        CellError: Every figure failed.
    """
    settings = settings or BenchmarkSettings()
    folder = None if output is None else Path(output)
    if folder is not None:
        check_folder(folder, overwrite=overwrite)
    run = _Run(settings, folder, command=command, on_step=on_step, on_report=on_report)
    try:
        run.measure()
    finally:
        if run.measured:
            run.close()
    if not run.measured:
        raise CellError(run.why_nothing())
    return run.report


@final
class _Run:
    def __init__(
        self,
        settings: BenchmarkSettings,
        folder: Path | None,
        *,
        command: str | None,
        on_step: Callable[[str, int, int], None],
        on_report: Callable[[dict[str, Any]], None],
    ) -> None:
        # Here, as the process that runs Geant4 loads this module, too, and should not load torch.
        from caloforge.devices import check_device
        from caloforge.models.zoo import shipped_weights

        check_device(settings.device)
        self._settings, self._folder = settings, folder
        self._on_step, self._on_report = on_step, on_report
        self._subjects = find_subjects(
            settings.models or shipped_weights(), precision=settings.precision, compiled=settings.compiled
        )
        if not self._subjects:
            raise ConfigError("This build has no weights; name models to time: --models NAME,RUN,RECIPE.")
        check_generation(self._subjects)
        if settings.peers:  # the papers' networks, which stay in float32 and uncompiled, as their peers do
            known = {subject.name for subject in self._subjects}
            self._subjects += find_subjects(name for name in paper_networks() if name not in known)
        on_gpu = not settings.device.startswith("cpu")
        self._threads = (1,) if on_gpu else tuple(dict.fromkeys(settings.threads))
        self._batches = sorted(set(settings.batches))
        self._geant4, problems = plan_geant4(self._subjects, settings) if settings.geant4 else ([], [])
        if settings.peers:
            from caloforge.benchmark.peers import check_peers

            check_peers()
        self._done = 0
        self._total = len(self._geant4) + len(self._threads) * (1 + len(self._subjects) * len(self._batches))
        self._seen_peaks: set[tuple[str, int]] = set()
        machine = machine_facts(settings.device)
        self.report: dict[str, Any] = {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "complete": False,
            "command": command,
            "caloforge": __version__,
            "started": _now(),
            "finished": None,
            "settings": plain(replace(settings, geant4_data=None)),  # a place on this machine
            "machine": machine,
            "notes": self._notes(machine) + problems,
            "models": {subject.name: _facts(subject) for subject in self._subjects},
            "peaks": [],
            "geant4": [],
            "rows": [],
        }

    @property
    def measured(self) -> bool:
        """Whether there is any figure that did not fail."""
        times = [row["seconds"] for row in self.report["rows"]]
        return any(times) or any("cpu_s_per_shower" in found for found in self.report["geant4"])

    def why_nothing(self) -> str:
        """Why there is no figure at all, in one line."""
        failed = [*self.report["geant4"], *self.report["rows"]]
        reasons = list(
            dict.fromkeys(row.get("failed") or f"Out of memory: {row['memory_error']}" for row in failed)
        )
        more = f" (and {len(reasons) - _REASONS} other reasons)" if len(reasons) > _REASONS else ""
        which = "The only figure" if len(failed) == 1 else f"None of the {len(failed)} figures"
        verb = "could not" if len(failed) == 1 else "could"
        return f"{which} {verb} be measured, so nothing is written: {' '.join(reasons[:_REASONS])}{more}"

    def measure(self) -> None:
        """All figures; Geant4 first, so that an interrupted run can be compared with it."""
        for row in self._geant4:
            self._one_geant4(row)
        for subject in self._subjects:
            self._all_of(subject)
        if self._settings.peers:
            self._peers()
        self.report["complete"] = True

    def close(self) -> None:
        """Say what is wrong with the figures, if anything, and write them with their picture."""
        self.report["finished"] = _now()
        if single := sum(bool(row["seconds"]) and not row["warmed_up"] for row in self.report["rows"]):
            self.report["notes"].append(
                f"{single} figures are one call, the first: it took more than half of the "
                f"{self._settings.max_seconds:g} s that a figure may take."
            )
        if (note := waiting_note(self.report["rows"])) is not None:
            self.report["notes"].append(note)
        if self._folder is not None:
            write_benchmark(self.report, self._folder, plot=True)
        self._on_report(self.report)

    def _notes(self, machine: dict[str, Any]) -> list[str]:
        notes = []
        if (note := busy_note(machine)) is not None:
            notes.append(note)
        if self._threads != tuple(dict.fromkeys(self._settings.threads)):
            notes.append(f"On {self._settings.device} threads have no meaning; one is used.")
        if max(self._threads) > machine["cores_allowed"]:
            notes.append(
                f"{max(self._threads)} threads share {machine['cores_allowed']} cores; their rows cannot scale."
            )
        if self._settings.compiled:
            notes.append(
                "Compiled code answers requests of one shower, in some families whole blocks, too, and no others."
            )
        if untrained := [subject.name for subject in self._subjects if subject.kind == "recipe"]:
            notes.append(
                f"Untrained, for their time only: {', '.join(untrained)}. The time does not depend on the weights."
            )
        return notes

    def _one_geant4(self, row: dict[str, Any]) -> None:
        self._step(f"Geant4, {row['particle']}")
        facts = {key: value for key, value in row.items() if key != "geometry"}
        facts |= {
            "name": f"Geant4 {row['particle']}",
            "geometry": row["geometry"]["name"],
            "n_showers": self._settings.geant4_showers,
        }
        with tempfile.TemporaryDirectory() as folder:
            try:
                facts |= measure("geant4", **geant4_arguments(row, self._settings), folder=folder)
            except (CellError, WorkerDiedError, OutOfMemoryError) as err:
                facts |= {"failed": str(err)}
                self.report["notes"].append(f"Geant4, {row['particle']}: {err}")
        self.report["geant4"].append(facts)
        self._changed()

    def _all_of(self, subject: Subject) -> None:
        facts = self.report["models"][subject.name]
        for threads in self._threads:
            measured: list[int] = []
            for batch in self._batches:
                self._step(f"{subject.label}, batch {batch}, threads {threads}")
                row = self._figure(
                    "model",
                    batch,
                    threads,
                    larger_than=max(measured, default=0),
                    describe="n_parameters" not in facts,
                    name=subject.name,
                    precision=subject.precision,
                    compiled=subject.compiled,
                )
                facts |= row.pop("model", {})
                if reason := row.get("not_compiled"):
                    self._note(f"{subject.name}: {reason}")
                made = replace(subject, compiled=row.setdefault("compiled", subject.compiled))
                row.setdefault("precision", subject.precision)
                self._append(row | {"model": subject.name, "label": made.label, "library": "caloforge"})
                measured += [row["batch"]] if row["seconds"] else []
            self._peak(facts.get("dtype", "float32"), threads)

    def _peers(self) -> None:
        from caloforge.benchmark.peers import LIBRARIES

        first: dict[tuple[Any, ...], Subject] = {}  # weights of one recipe have the same network
        for subject in self._subjects:
            if network := self.report["models"][subject.name].get("network"):
                first.setdefault(tuple(network.values()), subject)
            else:
                self.report["notes"].append(
                    f"{subject.label} has no counterpart in {' or '.join(LIBRARIES)}."
                )
        todo = []
        for subject in first.values():
            facts = self.report["models"][subject.name]
            slow = facts["network"]["direction"] == "feature by feature"
            batches = [self._settings.peer_showers] if slow else self._batches
            todo += [(subject, library, facts, batches) for library in LIBRARIES]
        self._total += len(self._threads) * sum(len(batches) for *_, batches in todo)
        for subject, library, facts, batches in todo:
            self._peer(subject, library, facts, batches)

    def _peer(self, subject: Subject, library: str, facts: dict[str, Any], batches: list[int]) -> None:
        known = facts.setdefault("peers", {}).setdefault(library, {})
        label = f"{library}, network of {subject.name}"
        for threads in self._threads:
            measured: list[int] = []
            for batch in batches:
                self._step(f"{label}, batch {batch}, threads {threads}")
                row = self._figure(
                    "peer",
                    batch,
                    threads,
                    larger_than=max(measured, default=0),
                    describe=not known,
                    library=library,
                    network=facts["network"],
                )
                known |= row.pop("model", {})
                self._append(row | {"model": subject.name, "label": label, "library": library})
                measured += [row["batch"]] if row["seconds"] else []
            self._peak("float32", threads)

    def _figure(
        self, what: str, batch: int, threads: int, *, larger_than: int, **arguments: Any
    ) -> dict[str, Any]:
        """Measure; where memory runs out, half the batch, as long as that is a batch of its own."""
        settings = self._settings
        row: dict[str, Any] = {
            "requested_batch": batch,
            "batch": batch,
            "threads": threads,
            "device": settings.device,
            "seconds": [],
            "out_of_memory": [],
        }
        while batch > larger_than:
            try:
                found = measure(
                    what,
                    batch=batch,
                    threads=threads,
                    device=settings.device,
                    repeats=settings.repeats,
                    max_seconds=settings.max_seconds,
                    seed=settings.seed,
                    **arguments,
                )
            except OutOfMemoryError as err:
                row["out_of_memory"].append(batch)
                row["memory_error"] = str(err)
                batch //= 2
            except (CellError, WorkerDiedError) as err:
                return row | {"failed": str(err)}
            else:
                return row | found
        return row

    def _peak(self, dtype: str, threads: int) -> None:
        if (dtype, threads) in self._seen_peaks:
            return
        self._seen_peaks.add((dtype, threads))
        self._step(f"matrix products, {dtype}, threads {threads}")
        entry: dict[str, Any] = {"device": self._settings.device, "dtype": dtype, "threads": threads}
        try:
            entry |= measure("matmul", device=self._settings.device, dtype=dtype, threads=threads)
        except (CellError, WorkerDiedError, OutOfMemoryError) as err:
            self.report["notes"].append(f"Matrix products in {dtype}: {err}")
            return
        self.report["peaks"].append(entry)
        self._changed()

    def _append(self, row: dict[str, Any]) -> None:
        notes, name = self.report["notes"], f"{row['label']}, threads {row['threads']}"
        if row.get("failed"):
            notes.append(f"{name}, batch {row['requested_batch']}: {row['failed']}")
        elif row["out_of_memory"]:
            tried = ", ".join(map(str, row["out_of_memory"]))
            then = (
                f"batch {row['batch']} was timed instead" if row["seconds"] else "nothing was timed instead"
            )
            notes.append(f"{name}: out of memory at batch {tried}; {then}.")
        self.report["rows"].append(row)
        self._changed()

    def _note(self, text: str) -> None:
        if text not in self.report["notes"]:
            self.report["notes"].append(text)

    def _step(self, title: str) -> None:
        self._on_step(title, self._done, max(self._total, self._done + 1))

    def _changed(self) -> None:
        self._done += 1
        self.report["rows"] = plain(derived_rows(self.report))
        if not self.measured:  # failures alone are no benchmark, and replace none
            return
        if self._folder is not None:
            write_benchmark(self.report, self._folder, plot=False)
        self._on_report(self.report)


def _facts(subject: Subject) -> dict[str, Any]:
    return {
        "label": subject.label,
        "kind": subject.kind,
        "family": subject.family,
        "geometry": subject.geometry.name,
        "n_voxels": subject.geometry.n_voxels,
        "particle": subject.particle,
        "e_inc_range_MeV": list(subject.e_inc_range),
        "weights_id": subject.weights_id,
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
