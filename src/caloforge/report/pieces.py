"""Finished pieces of an evaluation on disk, so that one that was interrupted goes on where it was."""

import contextlib
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, final

from caloforge.files import explain_os_error
from caloforge.report.plain import plain, read_json, write_json

__all__ = ["CLASSIFIERS", "Pieces"]

CLASSIFIERS = "classifiers"
"""Folder in it where the classifier tests keep their finished trainings."""
_OURS = re.compile(
    r"[\w-]+-[0-9a-f]{16}\.json|training-[0-9a-f]{16}-\d{3}\.(json|safetensors)|\..+\.part", re.ASCII
)


@final
class Pieces:
    """Results by name in a folder, each valid for one set of inputs and settings only.

    Args:
        folder: Where finished pieces are kept; made when the first one is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds: dict[str, float] = {}

    def get(self, name: str, key: Any, make: Callable[[], Any]) -> Any:
        """The piece of this name and key: as kept, or made now and kept.

        Args:
            name: For the file's name.
            key: Everything that the result depends on; plain data.
            make: Called without arguments; its result is turned into plain data.
        """
        path = self.folder / f"{name}-{_digest(key)}.json"
        if (kept := _load(path)) is None:
            begin = perf_counter()
            result = plain(make())
            kept = {"seconds": perf_counter() - begin, "result": result}
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as err:
                raise explain_os_error(self.folder, err) from err
            write_json(kept, path)
        self.seconds[name] = round(kept["seconds"], 3)
        return kept["result"]

    def remove(self) -> None:
        """Remove what evaluations have written here; somebody else's files stay, and then the folder, too."""
        for folder in (self.folder / CLASSIFIERS, self.folder):
            with contextlib.suppress(OSError):
                for path in folder.iterdir():
                    if _OURS.fullmatch(path.name) and path.is_file():
                        path.unlink()
                folder.rmdir()


def _digest(key: Any) -> str:
    text = json.dumps(plain(key, digits=17), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _load(path: Path) -> Any:
    try:
        kept = read_json(path)
    except (OSError, ValueError):
        return None  # none, or damaged: made anew
    return kept if isinstance(kept, dict) and {"seconds", "result"} == set(kept) else None
