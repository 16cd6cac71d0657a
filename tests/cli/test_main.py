"""What nobody has foreseen is still one line."""

import pytest

from caloforge.cli import main as entry


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(36, "File name too long", "x.h5"), "error: x.h5: File name too long.\n"),
        (OSError("two\nlines"), "error: two lines.\n"),
        (OSError(), "error: OSError.\n"),
        (MemoryError(), "error: not enough memory.\n"),
        (MemoryError("Unable to allocate 8 TiB"), "error: not enough memory: Unable to allocate 8 TiB\n"),
    ],
)
def test_errors_of_the_system_are_one_line(monkeypatch, capsys, error, message):
    def fail(**options):
        raise error

    monkeypatch.setattr(entry, "app", fail)
    with pytest.raises(SystemExit) as caught:
        entry.main()
    assert caught.value.code == 2
    assert capsys.readouterr().err == message
