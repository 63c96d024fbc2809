"""What a record says of the source that computed it."""

import subprocess

import pytest

from ablate.runs import provenance


@pytest.fixture(autouse=True)
def fresh():
    provenance.git.cache_clear()
    yield
    provenance.git.cache_clear()


@pytest.mark.parametrize(
    ("name", "value"), [("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1"), ("PATH", "/nowhere")], ids=["owner", "no git"]
)
def test_checkout_that_git_cannot_read_is_told_once(name, value, tmp_path, monkeypatch, capsys):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path / "ablate")
    monkeypatch.setenv(name, value)
    assert provenance.git() is provenance.git() is None
    assert capsys.readouterr().err == (
        f"ablate: the commit is not recorded, because git cannot read it: see git -C {tmp_path} status\n"
    )


def test_installed_package_has_no_commit_and_needs_no_word(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path / "ablate")
    assert provenance.git() is None
    assert capsys.readouterr().err == ""


MODULE = str(provenance.PACKAGE / "__main__.py")


@pytest.mark.parametrize(
    ("argv", "typed", "kept"),
    [
        (["/env/bin/ablate", "depth=8", "name=a b"], [], "ablate depth=8 'name=a b'"),
        ([MODULE, "-m", "seed=0,1", "results=it's"], [], """python -m ablate -m seed=0,1 'results=it'"'"'s'"""),
        (["/a/study/__main__.py", "x"], ["python3", "-m", "study", "x"], "python3 -m study x"),
        (["-c"], ["python3", "-c", "import ablate; ablate.run()"], "python3 -c 'import ablate; ablate.run()'"),
    ],
)
def test_command_is_kept_as_a_shell_takes_it(argv, typed, kept, monkeypatch):
    monkeypatch.setattr("sys.argv", argv)
    monkeypatch.setattr("sys.orig_argv", typed or ["/env/bin/python", *argv])
    assert provenance.command() == kept
