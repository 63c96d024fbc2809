"""Grids from the command line: which cells are trained, and what happens if some cannot be."""

import json
import shutil
import sys

import pytest
from PIL import Image

from ablate.base.errors import AblateError
from ablate.bench.workloads import write_noise
from ablate.grid.sweeper import GridError, _report
from ablate.models import build
from ablate.runs import layout
from ablate.runs.attempt import Outcome
from tests.forked import Command


def runs(folder):
    """The run folders, without their signatures."""
    return sorted(path.name.rsplit("-", 1)[0] for path in folder.iterdir() if layout.is_run(path.name))


def test_parallel_experiment_is_trained_reported_and_completed(process, tmp_path, no_torch):
    # the command line's depth replaces the experiment's five
    asked = ("-m", "+experiment=depth", "depth=8", "iterations=2", "threads=1")
    command = Command(*asked, cwd=tmp_path)
    out, err = command.communicate()
    assert (command.returncode, err) == (0, ""), out
    folder = tmp_path / "results" / "runs"
    assert runs(folder) == ["digits-identity-d8-s0", "digits-none-d8-s0"]
    for run in folder.glob("digits-*"):
        assert json.loads((run / "result.json").read_text())["status"] == "finished"

    # All runs are finished, so the same request does not need torch.
    again = process("ablate", *asked, path=no_torch)
    assert (again.status, again.err) == (0, "")

    (plain,) = folder.glob("digits-none-*")
    shutil.rmtree(plain)
    report = process("ablate", "report", "--experiment", "depth", path=no_torch)
    assert report.status == 0, report
    (missing,) = (line for line in report.out.splitlines() if "none" in line)
    assert "missing 1 of 1" in missing
    assert "0 of 1" in missing
    (trained,) = (line for line in report.out.splitlines() if line.startswith("│ identity"))
    assert "missing" not in trained

    # The missing run does need torch; the finished one is not trained again.
    (identity,) = folder.glob("digits-identity-*/result.json")
    before = identity.read_bytes()
    assert process("ablate", *asked, path=no_torch).status != 0
    assert identity.read_bytes() == before


def test_grid_with_a_wrong_cell_trains_nothing(ask, tmp_path):
    outcome = ask("-m", "depth=8,9", "iterations=2")
    assert outcome.status == 2
    assert outcome.err.startswith("ablate: depth 9 is not 6n+2; nearest: 8, 14 (in the cell depth=9 iterations=2 ")
    assert len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


PICKY = """
from ablate.models.shortcuts import Identity

class Picky(Identity):
    def __init__(self, in_channels, out_channels, stride, *, scale=1):
        super().__init__(in_channels, out_channels, stride)
        if scale > 2:
            raise ValueError(f"scale={scale} is above 2")
"""


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (("shortcut=dropout", "shortcut.p=1,2"), "shortcut dropout cannot be built: "),
        (("shortcut._target_=picky.Picky", "+shortcut.scale=1,3"), "shortcut Picky cannot be built: scale=3"),
    ],
)
def test_grid_with_a_shortcut_that_cannot_be_built_trains_nothing(cells, reason, ask, tmp_path, monkeypatch):
    (tmp_path / "picky.py").write_text(PICKY)
    monkeypatch.syspath_prepend(str(tmp_path))
    outcome = ask("-m", "+experiment=depth", "depth=8", "seed=0,1", "iterations=2", *cells, "hydra/launcher=basic")
    sys.modules.pop("picky", None)
    assert outcome.status == 2
    assert outcome.err.startswith(f"ablate: {reason}")
    assert len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_grid_builds_each_shortcut_and_unit_once(ask, monkeypatch):
    built = []
    monkeypatch.setattr(build, "check_buildable", lambda config, shape: built.append(config))
    monkeypatch.setattr("ablate.grid.launcher.SerialLauncher.carry_out", lambda self, records: None)
    assert ask("-m", "shortcut=gate,gate_b0,none", "depth=8,14,20", "seed=0,1").status == 0
    assert [config.shortcut.get("bias_init") for config in built] == [-6, 0, None]


@pytest.mark.parametrize("words", [["width=1,2"], ["probes=none,signal"]])
def test_grid_with_a_key_that_its_network_refuses_trains_nothing(words, ask, tmp_path):
    outcome = ask("-m", "net=lenet5", *words, "iterations=1")
    assert (outcome.status, len(outcome.err.splitlines())) == (2, 1)
    assert outcome.err.startswith("ablate: net lenet5 ")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("side", "nets"), [(24, "resnet,resnet18"), (64, "alexnet,resnet18")])
def test_networks_are_tried_on_images_of_the_folders_size(side, nets, ask, tmp_path, monkeypatch):
    monkeypatch.setattr("ablate.grid.launcher.SerialLauncher.carry_out", lambda self, records: None)
    for name in ("train/ant", "train/bee", "test/ant", "test/bee"):
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.new("RGB", (side, side)).save(tmp_path / "set" / name / "0.png")
    outcome = ask("-m", "data=folder", f"data.root={tmp_path / 'set'}", f"net={nets}", "iterations=1")
    small = "ablate: net resnet18 needs images of 32x32 or more, and these are 24x24\n"
    assert (outcome.status, outcome.err) == ((2, small) if side == 24 else (0, ""))


@pytest.mark.parametrize("name", ["..", "a/b"])
def test_experiment_writes_only_to_a_folder_of_its_name(name, ask, tmp_path):
    (tmp_path / "my" / "experiment").mkdir(parents=True)
    (tmp_path / "my" / "experiment" / "own.yaml").write_text(f"# @package _global_\nexperiment: {name}\n")
    outcome = ask("-m", "--config-dir", str(tmp_path / "my"), "+experiment=own", "depth=8", "seed=0,1", "iterations=1")
    assert outcome.status == 2
    assert len(outcome.err.splitlines()) == 1
    assert f"experiment='{name}' cannot name a folder" in outcome.err
    assert not (tmp_path / "runs").exists()


def test_equal_cells_are_one_run_and_a_failed_run_does_not_stop_the_others(ask, tmp_path, monkeypatch):
    (tmp_path / "half_shortcut.py").write_text(
        "from ablate.models.shortcuts import Identity\n\n"
        "class Half(Identity):\n"
        "    def forward(self, x, residual):\n"
        "        if self.training and len(x) > 2:\n"  # not while it is checked
        "            raise RuntimeError('no forward')\n"
        "        return residual\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    targets = "half_shortcut.Half,ablate.models.shortcuts.Identity"
    outcome = ask("-m", f"shortcut._target_={targets}", "depth=8", "seed=1,1", "iterations=1")
    sys.modules.pop("half_shortcut", None)
    assert outcome.status == 1
    assert "Traceback" not in outcome.err
    assert "failed: RuntimeError: no forward; its log: " in outcome.err
    assert outcome.err.splitlines()[-1] == "ablate: 1 of 2 runs failed; run the same command again to train the rest"
    states = {
        path.parent.name.split("-")[1]: json.loads(path.read_text())["status"]
        for path in (tmp_path / "runs").glob("*/result.json")
    }
    assert states == {"identity": "finished", "Half": "failed"}


@pytest.mark.parametrize("experiment", ["quickstart", "depth", "precision"])
def test_experiment_chooses_parallel_processes(experiment, ask):
    # a launcher chosen in config.yaml would silently replace the experiment's
    shown = ask(f"+experiment={experiment}", "-c", "hydra", "--package", "hydra.launcher")
    assert "ProcessLauncher" in shown.out, shown


@pytest.mark.parametrize(("words", "again"), [((), "again"), (("rerun=all",), "without rerun=all")])
def test_advice_after_a_stopped_grid_leaves_out_rerun_all(record, words, again):
    for outcome, verb in ((Outcome(130, interrupted=True), "resume"), (Outcome(1, "broken"), "train the rest")):
        with pytest.raises(GridError, match=f"; run the same command {again} to {verb}$"):
            _report([record(*words)], [outcome], 1.0)


def test_data_is_fetched_once_before_any_run_starts(ask, monkeypatch):
    events = []
    monkeypatch.setattr("ablate.data.cifar.fetch_cifar", lambda name, root: events.append((name, str(root))))
    launch = "ablate.grid.launcher.SerialLauncher.carry_out"
    monkeypatch.setattr(launch, lambda self, records: events.append(len(records)))
    words = ("-m", "data=cifar10", "data.root=here", "seed=0,1", "data.flip=true,false", "iterations=1")
    assert ask(*words, "data.download=true").status == 0
    assert ask(*words).status == 0
    assert events == [("cifar10", "here"), 4, 4]


def test_failing_download_trains_nothing(ask, tmp_path, monkeypatch):
    def refuse(name, root):
        raise AblateError("cifar10 could not be fetched")

    monkeypatch.setattr("ablate.data.cifar.fetch_cifar", refuse)
    outcome = ask("-m", "data=cifar10", "data.download=true", "seed=0,1", "iterations=1")
    assert (outcome.status, outcome.err) == (1, "ablate: cifar10 could not be fetched\n")
    assert not (tmp_path / "runs").exists()


def test_damaged_image_is_named_once_before_any_run_starts(ask, tmp_path):
    for name in ("train/ant", "train/bee", "test/ant", "test/bee"):
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "0.png").write_text("no image")
    outcome = ask("-m", "data=folder", f"data.root={tmp_path / 'set'}", "seed=0,1,2", "iterations=1")
    assert outcome.status == 1
    assert len(outcome.err.splitlines()) == 1
    assert "train/ant/0.png cannot be read as an image" in outcome.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("words", ["pack=1,2", "pack=null,auto", "graph=true,false", "data.root=a,b", "name=one,two"])
def test_values_that_do_not_make_different_runs_are_refused(words, ask, tmp_path):
    outcome = ask("-m", "depth=8", "seed=0,1", words)
    assert outcome.status == 2
    key = {"data.root": "data", "name": "experiment"}.get(words.split("=")[0], words.split("=")[0])
    assert outcome.err == (
        f"ablate: {key} has several values in this grid, which do not make different runs: give one\n"
    )
    assert not (tmp_path / "runs").exists()


def test_runs_of_other_processes_are_not_counted_as_done(record, capsys):
    _report([record(), record("seed=1")], [Outcome(), Outcome(busy=True)], 3.0)
    assert capsys.readouterr().out == "1 of 2 runs done in 3 s; other processes are training 1\n"


def test_width_of_a_later_cell_is_checked_before_the_first_run(ask, tmp_path):
    said = ask("-m", "width=1,0.1", "depth=8", "iterations=1")
    assert said.status == 2
    assert not (tmp_path / "runs").exists()


def test_dry_run_refuses_what_a_run_would(ask):
    said = ask("-m", "data=cifar10", "data.size=10", "dry_run=true")
    assert (said.status, said.out) == (2, "")
    assert "data.size=10" in said.err


def test_size_that_images_cannot_have_costs_no_training(ask, tmp_path):
    write_noise(tmp_path / "images", train=20, test=10)
    words = ("data=folder", f"data.root={tmp_path / 'images'}", "depth=8", "iterations=1", "recipe.batch=10")
    said = ask("-m", *words, "data.size=16,20")
    assert (said.status, said.out) == (2, "")
    assert "data.size=20 is invalid: images of 32x32" in said.err
    assert not (tmp_path / "runs").exists()
