"""The folder beside an output where a run keeps its finished shards; what no run writes there is not touched."""

import contextlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, final
from uuid import uuid4

from caloforge.errors import CaloForgeError, ConfigError, OutputError
from caloforge.files import atomic_path, explain_os_error, real_path
from caloforge.production.crashes import Crash

__all__ = ["PartsFolder", "differences"]

_JOURNAL, _WHOLE, _JOINED = "job.json", "whole.h5", "joined.json"
_SHARD = re.compile(r"(\d{6,})\.h5", re.ASCII)
_LOG = re.compile(r"worker-[0-9a-f]{8}\.log", re.ASCII)
_FINAL = rf"(?:\d{{6,}}\.h5|\d{{6,}}\.crashes\.json|{re.escape(_JOURNAL)}|{re.escape(_WHOLE)}|{re.escape(_JOINED)})"
_TEMPORARY = re.compile(rf"\.{_FINAL}\.[0-9a-f]+\.part", re.ASCII)
_OURS = re.compile(rf"{_FINAL}|{_LOG.pattern}|{_TEMPORARY.pattern}", re.ASCII)


@final
class PartsFolder:
    """``OUT.parts``: a journal that says of which run it is, shards, and for a moment the joined whole.

    While shards are made there may be journals of their crashes and logs of the processes, too. Each shard has
    its own journal, so that processes on several machines never write the same file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.whole = path / _WHOLE
        """The joined shards, until they are renamed to the output."""

    @classmethod
    def beside(cls, output: Path) -> "PartsFolder":
        """The folder of an output; where that is a symbolic link, beside the file it points to."""
        target = real_path(output)
        if not target.name:
            raise OutputError(output, "is a folder; give the name of a file.")
        return cls(target.with_name(f"{target.name}.parts"))

    def shard(self, index: int) -> Path:
        """File of a shard."""
        return self.path / f"{index:06d}.h5"

    def shards(self) -> set[int]:
        """Which shards are finished; the folder is listed once."""
        found = (_SHARD.fullmatch(entry.name) for entry in self._entries())
        return {int(match[1]) for match in found if match}

    def crashes(self, shard: int) -> list[Crash]:
        """Which processes died over a shard, in the order of time."""
        path = self._crash_journal(shard)
        known = _read_json(path).get("crashes", []) if path.exists() else []
        try:
            return [Crash(**entry) for entry in known]
        except TypeError:
            return []  # of another version; the events will crash again

    def note_crashes(self, shard: int, crashes: Sequence[Crash]) -> None:
        """Write down all crashes of a shard, so that a resumed run knows them."""
        with atomic_path(self._crash_journal(shard)) as part:
            part.write_text(json.dumps({"crashes": [asdict(crash) for crash in crashes]}))

    def _crash_journal(self, shard: int) -> Path:
        return self.path / f"{shard:06d}.crashes.json"

    def new_log(self) -> Path:
        """A name for what a process prints."""
        return self.path / f"worker-{uuid4().hex[:8]}.log"

    def check(self) -> None:
        """Raise :class:`OutputError` if something is in the way that no run has written."""
        try:
            if self.path.is_symlink() or (self.path.exists() and not self.path.is_dir()):
                raise OutputError(
                    self.path, "is no folder; a run keeps its parts under this name, so move it away."
                )
            foreign = sorted(entry.name for entry in self._entries() if not _is_ours(entry))
        except CaloForgeError:
            raise
        except OSError as err:
            raise explain_os_error(self.path, err) from err
        if foreign:
            more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
            raise OutputError(
                self.path,
                f"holds files that are not of a run ({', '.join(foreign[:3])}{more}); move them away, or choose "
                "another name for the output.",
            )

    def open(self, description: dict[str, Any], *, resume: bool, overwrite: bool) -> None:
        """Make the folder for a run, or take up what an interrupted one left.

        Raises:
            OutputError: An interrupted run is in the way, or the folder cannot be written.
            ConfigError: It is of another run.
        """
        self.check()
        if self.path.exists() and not resume:
            if not overwrite:
                raise OutputError(
                    self.path, "holds an interrupted run; pass --resume to continue it or --overwrite."
                )
            self._clear()
        if (self.path / _JOURNAL).exists():
            self.check_journal(description)
            self.remove_temporaries()
            self._remove(_LOG)
            return
        self._clear()  # of nobody knows which run: killed before it could say
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as err:
            raise explain_os_error(self.path, err) from err
        with atomic_path(self.path / _JOURNAL) as part:
            part.write_text(json.dumps(description, indent=1))

    def check_journal(self, description: dict[str, Any]) -> None:
        """Raise :class:`ConfigError` unless the folder is of the run with this description."""
        if different := differences(_read_json(self.path / _JOURNAL), description):
            raise ConfigError(
                f"{self.path} belongs to another run (different: {', '.join(different)}); "
                "repeat its options, or start anew with --overwrite."
            )

    def note_joined(self, whole: Path) -> None:
        """Write down which file is about to become the output, for the case of a kill right after it did."""
        with atomic_path(self.path / _JOINED) as part:
            part.write_text(json.dumps(_identity(whole)))

    def joined_to(self, output: Path) -> bool:
        """Whether ``output`` is the file that this folder's run has made, so that only the clean-up is missing."""
        with contextlib.suppress(OSError):
            return (self.path / _JOINED).is_file() and _read_json(self.path / _JOINED) == _identity(output)
        return False

    def remove_temporaries(self, shard: int | None = None) -> None:
        """Remove what writers left half that were killed, of one shard or of all."""
        self._remove(_TEMPORARY, start="" if shard is None else f".{self.shard(shard).name}.")

    def _remove(self, kind: re.Pattern[str], *, start: str = "") -> None:
        for entry in self._entries():
            if kind.fullmatch(entry.name) and entry.name.startswith(start):
                with contextlib.suppress(OSError):
                    entry.unlink()

    def remove(self) -> None:
        """Remove the folder as far as it is a run's; what somebody else has put there meanwhile stays."""
        with contextlib.suppress(OSError):
            self._clear()

    def _clear(self) -> None:
        """Remove our files and the folder; last the two that say what the others are."""
        if not self.path.is_dir():
            return
        try:
            for entry in sorted(
                self._entries(), key=lambda entry: (entry.name == _JOURNAL, entry.name == _JOINED)
            ):
                if _is_ours(entry):
                    entry.unlink(missing_ok=True)
            self.path.rmdir()
        except OSError as err:
            raise explain_os_error(self.path, err) from err

    def _entries(self) -> list[Path]:
        return list(self.path.iterdir()) if self.path.is_dir() else []


def differences(known: dict[str, Any], description: dict[str, Any]) -> list[str]:
    """Names of what two descriptions of a run do not have in common; a list and a tuple are the same in JSON."""
    description = json.loads(json.dumps(description))
    return [key for key in description if known.get(key) != description[key]]


def _is_ours(entry: Path) -> bool:
    return _OURS.fullmatch(entry.name) is not None and not entry.is_dir()


def _identity(path: Path) -> dict[str, int]:
    """What a rename leaves as it was."""
    facts = path.stat()
    return {"size": facts.st_size, "mtime_ns": facts.st_mtime_ns, "inode": facts.st_ino}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
