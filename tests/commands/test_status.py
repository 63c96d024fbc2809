"""`ablate status` of runs in every state, from records made by hand."""

import json
import socket
import time
from dataclasses import asdict
from types import SimpleNamespace

import pytest
import yaml

from ablate.runs.code import code
from ablate.runs.identity import SCHEMA, folder_name, signature
from ablate.runs.layout import PLANS
from ablate.runs.lock import Lock
from ablate.runs.reading import ENDED


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture
def put(resolve, runs):
    """Make a record: `put(0, "finished", test_error=2.5)`. Unfinished states have no result.json."""
    base = asdict(resolve("depth=8", "shortcut=gate", "recipe.batch=100"))

    def make(seed, state, progress=None, *, name="gate", **result):
        tree = {**base, "seed": seed, "shortcut": {**base["shortcut"], "name": name}}
        folder = runs / folder_name(tree)
        if state == "missing":
            return folder.name, tree
        folder.mkdir()
        (folder / "config.yaml").write_text(yaml.safe_dump(tree))
        (folder / "run.log").write_text("".join(f"line {n}\n" for n in range(40)))
        if progress is not None:
            content = {**Lock(folder)._content(), **progress}
            (folder / "lock-1.json").write_text(json.dumps(content))
        if state in ENDED:
            facts = {"schema": SCHEMA, "signature": signature(tree), "status": state, "config": tree}
            facts |= {"device_type": "cpu", "precision": "float32", "versions": {"torch": "2.9.0"}, "code": code(tree)}
            facts |= result
            (folder / "result.json").write_text(json.dumps(facts))
        return folder.name, tree

    return make


@pytest.fixture
def study(put, runs, monkeypatch):
    """One cell with a seed in each state, at the time of the running one's last heartbeat."""
    now = time.time()
    monkeypatch.setattr("ablate.commands.status.time", SimpleNamespace(time=lambda: now))
    put(0, "finished", test_error=2.5)
    put(1, "running", {"step": 250, "steps": 1000, "images_per_second": 50.0, "renewed": now})
    put(2, "stale", {"pid": 1 << 22, "step": 10, "steps": 1000})
    put(3, "failed", reason="KeyError: 'x'\nmore")
    put(4, "diverged", reason="the loss was not finite at step 7", test_error=None)
    put(5, "interrupted", reason="SIGTERM at step 9")
    put(6, "stale")
    put(8, "stopped", reason="at chance after 120 of 400 steps", test_error=90.0, stopped_at=120)
    plan = dict([put(7, "missing")])
    (runs / PLANS / "mine").mkdir(parents=True)
    (runs / PLANS / "mine" / "1.json").write_text(json.dumps({"schema": SCHEMA, "runs": plan}))
    return runs


def snapshot(folder):
    return {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in folder.rglob("*")}


def test_every_state_is_shown_and_nothing_is_changed(study, ask):
    before = snapshot(study)
    shown = ask("status", str(study))
    assert (shown.status, shown.err) == (0, "")
    host = socket.gethostname()
    for line in (
        "3 of 9",
        # 750 steps of 100 images at 50 images/s are 1500 s
        f"seed 1 running: step 250 of 1,000, 25 %, 50 images/s, 0:25:00 left, on {host}",
        f"seed 2 stale: process {1 << 22} on {host} is gone; run the same command again to resume",
        "seed 3 failed: KeyError: 'x'",
        "seed 4 diverged: the loss was not finite at step 7",
        "seed 5 interrupted: SIGTERM at step 9",
        "seed 8 stopped: at chance after 120 of 400 steps",
        "seed 6 stale: no process trains it; run the same command again to resume",
        "missing: seed 7",
    ):
        assert line in shown.out
    assert snapshot(study) == before


@pytest.mark.parametrize("option", [(), ("--failed",)], ids=["table", "--failed"])
def test_names_and_reasons_are_printed_without_markup_and_control_characters(option, put, runs, ask):
    put(0, "failed", name="a\\[/b]", reason="[/red] :x: \x1b[31mred\x07")
    shown = ask("status", str(runs), *option)
    assert shown.status == 0
    assert "failed: [/red] :x: \ufffd[31mred\ufffd" in shown.out
    assert option or "a\\[/b]" in shown.out
    assert not [character for character in shown.out if not character.isprintable() and character != "\n"]


def test_failed_shows_reasons_and_the_ends_of_logs(study, put, ask):
    shown = ask("status", str(study), "--failed")
    assert shown.status == 0
    assert "failed: KeyError: 'x'" in shown.out
    assert "line 39" in shown.out
    assert "line 20" not in shown.out


def test_json_has_states_and_progress(study, ask):
    shown = ask("status", str(study), "--json")
    assert shown.status == 0
    found = json.loads(shown.out)
    alone = ("missing", "finished", "stopped", "running", "failed", "diverged", "interrupted")
    assert found["states"] == {**dict.fromkeys(alone, 1), "stale": 2}
    running = next(run for run in found["runs"] if run["state"] == "running")
    assert running["step"] == 250
    assert running["seconds_left"] == 1500


def test_watch_ends_when_no_run_is_unfinished(put, runs, ask):
    put(0, "finished", test_error=2.5)
    shown = ask("status", str(runs), "--watch")
    assert shown.status == 0
    assert "1 of 1" in shown.out


def test_experiment_restricts_the_table_to_its_runs(study, ask):
    shown = ask("status", str(study), "--experiment", "mine")
    assert shown.status == 0
    assert "0 of 1" in shown.out
    other = ask("status", str(study), "--experiment", "other")
    assert other.status == 1
    assert "known here: mine" in other.err


def test_folders_that_are_not_records_are_named_and_the_rest_is_shown(study, ask):
    (study / "holiday").mkdir()
    (next(study.glob("*-s0-*")) / "result.json").write_text('{"schema": 2')
    shown = ask("status", str(study))
    assert shown.status == 0
    assert "holiday skipped: incomplete or damaged record" in shown.err
    assert "JSONDecodeError" in shown.err
    assert "2 of 8" in shown.out


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()], ids=["absent", "empty"])
def test_absent_or_empty_folder_is_an_error_of_one_line(tmp_path, ask, make):
    make(tmp_path / "runs")
    shown = ask("status", str(tmp_path / "runs"))
    assert shown.status == 1
    assert len(shown.err.splitlines()) == 1
