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
