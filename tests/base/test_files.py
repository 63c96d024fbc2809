import os

import pytest

from ablate.base.files import read_json, sweep_temporaries, to_json, write_whole


def test_file_is_replaced_and_no_temporary_file_is_left(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("a longer old content")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_reader_of_the_old_file_is_not_disturbed(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")
    with open(path) as reader:
        write_whole(path, b"new and longer")
        assert reader.read() == "old"  # renamed over, not written into


def test_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "other").write_text("")
    write_whole(tmp_path / "file", b"")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode


def full(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_failed_write_leaves_the_old_file_and_no_other(step, tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    path.write_text("old")
    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_content_leaves_no_file(tmp_path):
    with pytest.raises(TypeError):
        write_whole(tmp_path / "result.json", "text, not bytes")
    assert not list(tmp_path.iterdir())


def test_numbers_that_are_not_finite_become_null(strict_json):
    nan, inf = float("nan"), float("inf")
    assert strict_json(to_json({"a": [nan, (inf, 1.5)], "b": {"c": -inf, "d": True}})) == {
        "a": [None, [None, 1.5]],
        "b": {"c": None, "d": True},
    }


@pytest.mark.parametrize(
    ("content", "found"), [(b'{"a": [1]}', {"a": [1]}), (b"[1]", None), (b'{"a"', None), (b"\xff", None), (b"", None)]
)
def test_json_object_is_read_and_anything_else_is_none(tmp_path, content, found):
    (tmp_path / "file.json").write_bytes(content)
    assert read_json(tmp_path / "file.json") == found


def test_missing_json_file_is_none(tmp_path):
    assert read_json(tmp_path / "gone.json") is None
    (tmp_path / "file").touch()
    assert read_json(tmp_path / "file" / "inside.json") is None


def test_temporary_files_of_killed_writers_are_removed_but_no_recent_lock(tmp_path):
    names = [".writing-result.json.abc", ".writing-lock-1.json.new", ".writing-lock-1.json.old", "result.json"]
    for name in names:
        (tmp_path / name).touch()
    os.utime(tmp_path / names[2], (0, 0))
    sweep_temporaries(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([names[1], names[3]])
