"""A file for HDF5 to write into that never fails, and remembers if it should have."""

import io
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["Sink"]


@final
class Sink(io.FileIO):
    """A binary file whose first failed write is kept in ``failure``; later writes are thrown away.

    HDF5 does not survive a full disk: the error comes back as one of several exceptions, often only when the
    file is closed, the file then cannot be closed any more, and the process crashes when it ends (seen with
    HDF5 2.0). Written through this file, HDF5 sees a disk that has room, and the writer looks here.
    """

    failure: OSError | None = None

    def write(self, data: "ReadableBuffer") -> int:
        """Write everything, or note why not."""
        view = memoryview(data).cast("B")
        done = 0
        while self.failure is None and done < len(view):
            try:
                done += super().write(view[done:])
            except OSError as err:
                self.failure = err
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Cut or extend, or note why not."""
        if self.failure is None:
            try:
                return super().truncate(size)
            except OSError as err:
                self.failure = err
        return self.tell() if size is None else size
