"""Records travel in one file: the same numbers arrive, nothing is replaced, nothing escapes its folder."""

import io
import json
import shutil
import tarfile

import numpy
import pytest

from ablate.base.errors import AblateError
from ablate.runs import layout
from ablate.runs.archive import pack, unpack
from ablate.runs.reading import read_predictions, read_runs


@pytest.fixture
def study(ask, tmp_path):
    grid = ("-m", "+experiment=depth", "depth=8", "shortcut=none,identity", "iterations=2", "hydra/launcher=basic")
    assert ask(*grid, "device=cpu", "seed=0").status == 0
    return tmp_path / "runs"


def test_records_arrive_as_they_were_but_for_the_weights(ask, study, tmp_path):
    assert ask("archive", str(study), "--out", str(tmp_path / "study.tar.gz")).err == ""
    there = tmp_path / "there"
    assert ask("archive", str(there), "--from", str(tmp_path / "study.tar.gz")).out == f"2 records taken into {there}\n"
    was, now = read_runs(study, "depth").runs, read_runs(there, "depth").runs
    assert [run.result for run in now] == [run.result for run in was]
    for before, after in zip(was, now, strict=True):
        assert numpy.array_equal(read_predictions(before.folder), read_predictions(after.folder))
        names = {path.name for path in before.folder.iterdir()} - {layout.WEIGHTS}
        assert {path.name for path in after.folder.iterdir()} == names
    tables = [ask("report", str(runs), "--experiment", "depth").out for runs in (study, there)]
    assert tables[0] == tables[1]
    again = ask("archive", str(there), "--from", str(tmp_path / "study.tar.gz"))
    assert (again.status, again.out, again.err) == (0, f"0 records taken into {there}\n", "")


def test_same_records_give_the_same_bytes(study, tmp_path):
    for name in ("a", "b"):
        assert pack(study, tmp_path / name) == []
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_record_that_is_there_is_not_replaced(ask, study, tmp_path):
    pack(study, tmp_path / "study.tar.gz")
    first = read_runs(study).runs[0].folder
    result = json.loads((first / layout.RESULT).read_text())
    (first / layout.RESULT).write_text(json.dumps(result | {"test_error": 1.0}))
    shutil.rmtree(read_runs(study).runs[1].folder)
    said = ask("archive", str(study), "--from", str(tmp_path / "study.tar.gz"))
    assert (said.status, said.out) == (1, f"1 records taken into {study}\n")
    assert f"{first} is there with another result: it was not replaced" in said.err
    assert json.loads((first / layout.RESULT).read_text())["test_error"] == 1.0


def test_unfinished_runs_are_left_out(study, write, tmp_path):
    write("depth=14", ended=False)
    assert pack(study, tmp_path / "a") == ["1 runs that have not ended were left out"]
    assert unpack(tmp_path / "a", tmp_path / "there") == (2, [])


def archive(file, **content):
    with tarfile.open(file, "w:gz") as made:
        for name, text in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            made.addfile(member, io.BytesIO(text))
    return file


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/evil.txt", "a/b/c", "evil", "_grids/../../evil/a.json", "../a"])
def test_archive_cannot_write_outside_its_folder(tmp_path, name):
    file = archive(tmp_path / "evil.tar.gz", **{name: b"x"})
    with pytest.raises(AblateError, match="which is not a record's: nothing was taken"):
        unpack(file, tmp_path / "in" / "runs")
    assert list((tmp_path / "in").rglob("*")) == [tmp_path / "in" / "runs"]
    assert {path.name for path in tmp_path.iterdir()} == {"evil.tar.gz", "in"}


def test_links_are_refused(tmp_path):
    with tarfile.open(tmp_path / "link.tar.gz", "w:gz") as made:
        member = tarfile.TarInfo("run/result.json")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        made.addfile(member)
    with pytest.raises(AblateError, match="nothing was taken"):
        unpack(tmp_path / "link.tar.gz", tmp_path / "runs")


def test_edited_record_in_an_archive_is_not_taken(study, tmp_path):
    folder = read_runs(study).runs[0].folder
    edited = (folder / layout.RESULT).read_bytes().replace(b'"depth": 8', b'"depth": 14')
    file = archive(tmp_path / "a.tar.gz", **{f"{folder.name}/{layout.RESULT}": edited})
    new, (sentence,) = unpack(file, tmp_path / "there")
    assert new == 0
    assert "incomplete or damaged record (its name does not end in its signature" in sentence


def test_target_that_cannot_be_read_is_named_and_the_rest_is_taken(study, tmp_path):
    pack(study, tmp_path / "study.tar.gz")
    torn, bare = (tmp_path / "there" / run.folder.name for run in read_runs(study).runs)
    for folder in (torn, bare):
        folder.mkdir(parents=True)
    (torn / layout.RESULT).write_text('{"status"')
    new, refused = unpack(tmp_path / "study.tar.gz", tmp_path / "there")
    assert new == 0
    assert f"{torn} is there, incomplete or damaged (" in "".join(refused)
    assert f"{bare} is there with no result: it was not replaced" in refused
    assert (tmp_path / "there" / layout.PLANS / "depth").is_dir()


def test_archive_in_a_place_that_is_none_is_named(ask, tmp_path):
    (tmp_path / "file").touch()
    said = ask("archive", str(tmp_path / "runs"), "--from", str(tmp_path / "file" / "study.tar.gz"))
    assert f"{tmp_path / 'file' / 'study.tar.gz'} is not an archive of records (Not a directory)" in said.err


def test_damaged_archive_is_named_and_nothing_is_taken(ask, study, tmp_path):
    pack(study, tmp_path / "study.tar.gz")
    content = bytearray((tmp_path / "study.tar.gz").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 20] = bytes(20)
    (tmp_path / "damaged.tar.gz").write_bytes(content)
    said = ask("archive", str(tmp_path / "there"), "--from", str(tmp_path / "damaged.tar.gz"))
    assert said.status == 1
    assert f"{tmp_path / 'damaged.tar.gz'} is not an archive of records" in said.err
    assert not list((tmp_path / "there").iterdir())


@pytest.mark.parametrize("content", [b"", b"not an archive", None])
def test_file_that_is_no_archive_is_named(ask, tmp_path, content):
    file = tmp_path / "study.tar.gz"
    if content is not None:
        file.write_bytes(content)
    said = ask("archive", str(tmp_path / "runs"), "--from", str(file))
    assert said.status == 1
    assert f"{file} is not an archive of records" in said.err
    assert len(said.err.splitlines()) == 1
