"""A record that is run again comes out the same, and a difference is found and explained."""

import json

import pytest

from ablate.commands import replay
from ablate.runs.identity import signature


@pytest.fixture
def record(ask, tmp_path):
    assert ask("depth=8", "iterations=2", "device=cpu", "threads=1").status == 0
    return next((tmp_path / "runs").glob("digits-*"))


def edit(folder, **changes):
    path = folder / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_it_comes_out_the_same(record, capsys):
    assert replay.main([str(record)]) == 0
    assert "the same, in every bit" in capsys.readouterr().out


def test_a_difference_is_named(record, capsys):
    edit(record, test_error=1.0, weights_sha256="0", versions={"torch": "1.0"})
    assert replay.main([str(record)]) == 1
    out = capsys.readouterr().out
    assert "test_error was 1.0, is" in out
    assert "weights_sha256 was 0" in out
    assert "which may be why: versions was {'torch': '1.0'}" in out


def test_a_metric_that_differs_is_found_at_its_step(record, capsys):
    line = json.loads((record / "metrics.jsonl").read_text())
    (record / "metrics.jsonl").write_text(json.dumps({**line, "train_loss": 9.0}) + "\n")
    assert replay.main([str(record)]) == 1
    assert "from step 2 on: train_loss was 9.0" in capsys.readouterr().out


def test_code_that_a_record_brings_is_not_run_unasked(record, capsys, tmp_path):
    config = json.loads((record / "result.json").read_text())["config"]
    config["shortcut"] = {"name": "x", "_target_": "os.system"}
    edit(record, config=config, signature=signature(config))
    record = record.rename(record.parent / f"handed-in-{signature(config)}")
    assert replay.main([str(record)]) == 2
    assert "--trust" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["absent", "interrupted"])
def test_what_cannot_be_replayed_is_one_sentence(record, capsys, what):
    edit(record, status="interrupted")
    folder = record if what == "interrupted" else record.parent
    assert replay.main([str(folder)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
