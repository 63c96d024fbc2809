"""`ablate replay`: a record that is run again is identical, and a difference is found and explained."""

import json

import pytest

from ablate.runs.identity import signature


@pytest.fixture
def run(ask, tmp_path):
    """The folder of a finished run."""
    assert ask("depth=8", "iterations=2", "device=cpu", "threads=1").status == 0
    return next((tmp_path / "runs").glob("digits-*"))


def edit(folder, **changes):
    path = folder / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_replay_is_identical(run, ask, tmp_path):
    replayed = ask("replay", str(run), "--out", str(tmp_path / "again"))
    assert replayed.status == 0
    assert "the replay is identical in every bit" in replayed.out
    assert len(list((tmp_path / "again").glob("digits-*/result.json"))) == 1
    replayed = ask("replay", str(run), "--out", str(tmp_path / "again"))
    assert (replayed.status, replayed.out) == (2, "")
    assert f"--out {tmp_path / 'again'} has this run already: name another folder" in replayed.err


def test_differences_and_their_possible_causes_are_named(run, ask):
    edit(run, test_error=1.0, weights_sha256="0", versions={"torch": "1.0"})
    replayed = ask("replay", str(run))
    assert replayed.status == 1
    assert "test_error was 1.0, is" in replayed.out
    assert "weights_sha256 was 0" in replayed.out
    assert "possible cause: versions was {'torch': '1.0'}" in replayed.out


def test_first_evaluation_that_differs_is_named(run, ask):
    line = json.loads((run / "metrics.jsonl").read_text())
    (run / "metrics.jsonl").write_text(json.dumps({**line, "train_loss": 9.0}) + "\n")
    replayed = ask("replay", str(run))
    assert replayed.status == 1
    assert "from step 2 on: train_loss was 9.0" in replayed.out


def test_custom_code_in_a_record_is_not_run_without_trust(run, ask):
    config = json.loads((run / "result.json").read_text())["config"]
    config["shortcut"] = {"name": "x", "_target_": "os.system"}
    edit(run, config=config, signature=signature(config))
    run = run.rename(run.parent / f"handed-in-{signature(config)}")
    replayed = ask("replay", str(run))
    assert replayed.status == 2
    assert "--trust" in replayed.err


@pytest.mark.parametrize("state", ["absent", "interrupted"])
def test_run_that_cannot_be_replayed_is_an_error_of_one_line(run, ask, state):
    edit(run, status="interrupted")
    replayed = ask("replay", str(run if state == "interrupted" else run.parent))
    assert replayed.status == 1
    assert len(replayed.err.splitlines()) == 1
