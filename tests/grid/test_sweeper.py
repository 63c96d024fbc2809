"""A grid on the command line, in processes of its own."""

import json
import shutil

import pytest

from ablate.grid.sweeper import GridError, _report
from ablate.runs.attempt import Outcome
from ablate.runs.record import Record


def runs(folder):
    return sorted(path.name.rsplit("-", 1)[0] for path in folder.iterdir() if not path.name.startswith(("_", ".")))


def test_an_experiment_runs_in_parallel_is_reported_and_runs_what_is_left(process, tmp_path, no_torch):
    # the command line's depth takes the place of the experiment's five
    asked = ("-m", "+experiment=depth", "depth=8", "iterations=2", "threads=1", "hydra/launcher=joblib")
    outcome = process("ablate", *asked)
    assert outcome.status == 0, outcome
    folder = tmp_path / "results" / "runs"
    assert runs(folder) == ["digits-identity-d8-s0", "digits-none-d8-s0"]
    for run in folder.glob("digits-*"):
        assert json.loads((run / "result.json").read_text())["status"] == "finished"

    # All are trained, so the same request needs no torch.
    again = process("ablate", *asked, path=no_torch)
    assert (again.status, again.err) == (0, "")

    (plain,) = folder.glob("digits-none-*")
    shutil.rmtree(plain)
    report = process("ablate", "report", "--experiment", "depth", path=no_torch)
    assert report.status == 0, report
    (missing,) = (line for line in report.out.splitlines() if "none" in line)
    assert "missing 1 of 1" in missing
    (trained,) = (line for line in report.out.splitlines() if "identity" in line)
    assert "missing" not in trained
    assert "0 of 1" in missing

    # What is left does need it; what is trained is not trained again.
    (identity,) = folder.glob("digits-identity-*/result.json")
    before = identity.read_bytes()
    assert process("ablate", *asked, path=no_torch).status != 0
    assert identity.read_bytes() == before


def test_a_grid_with_one_wrong_cell_trains_nothing(process, tmp_path, no_torch):
    outcome = process("ablate", "-m", "depth=8,9", "iterations=2", path=no_torch)
    assert outcome.status == 2
    assert outcome.err == "ablate: depth 9 is not 6n+2; nearest: 8, 14 (in the cell depth=9 iterations=2)\n"
    assert not (tmp_path / "results" / "runs").exists() or not runs(tmp_path / "results" / "runs")


@pytest.mark.parametrize("name", ["..", "a/b"])
def test_an_experiment_writes_nowhere_but_below_its_own_name(name, ask, tmp_path):
    (tmp_path / "my" / "experiment").mkdir(parents=True)
    (tmp_path / "my" / "experiment" / "own.yaml").write_text(f"# @package _global_\nexperiment: {name}\n")
    outcome = ask("-m", "--config-dir", str(tmp_path / "my"), "+experiment=own", "depth=8", "seed=0,1", "iterations=1")
    assert outcome.status == 2
    assert len(outcome.err.splitlines()) == 1
    assert f"experiment='{name}' cannot name a folder" in outcome.err
    assert not (tmp_path / "runs").exists()


def test_cells_that_ask_for_the_same_run_are_one_run_and_the_others_run_on_where_one_fails(ask, tmp_path, monkeypatch):
    (tmp_path / "half_shortcut.py").write_text(
        "from ablate.models.shortcuts import Identity\n\n"
        "class Half(Identity):\n"
        "    def forward(self, x, residual):\n"
        "        raise RuntimeError('no forward')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    targets = "half_shortcut.Half,ablate.models.shortcuts.Identity"
    outcome = ask("-m", f"shortcut._target_={targets}", "depth=8", "seed=1,1", "iterations=1")
    assert outcome.status == 1
    assert "Traceback" not in outcome.err
    assert "no forward" in outcome.err
    states = {
        path.parent.name.split("-")[1]: json.loads(path.read_text())["status"]
        for path in (tmp_path / "runs").glob("*/result.json")
    }
    assert states.get("identity") == "finished"
    assert states.get("Half", "failed") == "failed"


def test_the_experiments_that_are_to_run_in_parallel_do(process):
    # a default named in config.yaml would beat the experiment's own override, without a word
    for experiment in ("quickstart", "depth"):
        shown = process("ablate", f"+experiment={experiment}", "-c", "hydra", "--package", "hydra.launcher")
        assert "ProcessLauncher" in shown.out, shown


@pytest.mark.parametrize(("words", "promise"), [((), "command again"), (("rerun=all",), "command without rerun=all")])
def test_no_grid_promises_that_rerun_all_goes_on(resolve, words, promise):
    record = Record(resolve(*words))
    for outcome, what in ((Outcome(130, interrupted=True), "goes on"), (Outcome(1, "broken"), "runs what is left")):
        with pytest.raises(GridError, match=f"the same {promise} {what}$"):
            _report([record], [outcome], 1.0)
