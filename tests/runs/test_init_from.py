"""init_from: a run that starts from the weights in a file."""

import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

import ablate
from ablate.config.resolve import WEIGHTS, from_overrides
from ablate.report.aggregate import cells
from ablate.runs import layout
from ablate.runs.identity import signature
from tests.runs.test_run import only, read, stopped

BEFORE = ("depth=8", "iterations=40", "device=cpu")
NEXT = ("depth=8", "iterations=1", "device=cpu", "recipe.learning_rate=1e-20", "seed=5")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return ablate.run(*BEFORE, f"results={tmp_path_factory.mktemp('first')}").folder


@pytest.fixture
def first(original, tmp_path):
    """The folder of a finished run."""
    return Path(shutil.copytree(original, tmp_path / "first" / original.name))


def test_run_starts_from_the_weights_of_another(first, ask, tmp_path, strict_json):
    """At a learning rate of almost 0, one step leaves the weights and moves the statistics of BN a little."""
    assert ask(*NEXT, f"init_from={first}").status == 0
    folder = only(tmp_path / "runs")
    before, after = (torch.load(one / layout.WEIGHTS, weights_only=True) for one in (first, folder))
    counters = [name for name in before if "running" in name or "num_batches" in name]
    assert all(torch.equal(before[name], after[name]) for name in before.keys() - {*counters})
    assert all(after[name] == before[name] + 1 for name in counters if "num_batches" in name)
    result, metrics = read(folder, strict_json)
    known = read(first, strict_json)[0]
    assert result["test_error"] == pytest.approx(known["test_error"], abs=3)
    assert metrics[0]["train_loss"] == pytest.approx(known["train_loss"], abs=0.2)
    scratch = tmp_path / "scratch"
    assert ask(*NEXT, f"results={scratch}").status == 0
    assert read(only(scratch), strict_json)[0]["train_loss"] > known["train_loss"] + 0.5
    assert {"models/weights.py", "training/initial.py"} <= result["code"].keys()


def test_identity_has_the_content_of_the_file_and_not_its_path(first, tmp_path):
    def of(path):
        config = from_overrides("depth=8", f"init_from={path}")
        return signature(asdict(config)), config.init_from

    shutil.copytree(first, tmp_path / "moved")
    shutil.copy(first / WEIGHTS, tmp_path / "copied.pt")
    whole, path = of(first)
    assert path == str(first / WEIGHTS)
    assert {whole} == {of(where)[0] for where in (first / WEIGHTS, tmp_path / "moved", tmp_path / "copied.pt")}
    (tmp_path / "copied.pt").write_bytes((first / WEIGHTS).read_bytes() + b"x")
    assert len({whole, of(tmp_path / "copied.pt")[0], signature(asdict(from_overrides("depth=8")))}) == 3
    assert WEIGHTS == layout.WEIGHTS


def test_home_folder_is_expanded(first, monkeypatch):
    monkeypatch.setenv("HOME", str(first))
    assert from_overrides('init_from="~/weights.pt"').init_from == str(first / WEIGHTS)


def test_finished_run_is_skipped_and_read_without_the_file(first, ask, tmp_path, process):
    words = (*NEXT, f"init_from={first}")
    assert ask(*words).status == 0
    assert "already trained" in ask(*words).out
    folder = only(tmp_path / "runs")
    shutil.rmtree(first)
    assert ask("evaluate", str(folder)).status == 0
    assert ask("status", str(tmp_path / "runs")).status == 0
    missing = ask(*words)
    assert (missing.status, len(missing.err.splitlines())) == (2, 1)
    assert f"init_from={first} cannot be read" in missing.err


def test_run_with_initial_weights_resumes_and_replays(first, ask, tmp_path, monkeypatch, strict_json):
    words = ("shortcut=dropout", "depth=8", "iterations=4", "device=cpu", f"init_from={first}")
    assert ask(*words).status == 0
    folder = only(tmp_path / "runs")
    whole = read(folder, strict_json)[0]["weights_sha256"]
    stopped(ask, monkeypatch, 2, *words, f"results={tmp_path / 'again'}")
    assert ask(*words, f"results={tmp_path / 'again'}").status == 0
    resumed, _ = read(only(tmp_path / "again"), strict_json)
    assert (resumed["resumed"], resumed["weights_sha256"]) == (1, whole)
    replayed = ask("replay", str(folder))
    assert (replayed.status, "the replay is identical in every bit" in replayed.out) == (0, True)
    (first / WEIGHTS).write_bytes((first / WEIGHTS).read_bytes() + b"x")
    assert "init_fingerprint was " in ask("replay", str(folder)).out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("depth=14",), "does not fit the network: it lacks stages.0.1.residual.0.weight"),
        (("shortcut=gate",), "does not fit the network: it lacks stages.0.0.shortcut.gate.weight"),
        (("init_fingerprint=abc",), "init_fingerprint=abc is computed from init_from: leave it out"),
        (("init_from=",), "init_from= cannot be read"),
        (
            ("init_from=nowhere.pt",),
            "init_from=nowhere.pt cannot be read (nowhere.pt: No such file or directory): ",
        ),
        (
            ("init_from=.",),
            "init_from=. cannot be read (weights.pt: No such file or directory): name a file of ",
        ),
    ],
)
def test_wrong_request_is_one_sentence(words, sentence, first, ask, tmp_path):
    start = () if any(word.startswith("init_from") for word in words) else (f"init_from={first}",)
    refused = ask("depth=8", "iterations=2", *start, *words)
    assert (refused.status, len(refused.err.splitlines())) == (2, 1), refused
    assert sentence in refused.err
    assert not (tmp_path / "runs").exists()


def test_other_classes_are_refused_before_a_grid_trains(first, ask, tmp_path):
    state = torch.load(first / WEIGHTS, weights_only=True)
    torch.save(state | {"head.weight": torch.zeros(7, 64), "head.bias": torch.zeros(7)}, tmp_path / "seven.pt")
    file = tmp_path / "seven.pt"
    for words in (("depth=8",), ("-m", "depth=8", f"init_from={first},{file}")):
        refused = ask(*words, "iterations=2", *([] if "-m" in words else [f"init_from={file}"]))
        assert refused.status == 2
        assert f"init_from={file} has 7 classes, and the data 10: use data of 7 classes" in refused.err
        assert not (tmp_path / "runs").exists()


def test_grid_compares_initial_weights(first, ask, tmp_path):
    assert "2 runs in the grid" in ask("-m", "depth=8", "iterations=1", "device=cpu", f"init_from={first},null").out
    rows = cells(ablate.load(tmp_path / "runs"), (("init_fingerprint", "null"),))
    known = next(config["init_fingerprint"] for config in rows.config if config["init_fingerprint"])
    assert {*rows.label} == {f"identity init_fingerprint={known}", "identity init_fingerprint=null"}
    assert {*rows.verdict} == {"baseline", "not tested: 1 seed"}  # not: computed by other code
