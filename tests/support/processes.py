"""Which processes there are, as Linux tells it."""

from pathlib import Path

__all__ = ["child_processes"]


def child_processes(pid: int) -> list[int]:
    """Children of a process, the oldest first."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return sorted(int(child) for task in tasks for child in task.read_text().split())
