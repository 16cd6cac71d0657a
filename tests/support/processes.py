"""Which processes there are, as Linux tells it."""

import os
from pathlib import Path

__all__ = ["child_processes", "own_children"]


def child_processes(pid: int) -> list[int]:
    """Children of a process, the oldest first."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return sorted(int(child) for task in tasks for child in task.read_text().split())


def own_children() -> list[int]:
    """Children of the process that runs this."""
    return child_processes(os.getpid())
