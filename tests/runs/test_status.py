"""What a person is told of runs in every state, from files made by hand."""

import json
import socket
import time
from dataclasses import asdict
from types import SimpleNamespace

import pytest
import yaml

from ablate.commands import status as command
from ablate.runs.identity import SCHEMA, folder_name, signature
from ablate.runs.lock import Lock
from ablate.runs.reading import PLANS


@pytest.fixture
def put(resolve, tmp_path):
    """Make a record: `put(0, "finished", test_error=2.5)`; a state without result.json is left without one."""

    def make(seed, state, lock=None, *, name="gate", **result):
        tree = asdict(resolve("depth=8", "shortcut=gate", "recipe.batch=100", f"seed={seed}", f"results={tmp_path}"))
        tree["shortcut"]["name"] = name
        folder = tmp_path / folder_name(tree)
        if state == "missing":
            return folder.name, tree
        folder.mkdir()
        (folder / "config.yaml").write_text(yaml.safe_dump(tree))
        (folder / "run.log").write_text("".join(f"line {n}\n" for n in range(40)))
        if lock is not None:
            lock = Lock(folder, lambda: lock)
            (folder / "lock-1.json").write_text(json.dumps({**lock._card(), **lock}))
        if state in ("finished", "diverged", "failed", "interrupted"):
            facts = {"schema": SCHEMA, "signature": signature(tree), "status": state, "config": tree, **result}
            (folder / "result.json").write_text(json.dumps(facts))
        return folder.name, tree

    return make


@pytest.fixture
def study(put, tmp_path, monkeypatch):
    """One cell with a seed in each state, at the moment of the running one's last beat."""
    now = time.time()
    monkeypatch.setattr("ablate.runs.status.time", SimpleNamespace(time=lambda: now))
    put(0, "finished", test_error=2.5)
    put(1, "running", {"step": 250, "steps": 1000, "images_per_second": 50.0, "renewed": now})
    put(2, "stale", {"pid": 1 << 22, "step": 10, "steps": 1000})
    put(3, "failed", reason="KeyError: 'x'\nmore")
    put(4, "diverged", reason="the loss was not finite at step 7", test_error=None)
    plan = dict([put(5, "missing")])
    (tmp_path / PLANS / "mine").mkdir(parents=True)
    (tmp_path / PLANS / "mine" / "1.json").write_text(json.dumps({"schema": SCHEMA, "runs": plan}))
    return tmp_path


def snapshot(folder):
    return {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in folder.rglob("*")}


def test_every_state_is_told_and_nothing_is_changed(study, capsys):
    before = snapshot(study)
    assert command.main([str(study)]) == 0
    out = capsys.readouterr().out
    assert "2 of 6" in out
    # 750 steps of 100 images at 50 a second are 1500 s
    assert f"seed 1 running: step 250 of 1,000, 25 %, 50 images/s, 25 min left, on {socket.gethostname()}" in out
    assert f"seed 2 stale: process {1 << 22} on {socket.gethostname()} is gone" in out
    assert "seed 3 failed: KeyError: 'x'" in out
    assert "seed 4 diverged: the loss was not finite at step 7" in out
    assert "missing: seed 5" in out
    assert snapshot(study) == before


@pytest.mark.parametrize("how", [(), ("--failed",)], ids=["table", "--failed"])
def test_what_a_name_or_a_reason_says_is_no_markup_and_reaches_no_terminal_raw(how, put, tmp_path, capsys):
    put(0, "failed", name="a\\[/b]", reason="[/red] :x: \x1b[31mred\x07")
    assert command.main([str(tmp_path), *how]) == 0
    out = capsys.readouterr().out
    assert "failed: [/red] :x: \ufffd[31mred\ufffd" in out
    assert how or "a\\[/b]" in out
    assert not [character for character in out if not character.isprintable() and character != "\n"]


def test_the_failed_show_the_end_of_their_logs(study, capsys):
    assert command.main([str(study), "--failed"]) == 0
    out = capsys.readouterr().out
    assert "failed: KeyError: 'x'" in out
    assert "line 39" in out
    assert "line 20" not in out


def test_scripts_get_everything(study, capsys):
    assert command.main([str(study), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["states"] == {"missing": 1, "finished": 1, "running": 1, "stale": 1, "failed": 1, "diverged": 1}
    running = next(run for run in told["runs"] if run["state"] == "running")
    assert running["step"] == 250
    assert running["seconds_left"] == 1500


def test_watching_ends_when_nothing_runs(put, tmp_path, capsys):
    put(0, "finished", test_error=2.5)
    assert command.main([str(tmp_path), "--watch"]) == 0
    assert "1 of 1" in capsys.readouterr().out


def test_of_one_experiment_only_its_runs(study, capsys):
    assert command.main([str(study), "--experiment", "mine"]) == 0
    assert "0 of 1" in capsys.readouterr().out
    assert command.main([str(study), "--experiment", "other"]) == 1
    assert "known here: mine" in capsys.readouterr().err


def test_what_is_no_record_is_named_and_the_rest_is_told(study, capsys):
    (study / "holiday").mkdir()
    (next(study.glob("*-s0-*")) / "result.json").write_text('{"schema": 1')
    assert command.main([str(study)]) == 0
    told = capsys.readouterr()
    assert "holiday is left out" in told.err
    assert "JSONDecodeError" in told.err
    assert "1 of 5" in told.out


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_an_empty_or_absent_folder_is_one_sentence(tmp_path, capsys, make):
    make(tmp_path / "runs")
    assert command.main([str(tmp_path / "runs")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
