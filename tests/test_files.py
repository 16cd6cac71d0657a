import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from caloforge.errors import OutputError, ValueRangeError
from caloforge.files import atomic_path, check_output, explain_os_error


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_success_leaves_only_the_file(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_path(path) as part:
        assert part.parent == tmp_path
        part.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [RuntimeError, ValueRangeError, KeyboardInterrupt])
def test_failure_leaves_the_old_file(error, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write_half():
        with atomic_path(path) as part:
            part.write_text("half")
            raise error("stop")

    with pytest.raises(error, match="stop"):
        write_half()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_two_writers_do_not_share_a_name(tmp_path):
    with atomic_path(tmp_path / "a") as one, atomic_path(tmp_path / "a") as two:
        assert one != two
        one.touch()
        two.touch()
    assert names(tmp_path) == ["a"]


def test_nothing_written_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="cannot be written: No such file"), atomic_path(tmp_path / "a"):
        pass


def test_missing_folder(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"), atomic_path(tmp_path / "none" / "a") as part:
        part.write_text("x")


def test_folder_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Not a directory"), atomic_path(tmp_path / "file" / "a") as part:
        part.write_text("x")


def test_name_too_long(tmp_path):
    with pytest.raises(OutputError, match="File name too long"), atomic_path(tmp_path / ("x" * 250)) as part:
        part.write_text("x")


def test_an_input_that_is_missing_is_not_blamed_on_the_output(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"input\.txt"), atomic_path(tmp_path / "a") as part:
        part.write_text((tmp_path / "input.txt").read_text())


def test_full_disk(tmp_path):
    # A file-size limit stops the write as a full disk does, also for root.
    code = f"""
import resource, signal
from pathlib import Path
from caloforge.files import atomic_path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with atomic_path(Path({str(tmp_path / "a.bin")!r})) as part:
    part.write_bytes(bytes(5000))
"""
    (tmp_path / "a.bin").write_bytes(b"old")
    found = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert found.returncode == 1
    assert "OutputError" in found.stderr
    assert "a.bin: cannot be written: File too large." in found.stderr
    assert names(tmp_path) == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space left on the disk"),
        (OSError("Can't write data (No space left on device)"), "no space left on the disk"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "no space left on the disk"),
        (OSError(errno.EROFS, "Read-only file system"), "cannot be written: Read-only file system."),
        (OSError("one\ntwo"), "cannot be written: one."),
        (OSError(), "cannot be written: OSError."),
    ],
)
def test_explain_os_error(error, message, tmp_path):
    found = explain_os_error(tmp_path / "a", error)
    assert isinstance(found, OSError)
    assert message in str(found)
    assert str(tmp_path / "a") in str(found)


def test_check_output(tmp_path):
    path = tmp_path / "a"
    check_output(path)
    path.touch()
    with pytest.raises(OutputError, match="exists already"):
        check_output(path)
    check_output(path, overwrite=True)
    with pytest.raises(OutputError, match="is a folder"):
        check_output(tmp_path, overwrite=True)
    with pytest.raises(OutputError, match="does not exist; create it first"):
        check_output(tmp_path / "none" / "a")


def test_check_output_without_permission(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    with pytest.raises(OutputError, match="no permission to write"):
        check_output(tmp_path / "a")


def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "scratch").mkdir()
    target, link = tmp_path / "scratch" / "big.h5", tmp_path / "out.h5"
    link.symlink_to(target)
    for text in ("new", "newer"):  # dangling at first
        check_output(link, overwrite=True)
        with atomic_path(link) as part:
            assert part.parent == target.parent
            part.write_text(text)
        assert link.is_symlink()
        assert target.read_text() == text
    assert names(tmp_path / "scratch") == ["big.h5"]


def test_what_is_no_file_is_not_replaced_by_one(tmp_path):
    fifo, circle = tmp_path / "fifo", tmp_path / "circle"
    os.mkfifo(fifo)
    circle.symlink_to(circle)
    (tmp_path / "null").symlink_to("/dev/null")
    for path in (fifo, tmp_path / "null", Path("/dev/null")):
        with pytest.raises(OutputError, match="is a device, a pipe or a socket"):
            check_output(path, overwrite=True)
        with pytest.raises(OutputError, match="is a device, a pipe or a socket"), atomic_path(path) as part:
            part.write_text("x")
    with pytest.raises(OutputError, match="circle of symbolic links"):
        check_output(circle)
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_check_output_of_a_name_too_long(tmp_path):
    with pytest.raises(OutputError, match="File name too long"):
        check_output(tmp_path / ("x" * 300))
