import os

import pytest

from ablate.base.files import to_json, write_whole


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("a longer old content")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_holds_the_old_file_while_the_new_one_comes(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")
    with open(path) as reader:
        write_whole(path, b"new and longer")
        assert reader.read() == "old"  # renamed over, not written into


def test_a_file_has_the_permissions_of_any_other_file(tmp_path):
    (tmp_path / "other").write_text("")
    write_whole(tmp_path / "file", b"")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode


def full(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(step, tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    path.write_text("old")
    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_content_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        write_whole(tmp_path / "result.json", "text, not bytes")
    assert not list(tmp_path.iterdir())


def test_numbers_that_json_lacks_become_null(strict_json):
    nan, inf = float("nan"), float("inf")
    assert strict_json(to_json({"a": [nan, (inf, 1.5)], "b": {"c": -inf, "d": True}})) == {
        "a": [None, [None, 1.5]],
        "b": {"c": None, "d": True},
    }
