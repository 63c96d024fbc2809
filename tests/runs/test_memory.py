"""What is remembered of finished records is dropped when a record changes."""

import json
import os

import pytest

from ablate.runs import memory, reading


@pytest.fixture
def remembering(monkeypatch, tmp_path):
    """Few records are worth remembering; gives how many are parsed at each reading."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(memory, "WORTHWHILE", 2)
    parsed = []
    real = reading.read_run
    monkeypatch.setattr(
        reading, "read_run", lambda folder, content=None: parsed.append(folder) or real(folder, content)
    )

    def read():
        parsed.clear()
        found = reading.read_runs(tmp_path / "runs")
        return {run.config["seed"]: run for run in found.runs}, len(parsed)

    return read


def test_a_second_reading_parses_nothing_and_says_the_same(remembering, write):
    for seed in range(3):
        write(f"seed={seed}", test_error=5.0 + seed)
    first, count = remembering()
    assert count == 3
    again, count = remembering()
    assert count == 0
    assert again == first


@pytest.mark.parametrize("in_place", [False, True])
def test_a_record_that_changed_is_read_anew(in_place, remembering, write):
    folders = [write(f"seed={seed}", test_error=5.0) for seed in range(3)]
    remembering()
    path = folders[1] / "result.json"
    changed = path.read_text().replace('"test_error": 5.0', '"test_error": 6.0')  # as long as it was
    if in_place:
        before = path.stat()
        path.write_text(changed)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))  # however coarse the clock is
    else:
        (folders[1] / "new").write_text(changed)
        os.replace(folders[1] / "new", path)
    runs, count = remembering()
    assert count == 1
    assert [runs[seed].result["test_error"] for seed in range(3)] == [5.0, 6.0, 5.0]
    assert remembering()[1] == 0


def test_a_record_that_went_is_gone_and_a_new_one_is_there(remembering, write):
    folders = [write(f"seed={seed}", test_error=5.0) for seed in range(3)]
    remembering()
    (folders[0] / "result.json").unlink()
    (folders[0] / "config.yaml").unlink()
    folders[0].rmdir()
    write("seed=7", test_error=7.0)
    runs, count = remembering()
    assert sorted(runs) == [1, 2, 7]
    assert count == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"form": [0, 0], "runs": {}}', '{"form": null}'])
def test_a_broken_memory_costs_time_alone(content, remembering, write, tmp_path):
    for seed in range(3):
        write(f"seed={seed}", test_error=5.0)
    remembering()
    (file,) = (tmp_path / "cache" / "ablate").glob("records-*.json")
    file.write_text(content)
    runs, count = remembering()
    assert (len(runs), count) == (3, 3)
    assert remembering()[1] == 0


def test_what_is_remembered_is_plain_json(remembering, write, tmp_path):
    for seed in range(3):
        write(f"seed={seed}", test_error=5.0)
    remembering()
    (file,) = (tmp_path / "cache" / "ablate").glob("records-*.json")
    assert len(json.loads(file.read_text())["runs"]) == 3
