"""What nobody has foreseen is still one line."""

import inspect

import pytest
import typer

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


def test_train_and_distill_share_their_options():
    """One definition each, so that neither changes alone; the texts are those a user knows."""
    train, distill = (inspect.signature(command).parameters for command in (entry.train, entry.distill))
    own = {"family", "teacher", "data", "preset", "settings"}
    assert set(train) ^ set(distill) == {"family", "teacher"}
    for name in set(train) - own:
        assert train[name].annotation is distill[name].annotation, name
        assert train[name].default == distill[name].default, name
    commands = typer.main.get_command(entry.app).commands
    helps = [
        {option.name: option.help for option in commands[name].params if option.name not in own}
        for name in ("train", "distill")
    ]
    assert helps[0] == helps[1]
    assert helps[0]["output"] == "Folder of the run."
    assert helps[0]["stop"] == "Shower to stop before; keep the rest for tests."
    settings = [
        option.help
        for name in ("train", "distill")
        for option in commands[name].params
        if option.name == "settings"
    ]
    assert settings == [
        "Change one setting, e.g. training.shape.epochs=20.",
        "Change one setting, e.g. distillation.z_loss=false.",
    ]
