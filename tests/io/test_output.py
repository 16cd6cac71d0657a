"""An output is whole or absent; a full disk, a limit or an error leave what was there."""

import json
import os
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from caloforge.errors import OutputError
from caloforge.io import ShowerWriter, convert, read, write


def test_an_existing_file_is_kept_unless_told(tmp_path, mixed, make_showers):
    path = tmp_path / "a.h5"
    write(make_showers(mixed, 3), path)
    with pytest.raises(OutputError, match=r"exists already.*--overwrite"):
        write(make_showers(mixed, 4), path)
    assert len(read(path)) == 3
    write(make_showers(mixed, 4), path, overwrite=True)
    assert len(read(path)) == 4


@pytest.mark.parametrize("target", ["nowhere/a.h5", ".", ""])
def test_places_where_nothing_can_be_written(tmp_path, mixed, make_showers, target):
    with pytest.raises(OutputError, match=r"does not exist; create it|is a folder"):
        write(make_showers(mixed, 3), tmp_path / target)


@pytest.mark.parametrize("error", [RuntimeError, FileNotFoundError, KeyboardInterrupt])
def test_an_error_in_the_block_passes_unchanged_and_leaves_nothing(tmp_path, mixed, make_showers, error):
    path = tmp_path / "a.h5"
    write(make_showers(mixed, 3), path)
    before = path.read_bytes()

    def fail_halfway() -> None:
        with ShowerWriter(path, mixed, overwrite=True) as writer:
            writer.append(make_showers(mixed, 5))
            raise error("mine")

    with pytest.raises(error, match="mine"):
        fail_halfway()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_appears_only_at_the_end(tmp_path, mixed, make_showers):
    path = tmp_path / "a.h5"
    with ShowerWriter(path, mixed) as writer:
        writer.append(make_showers(mixed, 5))
        assert not path.exists()
    assert path.exists()
    with pytest.raises(OutputError, match="use ShowerWriter in a 'with' block"):
        writer.append(make_showers(mixed, 5))
    with pytest.raises(OutputError, match="use ShowerWriter in a 'with' block"):
        ShowerWriter(tmp_path / "b.h5", mixed).append(make_showers(mixed, 5))


def test_a_file_is_not_converted_onto_itself(tmp_path, mixed, make_showers):
    path, link = tmp_path / "a.h5", tmp_path / "link.h5"
    write(make_showers(mixed, 3), path)
    link.symlink_to(path)
    before = path.read_bytes()
    for source, target in ((path, path), (path, link), (link, path)):
        with pytest.raises(OutputError, match="the file to read as well"):
            convert(source, target, layout="calogan", overwrite=True)
    assert path.read_bytes() == before


# Runs in a process of its own, since HDF5 once crashed at its end, after everything was tidied up.
FILL = textwrap.dedent(
    """
    import json, sys
    from pathlib import Path
    import numpy as np
    from caloforge import Showers
    from caloforge.errors import OutputError
    from caloforge.geometry import get_geometry
    from caloforge.io import ShowerWriter, write, read

    folder, layout, batches, compression = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    if len(sys.argv) > 5:
        import resource, signal
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[5]),) * 2)
    rng = np.random.default_rng(0)
    voxels = rng.random((300, 504), dtype=np.float32)
    showers = Showers(e_inc=np.full(300, 400.0), voxels=voxels, geometry=get_geometry("calogan"))
    write(showers[:1], folder / "kept.h5", layout=layout)
    kept = (folder / "kept.h5").read_bytes()
    problem = ""
    try:
        with ShowerWriter(folder / "kept.h5", showers.geometry, layout=layout, overwrite=True,
                          compression=compression) as writer:
            for _ in range(batches):
                writer.append(showers)
    except OutputError as err:
        problem = str(err)
        assert (folder / "kept.h5").read_bytes() == kept
    assert [p.name for p in folder.iterdir()] == ["kept.h5"], list(folder.iterdir())
    write(showers[:2], folder / "later.h5", layout=layout)  # HDF5 still works
    print(json.dumps({"problem": problem, "n": len(read(folder / "kept.h5"))}))
    """
)


def fill(folder: Path, *args: object) -> dict:
    command = [sys.executable, "-c", FILL, str(folder), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (folder / "kept.h5").unlink()
    (folder / "later.h5").unlink()
    return json.loads(done.stdout)


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(("layout", "compression"), [("calochallenge", 0), ("calogan", 1)])
def test_a_full_disk(small_disk, layout, compression):
    """The number of batches moves the moment of the failure from an append to the closing of the file."""
    seen = set()
    for batches in (1, 3, 4, 12):
        result = fill(small_disk, layout, batches, compression)
        seen.add(bool(result["problem"]))
        if result["problem"]:
            assert "kept.h5: no space left on the disk; free some" in result["problem"]
            assert result["n"] == 1
        else:
            assert result["n"] == 300 * batches
    assert seen == {True, False}


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit of the file size here")
@pytest.mark.parametrize("batches", [3, 5, 12])
def test_a_limit_of_the_file_size(tmp_path, batches):
    result = fill(tmp_path, "calochallenge", batches, 1, 1_500_000)
    assert "kept.h5: cannot be written: File too large." in result["problem"]
    assert result["n"] == 1


# Data and stack of a process are limited to what the imports need and a little more.
STREAM = textwrap.dedent(
    """
    import resource, sys
    from pathlib import Path
    import numpy as np
    from caloforge import Showers
    from caloforge.geometry import get_geometry
    from caloforge.io import ShowerWriter, convert, file_info

    folder, n_batches, spare = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    status = Path("/proc/self/status").read_text().splitlines()
    used = 1024 * int(next(line.split()[1] for line in status if line.startswith("VmData")))
    resource.setrlimit(resource.RLIMIT_DATA, (used + spare,) * 2)
    geometry = get_geometry("calogan")
    voxels = np.zeros((2000, 504), dtype=np.float32)
    voxels[:, ::50] = np.random.default_rng(0).random((2000, 11))
    showers = Showers(e_inc=np.full(2000, 10.0), voxels=voxels, geometry=geometry)
    with ShowerWriter(folder / "a.h5", geometry) as writer:
        for _ in range(n_batches):
            writer.append(showers)
    convert(folder / "a.h5", folder / "b.h5", layout="calogan", threshold=0.1)
    assert file_info(folder / "b.h5").n_showers == 2000 * n_batches
    try:
        np.ones(spare + 2**20, dtype=np.uint8)
    except MemoryError:
        print(2000 * n_batches * 504 * 4 / spare)
    """
)


def stream(folder: Path, *, n_batches: int, spare: int) -> float:
    """How many times the spare memory went through a file and its conversion."""
    if not Path("/proc/self/status").exists():
        pytest.skip("reads the memory of a process from /proc")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", STREAM, str(folder), str(n_batches), str(spare)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout, "the limit of the memory did not work"
    return float(done.stdout)


def test_files_larger_than_memory(tmp_path):
    assert stream(tmp_path, n_batches=50, spare=100 * 2**20) > 1.5


@pytest.mark.slow
def test_files_ten_times_larger_than_memory(tmp_path):
    assert stream(tmp_path, n_batches=270, spare=100 * 2**20) > 10


def test_float16_is_widened(tmp_path, mixed, make_showers):
    showers = make_showers(mixed, 3)
    half = type(showers)(e_inc=showers.e_inc, voxels=np.ones((3, 25), dtype=np.float16), geometry=mixed)
    write(half, tmp_path / "a.h5")
    assert read(tmp_path / "a.h5").voxels.dtype == np.float32
