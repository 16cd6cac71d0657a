"""One file to another: layout, range and threshold, in constant memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from caloforge.errors import OutputError
from caloforge.geometry import Geometry
from caloforge.io.reading import read_chunks
from caloforge.io.source import check_range, open_source
from caloforge.io.writing import ShowerWriter
from caloforge.showers import check_threshold

__all__ = ["convert"]


def convert(
    source: str | Path,
    target: str | Path,
    *,
    layout: str,
    geometry: Geometry | str | Path | None = None,
    start: int = 0,
    stop: int | None = None,
    threshold: float | None = None,
    overwrite: bool = False,
    compression: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write the showers of one file to another.

    What was done is added to the list ``provenance["history"]``.

    Args:
        source: The file to read.
        target: The file to write; appears only when it is complete.
        layout: Layout of ``target``, a key of :data:`caloforge.io.LAYOUTS`.
        geometry: As in :func:`caloforge.io.read`.
        start: Index of the first shower.
        stop: Index behind the last shower; by default to the end.
        threshold: Voxels below this energy, MeV, become 0.
        overwrite: Replace ``target`` if it exists.
        compression: gzip level from 0 (none) to 9.
        progress: Called with the showers done and all there are, after every chunk.

    Returns:
        The number of showers written.

    Raises:
        FileFormatError: ``source`` cannot be read.
        OutputError: ``target`` cannot be written, or is ``source``.
        GeometryMismatchError: ``layout`` cannot hold the geometry.
        ValueRangeError: The range or the threshold makes no sense.
    """
    source, target = Path(source), Path(target)
    if threshold is not None:
        check_threshold(threshold)
    with open_source(source, geometry=geometry, layout=None) as opened:
        stop = check_range(source, opened.n_showers, start, stop)
        calorimeter, form, left_out = opened.geometry, opened.layout.name, opened.left_out
        provenance = opened.provenance
    if target.exists() and target.samefile(source):
        raise OutputError(target, "is the file to read as well; write to another name.")
    step: dict[str, Any] = {
        "action": "convert",
        "file": source.name,
        "layout": form,
        "showers": [start, stop],
    }
    step |= {} if threshold is None else {"threshold_MeV": threshold}
    step |= {"left_out": list(left_out)} if left_out else {}
    provenance = {**provenance, "history": [*provenance.get("history", []), step]}
    chunks = read_chunks(source, geometry=calorimeter, layout=form, start=start, stop=stop)
    with ShowerWriter(
        target,
        calorimeter,
        layout=layout,
        overwrite=overwrite,
        compression=compression,
        provenance=provenance,
    ) as writer:
        for showers in chunks:
            writer.append(showers if threshold is None else showers.above(threshold))
            if progress is not None:
                progress(writer.n_showers, stop - start)
    return writer.n_showers
