"""Runs that are stopped at chance: their records, and what commands make of them."""

import json

import numpy
import pytest
import torch

from ablate.config.schema import Data
from ablate.data.load import load
from ablate.runs import layout
from ablate.runs.reading import read_predictions, read_run
from ablate.runs.trained import load_network
from tests.runs.test_run import only, read, refuse_to_train, stopped, without_seconds

STILL = ("shortcut=dropout", "depth=8", "iterations=12", "recipe.batch=400", "recipe.learning_rate=1e-9", "device=cpu")
"""Twelve steps, three in an epoch, that learn nothing."""
STOP = "stop_at_chance=0.5"


@pytest.fixture
def stopped_run(ask, tmp_path):
    """What the command printed, and the run's folder."""
    outcome = ask(*STILL, STOP)
    assert outcome.status == 0, outcome.err
    return outcome, only(tmp_path / "runs")


def test_record_of_a_stopped_run_is_whole(stopped_run, strict_json):
    outcome, folder = stopped_run
    result, metrics = read(folder, strict_json)
    assert (result["status"], result["stopped_at"], result["steps"]) == ("stopped", 6, 12)
    assert [line["step"] for line in metrics] == [3, 6]
    assert result["test_error"] == metrics[-1]["test_error"]
    assert result["best_test_error"] == min(line["test_error"] for line in metrics)
    assert (result["train_loss"], result["train_error"]) == (metrics[-1]["train_loss"], metrics[-1]["train_error"])
    # Of 1,297 images of ten classes, 128 to 132 each.
    assert result["chance"] == pytest.approx({"loss": numpy.log(10), "error": 90}, rel=3e-3)
    assert result["train_loss"] >= 0.99 * result["chance"]["loss"]
    reason = f"at chance after 6 of 12 steps: training loss {result['train_loss']:.4f}, and 2.3025 by guessing"
    assert result["reason"] == reason
    assert f"stopped: {reason}, test error {result['test_error']:.2f} % in " in outcome.out
    predicted, true = read_predictions(folder)
    assert 100 * (predicted != true).mean() == result["test_error"]
    network, prepare = load_network(folder)
    with torch.no_grad():
        again = network(prepare(load(Data("digits")).test_x)).argmax(1)
    assert again.tolist() == predicted.tolist()
    assert not list(folder.glob("checkpoint*"))
    assert read_run(folder).test_error == result["test_error"]


def test_stopped_run_is_done_and_another_share_is_another_run(stopped_run, ask, tmp_path, monkeypatch):
    _, folder = stopped_run
    assert "already trained" in ask(*STILL, STOP).out
    assert f"{folder.name[-16:]}  stopped" in ask(*STILL, STOP, "dry_run=true").out
    shown = ask("status", str(tmp_path / "runs"))
    assert "1 of 1" in shown.out
    assert "seed 3 stopped" not in shown.out
    assert "seed 0 stopped: at chance after 6 of 12 steps" in shown.out
    with monkeypatch.context() as patch:
        refuse_to_train(patch)
        for more in ("stop_at_chance=0.7", "stop_at_chance=null"):
            assert ask(*STILL, more).status == 1
    states = sorted(read_run(path).state for path in (tmp_path / "runs").iterdir() if layout.is_run(path.name))
    assert states == ["failed", "failed", "stopped"]
    assert ask(*STILL, STOP, "rerun=all").status == 0
    assert len(list((tmp_path / "runs" / layout.ARCHIVED).iterdir())) == 1


@pytest.mark.parametrize("step", [2, 5, 6])
def test_interrupted_run_resumes_and_stops_at_the_same_step(step, stopped_run, ask, tmp_path, strict_json, monkeypatch):
    whole = read(stopped_run[1], strict_json)
    other = f"results={tmp_path / 'other'}"
    stopped(ask, monkeypatch, step, *STILL, STOP, other)
    assert f"resumed at step {step}" in ask(*STILL, STOP, other).out
    again = read(only(tmp_path / "other"), strict_json)
    for key in ("status", "stopped_at", "reason", "test_error", "weights_sha256"):
        assert again[0][key] == whole[0][key]
    assert without_seconds(again[1]) == without_seconds(whole[1])


def test_stopped_run_is_replayed_and_reported(stopped_run, ask, tmp_path):
    folder = stopped_run[1]
    assert "the replay is identical in every bit" in ask("replay", str(folder)).out
    shown = ask("report", str(tmp_path / "runs"))
    assert shown.status == 0, shown.err
    assert "stopped 1 of 1" in shown.out
    assert "skipped" not in shown.err
    path = folder / layout.RESULT
    result = json.loads(path.read_text())
    path.write_text(json.dumps(result | {"test_error": 1.0}))
    assert "has a test error of 1.0 %" in ask("report", str(tmp_path / "runs")).err
    path.write_text(json.dumps({key: value for key, value in result.items() if key != "stopped_at"}))
    assert "incomplete or damaged record" in ask("status", str(tmp_path / "runs")).err
