"""Facts about the machine that figures depend on; nothing that names it."""

import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["busy_note", "cpu_model", "machine_facts", "peak_memory", "waiting_note"]

_LEAST_SHARE: Final = 0.9
"""Of a processor that a figure on one thread of a quiet machine gets."""


def machine_facts(device: str) -> dict[str, Any]:
    """Processor, cores, memory, load, system, versions and, if used, the GPU."""
    import numpy as np
    import torch

    facts: dict[str, Any] = {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "cores_allowed": _cores(),
        "memory_GB": _memory_gb(),
        "load_average": _load(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }
    if torch.device(device).type == "cuda":
        properties = torch.cuda.get_device_properties(torch.device(device))
        facts["gpu"] = {
            "name": properties.name,
            "memory_GB": round(properties.total_memory / 1e9, 1),
            "cuda": torch.version.cuda,
            "float32_matmul_precision": torch.get_float32_matmul_precision(),
        }
    return facts


def busy_note(facts: dict[str, Any]) -> str | None:
    """A warning if others use the machine."""
    load, cores = facts["load_average"], facts["cores_allowed"]
    if load is None or load <= cores / 2:
        return None
    return (
        f"The machine is busy (load average {load:.1f} on {cores} cores): times mean little. Measure again when "
        "nothing else runs."
    )


def waiting_note(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """A warning if figures on one thread of a CPU had to wait for it."""
    shares = [
        row["processors"]
        for row in rows
        if row["seconds"] and row["threads"] == 1 and row["device"].startswith("cpu")
    ]
    waited = [share for share in shares if share < _LEAST_SHARE]
    if not waited:
        return None
    return (
        f"{len(waited)} of {len(shares)} figures on one thread had to wait for the processor, which others used: they "
        f"had it for {100 * min(waited):.0f} % of their time at worst. They are too long by as much; measure again."
    )


def cpu_model() -> str:
    """Name of the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def peak_memory() -> int:
    """Greatest resident set of this process so far, bytes."""
    # Not ru_maxrss on Linux: it begins with the size of the process that started this one.
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        status = ""
    if found := re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE):
        return 1024 * int(found[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None
