"""A run from the command line: the files in its folder and the numbers in them."""

import json
import re
import shutil
import sys
from dataclasses import asdict

import pytest
import torch
import yaml

import ablate
from ablate.base.errors import AblateError
from ablate.bench.workloads import write_noise
from ablate.config.resolve import from_overrides
from ablate.config.schema import Config
from ablate.runs import layout
from ablate.runs.identity import SCHEMA, signature
from ablate.runs.progress import Progress
from ablate.runs.provenance import session
from ablate.runs.reading import TIMES, read_predictions
from ablate.runs.record import Record
from ablate.runs.run import run
from ablate.runs.tracker import NullTracker
from ablate.training import checkpoint
from ablate.training.sgd import SGD
from tests.forked import Command

RESULT = {
    *("schema", "signature", "status", "test_error", "best_test_error", "train_loss", "train_error", "parameters"),
    *("multiply_adds", "seconds", "images_per_second", "seed", "device", "versions", "git"),
}
METRIC = ["step", "epoch", "lr", "train_loss", "train_error", "test_loss", "test_error", *TIMES]
# Two epochs, of 20 steps and of 2, with dropout, which draws random numbers in every step.
TINY = ("shortcut=dropout", "depth=8", "iterations=22", "seed=3", "device=cpu")


def only(folder):
    (found,) = (path for path in folder.iterdir() if layout.is_run(path.name))
    return found


def read(folder, strict_json):
    metrics = [strict_json(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return strict_json((folder / "result.json").read_text()), metrics


def refuse_to_train(monkeypatch, error=AssertionError):
    def step(*_, **__):
        raise error

    monkeypatch.setattr(SGD, "step", step)


def test_run_writes_its_record_is_skipped_when_finished_and_repeats_bit_for_bit(
    ask, tmp_path, strict_json, resolve, monkeypatch
):
    assert ask(*TINY).status == 0
    folder = only(tmp_path / "runs")
    assert re.fullmatch(r"digits-dropout-d8-s3-[0-9a-f]{16}", folder.name)
    assert not list((tmp_path / "elsewhere").iterdir())  # the working directory
    result, metrics = read(folder, strict_json)

    assert set(result) >= RESULT
    assert (result["status"], result["schema"], result["seed"], result["device"]) == ("finished", SCHEMA, 3, "cpu")
    assert result["signature"] == folder.name[-16:]
    # stem 9·16+32; 2·(16·16·9)+64; 16·32·9+32·32·9+128; 32·64·9+64·64·9+256; 650: one input channel
    assert result["parameters"] == 176 + 4672 + 13952 + 55552 + 650
    assert {"python", "torch"} <= set(result["versions"])
    assert result["images_per_second"] > 0
    assert result["seconds"] > 0

    assert [list(line) for line in metrics] == [METRIC, METRIC]
    assert [(line["step"], line["epoch"]) for line in metrics] == [(20, 1), (22, 2)]
    assert [line["lr"] for line in metrics] == pytest.approx([0.0002, 0.0002])  # past both milestones, 11 and 16
    assert result["test_error"] == metrics[-1]["test_error"]
    assert result["best_test_error"] == min(line["test_error"] for line in metrics)
    assert (result["train_loss"], result["train_error"]) == (metrics[-1]["train_loss"], metrics[-1]["train_error"])
    assert all(0 <= line[key] <= 100 for line in metrics for key in ("train_error", "test_error"))
    predicted, true = read_predictions(folder)
    assert 100 * (predicted != true).mean() == result["test_error"]
    assert (predicted.shape, predicted.dtype, sorted(set(true))) == ((500,), "uint8", list(range(10)))
    assert metrics[-1]["test_error"] * 5 == pytest.approx(round(metrics[-1]["test_error"] * 5))  # of 500, in percent

    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert set(config) == set(Config.__dataclass_fields__)
    assert signature(config) == result["signature"]
    assert "test error" in (folder / "run.log").read_text()

    before = {path: path.read_bytes() for path in folder.iterdir()}
    with monkeypatch.context() as patch:
        refuse_to_train(patch)
        again = ask(*TINY)
    assert (again.status, again.err) == (0, "")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before

    torch.manual_seed(99)
    torch.rand(7)
    assert ask(*TINY, f"results={tmp_path / 'twin'}").status == 0
    twin = only(tmp_path / "twin")
    assert twin.name == folder.name
    assert without_seconds(read(twin, strict_json)[1]) == without_seconds(metrics)


def without_seconds(metrics):
    return [{key: value for key, value in line.items() if key not in TIMES} for line in metrics]


def test_seeds_give_different_runs(ask, tmp_path, strict_json):
    losses = set()
    for seed in (0, 1):
        results = tmp_path / f"seed{seed}"
        assert ask("depth=8", "iterations=2", f"seed={seed}", f"results={results}").status == 0
        losses.add(read(only(results), strict_json)[0]["train_loss"])
    assert len(losses) == 2


def test_loss_that_is_not_finite_ends_the_run_as_diverged(ask, tmp_path, strict_json, monkeypatch):
    finite, cross_entropy = [], torch.nn.functional.cross_entropy

    def spy(*arguments, **options):
        loss = cross_entropy(*arguments, **options)
        finite.append(bool(loss.isfinite()))
        return loss

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", spy)
    outcome = ask("depth=8", "iterations=12", "recipe.learning_rate=1e30")
    assert outcome.status == 0
    assert "diverged" in outcome.out
    result, metrics = read(only(tmp_path / "runs"), strict_json)
    assert result["status"] == "diverged"
    assert finite.index(False) > 0
    assert re.search(r"\bstep (\d+)\b", result["reason"])[1] == str(finite.index(False))
    assert result["test_error"] is None
    assert metrics == []
    monkeypatch.undo()
    refuse_to_train(monkeypatch)
    assert ask("depth=8", "iterations=12", "recipe.learning_rate=1e30").status == 0  # it is skipped


def test_interrupted_run_is_recorded_and_trained_by_the_next_request(ask, tmp_path, strict_json, monkeypatch):
    with monkeypatch.context() as patch:
        refuse_to_train(patch, KeyboardInterrupt)
        outcome = ask("depth=8", "iterations=2")
    assert outcome.status == 130
    assert "Traceback" not in outcome.err
    folder = only(tmp_path / "runs")
    result, _ = read(folder, strict_json)
    assert result["status"] == "interrupted"
    assert result["reason"]
    assert result["test_error"] is None
    assert ask("depth=8", "iterations=2").status == 0
    result, metrics = read(folder, strict_json)
    assert (result["status"], len(metrics)) == ("finished", 1)
    assert "reason" not in result


def stopped(ask, monkeypatch, step, *overrides):
    """Start a run, and interrupt it after its checkpoint at `step`; return the names in its folder at that moment."""
    names = set()

    def save(path, previous, state, save=checkpoint.save):
        save(path, previous, state)
        if state["step"] == step:
            names.update(file.name for file in path.parent.iterdir())
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", save)
        assert ask(*overrides, "checkpoint.steps=1").status == 130
    return names


def test_folder_holds_exactly_the_files_of_the_layout(ask, tmp_path, monkeypatch):
    monkeypatch.setattr("ablate.runs.run.git_diff", lambda: "a change")
    words = (
        "-m",
        "+experiment=depth",
        "depth=8",
        "shortcut=none",
        "iterations=3",
        "device=cpu",
        "hydra/launcher=basic",
    )
    begun = {layout.CONFIG, layout.METRICS, layout.LOG, layout.source_diff(1)}
    unfinished = {layout.CHECKPOINT, layout.OLD_CHECKPOINT, layout.LOCK.format(1)}
    assert stopped(ask, monkeypatch, 2, *words) == begun | unfinished
    assert ask(*words).status == 0
    finished = begun | {layout.RESULT, layout.WEIGHTS, layout.PREDICTIONS, layout.MEAN, layout.source_diff(2)}
    assert {path.name for path in only(tmp_path / "runs").iterdir()} == finished
    assert ask(*words, "rerun=all").status == 0
    beside = {path.name for path in (tmp_path / "runs").iterdir()} - {only(tmp_path / "runs").name}
    assert beside == {layout.PLANS, layout.ARCHIVED}
    # What is left is written only with a tracker or probes, on SLURM or for custom code, and tested there.
    names = {value for key, value in vars(layout).items() if key.isupper()}
    elsewhere = {layout.SIGNAL, layout.WANDB, layout.WANDB_LEDGER, layout.JOBS, layout.LOCK, layout.SOURCE}
    assert names - begun - unfinished - finished - beside == elsewhere


def test_rerun_all_archives_a_finished_run_and_resumes_an_unfinished_one(ask, tmp_path, strict_json, monkeypatch):
    assert ask(*TINY).status == 0
    whole, _ = read(only(tmp_path / "runs"), strict_json)
    stopped(ask, monkeypatch, 2, *TINY, "rerun=all")
    (only(tmp_path / "runs") / "result.json").unlink()  # as if it had been killed
    for step in (3, 4):
        stopped(ask, monkeypatch, step, *TINY, "rerun=all")
    outcome = ask(*TINY, "rerun=all")
    assert "resumed at step 4" in outcome.out
    again, _ = read(only(tmp_path / "runs"), strict_json)
    assert (again["resumed"], again["weights_sha256"]) == (3, whole["weights_sha256"])
    assert len(list((tmp_path / "runs" / layout.ARCHIVED).iterdir())) == 1


DAMAGE = {
    "changed number": lambda text: re.sub(r'"test_error": [0-9.]+', '"test_error": 0.5', text),
    "changed key": lambda text: text.replace("train_loss", "tran_loss"),
    "empty": lambda text: "",
    "not JSON": lambda text: "oops\n[1]\n",
}


def test_resumed_run_takes_its_evaluations_from_the_checkpoint(ask, tmp_path, strict_json, monkeypatch):
    assert ask(*TINY, f"results={tmp_path / 'whole'}").status == 0
    result, metrics = read(only(tmp_path / "whole"), strict_json)
    stopped(ask, monkeypatch, 21, *TINY)  # after one evaluation, because an epoch has 20 steps
    begun = shutil.copytree(tmp_path / "runs", tmp_path / "begun")
    before = (only(begun) / "metrics.jsonl").read_text()
    assert before.count("\n") == 1
    for name, damage in DAMAGE.items():
        shutil.rmtree(tmp_path / "runs")
        shutil.copytree(begun, tmp_path / "runs")
        file = only(tmp_path / "runs") / "metrics.jsonl"
        file.write_text(damage(before))
        assert file.read_text() != before
        outcome = ask(*TINY)
        assert (outcome.status, outcome.err) == (0, ""), name
        assert "resumed at step 21" in outcome.out
        again, lines = read(only(tmp_path / "runs"), strict_json)
        assert without_seconds(lines) == without_seconds(metrics)
        for key in ("test_error", "best_test_error", "train_loss", "weights_sha256"):
            assert again[key] == result[key]


def test_checkpoint_of_another_schema_is_not_resumed(ask, tmp_path, strict_json, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "SCHEMA", checkpoint.SCHEMA - 1)
        stopped(ask, monkeypatch, 2, *TINY)
    outcome = ask(*TINY)
    assert outcome.status == 0
    assert f"schema {checkpoint.SCHEMA - 1}, where this version reads {checkpoint.SCHEMA}" in outcome.err
    assert read(only(tmp_path / "runs"), strict_json)[0]["resumed"] == 0


def test_run_does_not_resume_on_another_kind_of_device(ask, tmp_path, strict_json, monkeypatch):
    words = (*TINY[:-1], "device=auto")
    with monkeypatch.context() as patch:
        patch.setattr("ablate.runs.run.session", lambda *_, **how: {**session(*_, **how), "device_type": "another"})
        stopped(ask, monkeypatch, 2, *words)
    before = {path: path.read_bytes() for path in only(tmp_path / "runs").iterdir()}
    outcome = ask(*words)
    assert outcome.status == 1
    assert f"{only(tmp_path / 'runs')} began with device=another and cannot resume with device=" in outcome.err
    assert {path: path.read_bytes() for path in only(tmp_path / "runs").iterdir()} == before


REZERO = """
from torch import nn, zeros
from ablate.models.shortcuts import match_shape

class ReZero(nn.Module):
    '''y = x + alpha F(x)'''
    def __init__(self, in_channels, out_channels, stride, *, option="A"):
        super().__init__()
        self.match, self.alpha = match_shape(in_channels, out_channels, stride, option), nn.Parameter(zeros(()))

    def forward(self, x, residual):
        return self.match(x) + self.alpha * residual
"""


def test_custom_shortcut_trains_under_its_own_name(tmp_path):
    (tmp_path / "rezero.py").write_text(REZERO)
    command = Command("shortcut._target_=rezero.ReZero", "depth=8", "iterations=2", "threads=1", cwd=tmp_path)
    out, err = command.communicate()
    assert (command.returncode, err) == (0, "")
    folder = only(tmp_path / "results" / "runs")  # the default, in the working directory
    assert folder.name.startswith("digits-ReZero-d8-s0-")
    result = json.loads((folder / "result.json").read_text())
    assert result["config"]["shortcut"]["name"] == "ReZero"
    assert result["parameters"] == 75_002 + 3  # one alpha in each unit
    assert "identity" not in out


FRUGAL = """
import atexit
import torch
from ablate.models.shortcuts import Identity

class Frugal(Identity):
    def __init__(self, *built):
        super().__init__(*built)
        print("built with threads:", torch.get_num_threads())
        atexit.register(print, "handled")
"""


def test_network_is_built_with_one_thread_and_exit_handlers_are_called(process, tmp_path):
    (tmp_path / "frugal.py").write_text(FRUGAL)
    done = process(
        "ablate", "shortcut._target_=frugal.Frugal", "depth=8", "iterations=1", "threads=2", OMP_NUM_THREADS="2"
    )
    assert done.status == 0, done.err
    assert done.out.count("built with threads: 1\n") == done.out.count("handled\n") == 3
    assert "2 threads" in done.out


def test_caller_keeps_its_threads_if_the_data_is_missing(tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with pytest.raises(AblateError, match="missing"):
        ablate.run("data=cifar10", f"data.root={tmp_path}", f"results={tmp_path / 'runs'}")
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_images_that_changed_since_the_request_are_not_trained_on(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_noise(tmp_path / "images", train=20, test=10)
    words = ("data=folder", f"data.root={tmp_path / 'images'}", "depth=8", "iterations=1", "recipe.batch=10")
    record = Record(from_overrides(*words, f"results={tmp_path / 'runs'}"))
    (tmp_path / "images" / "train" / "0" / "0.png").rename(tmp_path / "images" / "train" / "1" / "100.png")
    with pytest.raises(AblateError, match="have changed since the run was asked for"):
        run(record, Progress(bar=False), NullTracker())
    assert not record.folder.exists()


STATEFUL = """
import sys
import torch
from ablate.models.shortcuts import Identity

class Stateful(Identity):
    def __init__(self, *built, kept="plain"):
        super().__init__(*built)
        self.kept, self.calls = kept, 0
        self.register_buffer("coarse", torch.ones(2, dtype=torch.bfloat16))

    def forward(self, x, residual):
        self.calls += self.training
        if self.kept == "exits" and self.training:
            sys.exit(0)
        return super().forward(x, residual)

    def get_extra_state(self):
        return {"calls": object()} if self.kept == "odd" else {"calls": self.calls}

    def set_extra_state(self, state):
        self.calls = state["calls"]
"""


@pytest.fixture
def stateful(tmp_path, monkeypatch):
    (tmp_path / "stateful_shortcut.py").write_text(STATEFUL)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield ("shortcut._target_=stateful_shortcut.Stateful", "depth=8", "iterations=2", "device=cpu")
    sys.modules.pop("stateful_shortcut", None)


def test_shortcut_with_extra_state_is_trained_and_hashed(ask, tmp_path, strict_json, stateful):
    assert ask(*stateful).status == 0
    result, _ = read(only(tmp_path / "runs"), strict_json)
    assert (result["status"], len(result["weights_sha256"])) == ("finished", 64)


def test_state_that_cannot_be_saved_is_refused_before_training(ask, tmp_path, stateful):
    outcome = ask(*stateful, "+shortcut.kept=odd")
    assert outcome.status == 1
    assert len(outcome.err.splitlines()) == 1
    assert "the state of shortcut Stateful cannot be saved in a checkpoint: TypeError" in outcome.err
    assert not (tmp_path / "runs").exists()


def test_shortcut_that_exits_fails_the_run(ask, tmp_path, strict_json, stateful):
    outcome = ask(*stateful, "+shortcut.kept=exits")
    assert outcome.status == 1
    assert "SystemExit: 0" in outcome.err
    result, _ = read(only(tmp_path / "runs"), strict_json)
    assert (result["status"], result["reason"]) == ("failed", "SystemExit: 0")


def test_shortcut_that_exits_is_found_before_a_grid_trains(ask, tmp_path, stateful):
    outcome = ask("-m", *stateful, "+shortcut.kept=exits")
    assert outcome.status == 2
    assert "SystemExit: 0" in outcome.err
    assert not (tmp_path / "runs").exists()


def test_failure_to_save_the_weights_is_recorded(ask, tmp_path, strict_json, monkeypatch):
    def broken(*_):
        raise ValueError("no room for the weights")

    monkeypatch.setattr("ablate.runs.trained.save_weights", broken)
    assert ask("depth=8", "iterations=2").status == 1
    result, _ = read(only(tmp_path / "runs"), strict_json)
    assert (result["status"], result["reason"]) == ("failed", "ValueError: no room for the weights")


def test_edited_module_has_another_signature(tmp_path, monkeypatch, resolve):
    monkeypatch.syspath_prepend(str(tmp_path))

    def digest():
        return signature(asdict(resolve("shortcut._target_=edited_shortcut.ReZero")))

    module = tmp_path / "edited_shortcut.py"
    module.write_text(REZERO)
    first = digest()
    assert digest() == first
    module.write_text(REZERO.replace("self.alpha * residual", "(self.alpha + 0) * residual"))
    assert digest() != first
    module.write_text(REZERO)
    assert digest() == first
    assert "edited_shortcut" not in sys.modules  # read, not imported, because that imports torch


def test_custom_shortcut_can_be_named(tmp_path, monkeypatch, resolve):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "named_shortcut.py").write_text(REZERO)
    config = resolve("shortcut._target_=named_shortcut.ReZero", "shortcut.name=alpha0")
    assert config.shortcut["name"] == "alpha0"


def test_dry_run_lists_runs_and_costs_and_changes_nothing(ask, tmp_path, monkeypatch):
    asked = ("-m", "depth=8", "shortcut=identity,none", "iterations=2", "device=cpu")
    outcome = ask(*asked, "dry_run=true")
    assert outcome.status == 0
    assert not (tmp_path / "runs").exists()
    first, _, last = outcome.out.splitlines()
    # three passes of 747,136 multiply-adds for two batches of 64
    assert "would train" in first
    assert f"{3 * 747_136 * 2 * 64:.2e} multiply-adds" in first
    assert "2 runs" in last
    assert ask("depth=8", "iterations=2", "device=cpu").status == 0
    stopped(ask, monkeypatch, 1, "depth=8", "iterations=2", "device=cpu", "shortcut=none")
    first, second, last = ask(*asked, "dry_run=true").out.splitlines()
    assert first.split()[1] == "finished"
    assert second.split()[1:3] == ["would", "resume"]
    assert f"2 runs; {3 * 747_136 * 2 * 64:.2e} multiply-adds to train" == last


def test_graph_without_a_gpu_is_a_warning(ask, tmp_path):
    said = ask("depth=8", "iterations=2", "graph=true", "device=cpu")
    assert said.status == 0
    assert "graph=true has no effect on cpu" in said.err
    (folder,) = (tmp_path / "runs").glob("digits-*")
    assert json.loads((folder / "result.json").read_text())["sessions"][0]["graph"] is False
