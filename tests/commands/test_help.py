"""The overview, one command's help, completion, and errors of the file system."""

import pytest

from ablate import commands
from ablate.base.version import __version__
from ablate.commands.completion import complete
from ablate.config.explain import every_key
from ablate.config.files import GROUPS, options


def test_help_names_every_command_group_option_and_key(ask):
    shown = ask("--help").out
    words = set(shown.replace(",", " ").split())
    assert set(commands.names()) <= words
    for group in GROUPS:
        assert set(options(group)) <= words
    for key in every_key():
        if key not in GROUPS and not key.endswith(".name"):
            own = key.startswith(("shortcut.", "unit.", "net.", "hydra.launcher."))
            assert f"{key.rpartition('.')[2] if own else key}=" in shown


def test_help_of_one_command_is_its_own_help(ask):
    assert ask("help", "power").out == ask("power", "--help").out
    assert ask("help", "powre").status == 2


@pytest.mark.parametrize("words", [["--version"], ["-m", "--version"], ["--version", "depth=8"]])
def test_version_is_of_this_package(words, ask):
    assert ask(*words).out == f"ablate {__version__}\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ablate stat", ["status"]),
        ("ablate shortcut.b", ["shortcut.bias_init="]),
        ("ablate shortcut.norm=", ["shortcut.norm=false", "shortcut.norm=true"]),
        ("ablate hydra.launcher.n_", ["hydra.launcher.n_jobs="]),
        ("ablate hydra.launcher.wait=", ["hydra.launcher.wait=false", "hydra.launcher.wait=true"]),
        ("ablate +exp", ["+experiment="]),
        ("ablate -m +experiment=q", ["+experiment=quickstart"]),
        ("ablate cluster=c", ["cluster=container", "cluster=cpu"]),
        ("ablate status --f", ["--failed"]),
        ("ablate data.fl", ["data.flip="]),
        ("ablate data.flip=t", ["data.flip=true"]),
        ("ablate exp", ["export"]),
        ("ablate expe", []),
    ],
)
def test_word_is_completed(line, words):
    assert complete(line) == words


@pytest.mark.parametrize(
    ("command", "words", "key"),
    [
        ("status", ["~/x"], "runs"),
        ("report", ["--out=~/x"], "out"),
        ("replay", ["~/x"], "run"),
        ("replay", ["run", "--out=~/x"], "out"),
        ("power", ["1", "2", "--runs=~/x"], "runs"),
        ("bench", ["speed", "--out=~/x"], "out"),
    ],
)
def test_tilde_in_a_path_is_the_home_folder(command, words, key, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    given = getattr(commands.parser(command).parse_intermixed_args(words), key)
    assert str(given) == "/home/someone/x"


def test_error_of_the_file_system_names_the_file(capsys):
    def denied():
        raise PermissionError(13, "Permission denied", "/some\x1b[31mwhere")

    assert commands.guarded("ablate", denied) == 1
    assert capsys.readouterr().err == "ablate: /some\ufffd[31mwhere cannot be read or written: Permission denied\n"
