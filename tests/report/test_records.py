"""Reading records: the data frame's columns, the selection of runs, and records that cannot be read."""

import json
import math
import shutil
from dataclasses import asdict

import pytest

import ablate
from ablate.base.errors import AblateError
from ablate.report import records
from ablate.runs.identity import SCHEMA
from tests.report.studies import HEAD, learn


def test_load_returns_one_row_per_run_with_the_documented_columns(write, tmp_path):
    write("seed=0", test_error=5.0)
    write("shortcut=gate", status="diverged", reason="the loss was not finite at step 4")
    runs = ablate.load(tmp_path / "runs")
    documented = {
        name.strip()
        for line in records.load.__doc__.splitlines()
        if line.strip().startswith("|") and "---" not in line and "column |" not in line
        for name in line.split("|")[1].split(",")
    }
    assert set(runs.columns) == documented
    assert sorted(runs.state) == ["diverged", "finished"]
    assert runs[runs.state == "finished"].test_error.item() == 5.0


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("/usr/bin/python3 /a/.venv/bin/ablate -m seed=0,1", "ablate -m seed=0,1"),
        ("/usr/bin/python3 /a/ablate/__main__.py seed=1", "python -m ablate seed=1"),
        ("'/my env/python' '/my env/ablate' 'name=a b'", "ablate 'name=a b'"),
        ("/usr/bin/python3 /a/study/__main__.py seed=1", "/usr/bin/python3 /a/study/__main__.py seed=1"),
        ("ablate 'name=a b'", "ablate 'name=a b'"),
        ("python /b/ablate", "ablate"),
        ("cut ' in two", "cut ' in two"),
        ("/usr/bin/python3 /a/study.py /b/ablate", "/usr/bin/python3 /a/study.py /b/ablate"),
        (None, None),
    ],
)
def test_commands_are_shown_as_typed(command, shown, write, tmp_path):
    write(test_error=5.0, command=command)
    assert list(records.load(tmp_path / "runs").command) == [shown]


def test_where_selects_runs_and_names_unknown_keys(write, tmp_path):
    write("depth=20", test_error=5.0)
    write("depth=32", "shortcut=gate", test_error=6.0)
    runs = records.load(tmp_path / "runs")
    assert list(records.where(runs, ["depth=32"]).test_error) == [6.0]
    assert list(records.where(runs, ["shortcut=identity", "recipe.batch=64"]).test_error) == [5.0]
    assert list(records.where(runs, ["shortcut.bias_init=-6"]).test_error) == [6.0]
    with pytest.raises(AblateError, match="no run has a key 'dpeth'"):
        records.where(runs, ["dpeth=32"])
    with pytest.raises(AblateError, match="depth is 20, 32"):
        records.where(runs, ["depth=56"])
    with pytest.raises(AblateError, match="KEY=VALUE"):
        records.where(runs, ["depth"])


def truncate(folder):
    whole = (folder / "result.json").read_text()
    (folder / "result.json").write_text(whole[: len(whole) // 2])


def change(**changes):
    def spoil(folder):
        result = json.loads((folder / "result.json").read_text())
        (folder / "result.json").write_text(json.dumps({**result, **changes}))

    return spoil


def empty(folder):
    for file in folder.iterdir():
        file.unlink()
    (folder / "thesis.txt").write_text("")


SPOILS = {
    "truncated": truncate,
    "empty": lambda folder: (folder / "result.json").write_text(""),
    "binary": lambda folder: (folder / "result.json").write_bytes(b"\xff\xfe\x00"),
    "a list": lambda folder: (folder / "result.json").write_text("[]"),
    "another signature": change(signature="0" * 16),
    "an unknown status": change(status="splendid"),
    "finished without an error": change(test_error=None),
    "an error above 100 %": change(test_error=250.0),
    "an error that is not finite": change(test_error=math.nan),
    "a folder without a record": empty,
    "an unreadable configuration": lambda folder: (
        (folder / "result.json").unlink(),
        (folder / "config.yaml").write_text("a: [b"),
    ),
    "seconds: text": change(seconds="fast"),
    "parameters: a list": change(parameters=[1]),
    "git: text": change(git="abc"),
    "versions: a list": change(versions=["torch"]),
    "started: a number": change(started=3),
    "evaluated_on: a number": change(evaluated_on=0),
    "steps: a boolean": change(steps=True),
    "multiply_adds: too large": change(multiply_adds=1e300),
}


@pytest.mark.parametrize("how", SPOILS)
def test_unreadable_record_is_named_and_the_rest_is_reported(how, write, table):
    write("seed=0", test_error=5.0)
    spoilt = write("seed=1", test_error=6.0)
    SPOILS[how](spoilt)
    (words,), _, (unread,) = table()
    assert (words[HEAD], words["n"]) == ("5.00", "1")
    assert str(spoilt) in unread
    assert "skipped: incomplete or damaged record" in unread


def test_a_loss_of_any_size_is_a_result(write, table):
    write("seed=0", test_error=90.0, train_loss=1e300)
    (words,), _, unread = table()
    assert (words[HEAD], words["n"], unread) == ("90.00", "1", [])


def test_records_of_other_schemas_are_counted_in_one_sentence(write, table):
    write("seed=0", test_error=5.0)
    change(schema=SCHEMA - 1)(write("seed=1", test_error=6.0))
    change(schema=SCHEMA + 1)(write("seed=2", test_error=7.0))
    (words,), _, (unread,) = table()
    assert (words[HEAD], words["n"]) == ("5.00", "1")
    assert "2 records" in unread
    assert "train these runs again" in unread


def test_only_unreadable_records_are_an_error(write, table):
    truncate(write(test_error=5.0))
    with pytest.raises(AblateError, match="skipped: incomplete") as error:
        table()
    assert len(str(error.value).splitlines()) == 1


def test_copied_record_is_not_counted_as_another_seed(write, table):
    folder = write("seed=0", test_error=5.0)
    shutil.copytree(folder, folder.parent / "copy")
    (words,), _, (unread,) = table()
    assert words["n"] == "1"
    assert "copy skipped" in unread


@pytest.mark.parametrize("name", ["backup", "zcopy of"])
def test_copy_under_another_name_is_named_and_not_counted(name, write, table):
    folder = write("seed=0", test_error=5.0)
    copy = folder.parent / f"{name}-{folder.name.rpartition('-')[2]}"
    shutil.copytree(folder, copy)
    (words,), _, unread = table()
    assert (words["n"], unread) == ("1", [f"{copy} skipped: it is a copy of {folder.name}"])
    shutil.rmtree(folder)
    (words,), _, unread = table()
    assert (words["n"], unread) == ("1", [])


def test_unknown_facts_of_a_run_are_missing_values(write, table, tmp_path):
    write("seed=0", test_error=5.0, parameters=None, seconds=None, device=None, precision=None)
    (words,), (numbers,), unread = table()
    assert not unread
    assert not {"parameters", "seconds"} & {*words}
    assert (numbers["parameters"], numbers["seconds"], numbers["computed"]) == ("", "", "an unknown device")


def test_missing_texts_are_none_beside_runs_that_have_them(write, tmp_path):
    write("seed=0", test_error=5.0, command="ablate seed=0", started="2026-01-01", git={"commit": "abc"})
    write("seed=1", ended=False)
    runs = records.read_all([tmp_path / "runs"]).runs
    waiting = runs[runs.state == "stale"].iloc[0]
    assert {waiting[key] for key in records.TEXT_COLUMNS if key != "evaluated_on"} == {None}


def test_result_that_its_last_evaluation_contradicts_is_named_and_left_out(write, tmp_path):
    learn(write("seed=0", test_error=5.0, steps=40), 9.0, 5.0)
    learn(write("seed=1", test_error=3.0, steps=60), 9.0, 5.0)  # an evaluation is missing
    edited = write("seed=2", test_error=3.0, steps=40)
    learn(edited, 9.0, 5.0)
    runs, (sentence,), _ = records.read(tmp_path / "runs")
    assert list(runs.test_error) == [5.0, 3.0]
    assert sentence == f"{edited} skipped: result.json has a test error of 3.0 % and metrics.jsonl one of 5.0 %"


def custom(resolve, source, seed=0, **changes):
    shortcut = {"name": "h", "_target_": "mine.H", "source": source, **changes}
    return asdict(resolve()) | {"seed": seed, "shortcut": shortcut}


def test_failed_runs_of_code_that_was_edited_since_are_left_out_and_counted(write, resolve, tmp_path):
    for seed in range(2):
        write(tree=custom(resolve, "old", seed), status="failed", reason="ValueError: no")
    write(tree=custom(resolve, "other", init=1), status="failed", reason="ValueError: no")  # another request
    write(tree=custom(resolve, "new"), test_error=5.0)
    write(tree=custom(resolve, "new", 1), status="failed", reason="OSError: full")
    runs, sentences = records.without_superseded(records.load(tmp_path / "runs"))
    kept = {(config["shortcut"]["source"], state) for config, state in zip(runs.config, runs.state, strict=True)}
    assert kept == {("new", "failed"), ("new", "finished"), ("other", "failed")}
    (sentence,) = sentences
    assert sentence.startswith("2 runs of h left out: its code has been edited since, and they gave no result (")


def test_results_of_earlier_code_stay(write, resolve, tmp_path):
    for source in ("old", "new"):
        write(tree=custom(resolve, source), test_error=5.0)
    runs = records.load(tmp_path / "runs")
    assert len(records.without_superseded(runs)[0]) == 2
    assert records.without_superseded(runs)[1] == []
