"""Runs of other code: refused, trained again or accepted, never counted in silence."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from ablate.runs import code, layout
from ablate.runs.provenance import session
from ablate.training import checkpoint
from tests.runs.test_run import only, stopped

ROOT = Path(code.PACKAGE).parent
TINY = ("shortcut=gate", "depth=8", "iterations=3", "device=cpu")


@pytest.fixture
def edit(monkeypatch):
    """Makes the sources look edited: `edit("training/loop.py")`."""

    def edited(*names):
        monkeypatch.setattr(code, "_file", lambda name, read=code._file: read(name) + "x" * (name in names))

    return edited


def test_edited_shortcut_stops_the_same_command(process, tmp_path):
    copy = tmp_path / "copy"
    for name in ("ablate", "conf", "slurm"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    source = copy / "ablate" / "models" / "shortcuts.py"
    text = source.read_text()
    changed = text.replace("return (1 - torch.sigmoid(self.gate(x))) * x + residual", "return x + residual")
    assert changed != text

    def ablate():
        return process("ablate", *TINY, "threads=1", path=copy)

    assert ablate().status == 0
    source.write_text(text + "\n# a comment\n")
    assert "already trained" in ablate().out
    source.write_text(changed)
    outcome = ablate()
    assert (outcome.status, outcome.out) == (2, "")
    folder = only(tmp_path / "results" / "runs").relative_to(tmp_path)
    assert outcome.err == (
        f"ablate: {folder} was trained by other code (shortcut differ): add rerun=changed to train again, or "
        "accept_code=true to keep the old results\n"
    )


def test_run_of_other_code_is_trained_again_or_accepted(ask, tmp_path, edit):
    assert ask(*TINY).status == 0
    before = (only(tmp_path / "runs") / "result.json").read_bytes()
    edit("training/loop.py", "data/digits.py")
    assert "(training/loop.py, data/digits.py differ)" in ask(*TINY).err
    assert "already trained" in ask(*TINY, "accept_code=true").out
    assert "finished, other code" in ask(*TINY, "dry_run=true").out
    assert (only(tmp_path / "runs") / "result.json").read_bytes() == before
    assert ask(*TINY, "rerun=changed").status == 0
    assert "already trained" in ask(*TINY, "rerun=changed").out
    (archived,) = (tmp_path / "runs" / layout.ARCHIVED).iterdir()
    assert (archived / "result.json").read_bytes() == before


def test_grid_names_all_runs_of_other_code_and_trains_none(ask, tmp_path, edit):
    grid = ("-m", "depth=8", "iterations=2", "shortcut=none,gate", "device=cpu")
    assert ask(*grid, "seed=0,1").status == 0
    edit("training/step.py")
    outcome = ask(*grid, "seed=0,1,2")
    assert outcome.status == 2
    assert "4 of 6 runs were trained by other code (training/step.py differ)" in outcome.err
    assert len([path for path in (tmp_path / "runs").iterdir() if layout.is_run(path.name)]) == 4
    assert "4 runs in the grid, 0 to train" in ask(*grid, "seed=0,1", "accept_code=true").out


def test_status_marks_runs_of_other_code(ask, tmp_path, edit):
    for seed in (0, 1):
        assert ask(*TINY, f"seed={seed}").status == 0
    runs = str(tmp_path / "runs")
    assert "other code" not in ask("status", runs).out
    edit("training/sgd.py")
    assert "by other code (training/sgd.py differ): seed 0, 1" in ask("status", runs).out
    found = json.loads(ask("status", runs, "--json").out)["runs"]
    assert [run["other_code"] for run in found] == [["training/sgd.py"]] * 2


@pytest.mark.parametrize("what", ["code", "torch"])
def test_run_does_not_resume_by_other_code_or_another_torch(ask, tmp_path, edit, monkeypatch, what):
    assert ask(*TINY, f"results={tmp_path / 'whole'}").status == 0
    whole = json.loads((only(tmp_path / "whole") / "result.json").read_text())
    stopped(ask, monkeypatch, 2, *TINY)
    if what == "code":
        edit("models/resnet.py")
        named = "models/resnet.py"
    else:
        monkeypatch.setattr("ablate.runs.run.versions", lambda: {"torch": "99.1"})
        named = f"torch {whole['versions']['torch']} and 99.1"
    before = {path: path.read_bytes() for path in only(tmp_path / "runs").iterdir()}
    outcome = ask(*TINY)
    assert outcome.status == 2
    assert f"began by other code ({named} differ): add rerun=changed" in outcome.err
    assert {path: path.read_bytes() for path in only(tmp_path / "runs").iterdir()} == before
    kept = tmp_path / "kept"
    shutil.copytree(tmp_path / "runs", kept)
    assert "resumed at step 2" in ask(*TINY, f"results={kept}", "accept_code=true").out
    accepted = json.loads((only(kept) / "result.json").read_text())
    assert accepted["weights_sha256"] == whole["weights_sha256"]
    assert (accepted["sessions"][0]["code"] == accepted["code"]) == (what == "torch")
    again = ask(*TINY, "rerun=changed")
    assert (again.status, "resumed" in again.out) == (0, False)
    assert json.loads((only(tmp_path / "runs") / "result.json").read_text())["resumed"] == 0


def test_resuming_on_another_cpu_is_a_warning(ask, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        older = {"cpu": "An older CPU, AVX2"}
        patch.setattr("ablate.runs.run.session", lambda *facts, **more: session(*facts, **more) | older)
        stopped(ask, monkeypatch, 2, *TINY)
    outcome = ask(*TINY)
    assert outcome.status == 0
    assert "resumed on another CPU (An older CPU, AVX2 before, now " in outcome.err


def test_limit_of_the_instruction_set_is_part_of_the_cpu():
    script = "from ablate.runs.provenance import cpu; print(cpu())"
    said = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.strip().endswith(", DEFAULT, ONEDNN_MAX_CPU_ISA=SSE41")


MINE = """
from ablate.models.shortcuts import Identity

class Mine(Identity):
    def forward(self, x, residual):
        return self.match(x) + 1 * residual
"""


def test_module_edited_after_it_was_read_fails_the_run(ask, tmp_path, monkeypatch):
    # A grid's configurations are resolved in one process, and its workers import the module later.
    module = tmp_path / "mine_edited.py"
    module.write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    load = code.load

    def edited(target):
        module.write_text(MINE.replace("1 * residual", "2 * residual"))
        return load(target)

    monkeypatch.setattr("ablate.models.build.load", edited)
    outcome = ask("shortcut._target_=mine_edited.Mine", *TINY[1:])
    assert outcome.status == 1
    assert "the source of shortcut mine_edited.Mine changed after it was read: run the command again" in outcome.err
    assert not (tmp_path / "runs").exists()


def test_code_names_what_differs(resolve):
    gate, identity = (code.code(asdict(resolve(f"shortcut={name}"))) for name in ("gate", "identity"))
    cifar = code.code(asdict(resolve("shortcut=gate", "data=cifar10")))
    assert code.differences(gate, identity) == []
    assert code.differences(gate, identity, own=True) == ["shortcut"]
    assert code.differences(gate, cifar) == ["data/cifar.py", "data/digits.py"]
    assert code.differences(gate, {}) == [name for name in gate if name not in code.OWN]


def test_every_module_that_a_step_uses_is_in_the_code(resolve):
    """Whatever the training, data and model packages import from themselves, unless it decides no number."""
    harmless = {"training/checkpoint.py", "training/graph.py", "models/cost.py", "data/facts.py", "models/units.py"}
    harmless |= {
        "training/group.py",
        "training/battery.py",
        "training/checks.py",
        "models/shortcuts.py",
        "models/classic.py",
    } | {f"{name}/__init__.py" for name in ("training", "models", "data")}
    known = {
        *code.SHARED,
        *(name for names in code.SOME.values() for name in names),
        *(f"data/{one}.py" for files in code.LOADERS.values() for one in files),
    }
    found = {
        str(path.relative_to(code.PACKAGE))
        for name in ("training", "models", "data")
        for path in (code.PACKAGE / name).glob("*.py")
    }
    assert found - harmless == known - {"base/seeds.py"}


def test_checkpoints_hold_the_code(ask, tmp_path, monkeypatch):
    stopped(ask, monkeypatch, 2, *TINY)
    state, _ = checkpoint.load([only(tmp_path / "runs") / layout.CHECKPOINT])
    assert state["sessions"][0]["code"].keys() >= {"training/loop.py", "shortcut", "unit"}
