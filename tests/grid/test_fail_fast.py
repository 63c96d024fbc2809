"""`fail_fast=true`: a grid ends at its first failed run, and the others can be resumed."""

import json
import sys

import pytest
from omegaconf import OmegaConf

from ablate.base.errors import ConfigError
from ablate.config.files import conf_folder
from ablate.grid.slurm.launcher import SlurmLauncher
from tests.forked import Command

BROKEN = """
from ablate.models.shortcuts import Identity

class Broken(Identity):
    def forward(self, x, residual):
        if self.training and len(x) > 2:  # not while it is checked
            raise RuntimeError("no forward")
        return super().forward(x, residual)
"""
WAITING = """
import time
from pathlib import Path
from ablate.grid.local import attempt, tracker

def carry_out(record, label, workers):
    while record.config.seed == 0 and not list(Path("runs").glob("*-s1-*/metrics.jsonl")):
        time.sleep(0.02)
    return attempt(record, tracker(record.config), label=label, workers=workers, bar=False)
"""


def states(runs):
    """The status of each run that has a result, by its seed."""
    found = [json.loads(path.read_text()) for path in runs.glob("*/result.json")]
    return {one["seed"]: one["status"] for one in found}


@pytest.fixture
def broken(tmp_path, monkeypatch):
    (tmp_path / "broken_of_grid.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "broken_of_grid.Broken"
    sys.modules.pop("broken_of_grid", None)


@pytest.mark.parametrize("fast", [True, False])
def test_runs_after_a_failed_one_are_begun_only_without_fail_fast(fast, broken, ask, tmp_path):
    target = f"shortcut._target_=ablate.models.shortcuts.Identity,{broken}"
    outcome = ask("-m", target, "seed=0,1", "depth=8", "iterations=1", f"fail_fast={str(fast).lower()}")
    assert outcome.status == 1
    folders = list((tmp_path / "runs").glob("*-s*"))
    (failed, *_) = sorted(path.name for path in folders if "Broken" in path.name)
    said = outcome.err.splitlines()[-1]
    if fast:
        assert (said, len(folders)) == (
            f"ablate: fail_fast=true: {failed} failed, with 1 runs to go; run the same command again to resume",
            3,
        )
    else:
        assert (said, len(folders)) == (
            "ablate: 2 of 4 runs failed; run the same command again to train the rest",
            4,
        )


def test_runs_in_progress_write_a_checkpoint_and_resume(tmp_path):
    """Seed 0 fails once seed 1, which would train for minutes, has begun; seed 2 is not begun."""
    (tmp_path / "broken_of_grid.py").write_text(BROKEN)
    (tmp_path / "waiting_run.py").write_text(WAITING)
    identity = "ablate.models.shortcuts.Identity"
    pairs = f"p=zip(seed=choice(0,1,2),shortcut._target_=choice(broken_of_grid.Broken,{identity},{identity}))"
    grid = ("-m", pairs, "depth=8", "epochs=2000", "threads=1", "results=runs")
    parallel = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "fail_fast=true")
    replaced = {"ablate.grid.local._carry_out": "waiting_run:carry_out"}
    command = Command(*grid, *parallel, cwd=tmp_path, replaced=replaced)
    out, err = command.communicate()
    assert command.returncode == 1, (out, err)
    assert "with 2 runs to go; run the same command again to resume" in err.splitlines()[-1]
    assert states(tmp_path / "runs") == {0: "failed", 1: "interrupted"}
    assert len(list((tmp_path / "runs").glob("*-s1-*/checkpoint.pt"))) == 1
    assert not list((tmp_path / "runs").glob("*-s2-*"))
    planned, _ = Command(*grid, "dry_run=true", cwd=tmp_path).communicate()
    assert [line.split()[2] for line in planned.splitlines()[:3]] == ["train", "resume", "train"]


def test_slurm_refuses_it(tmp_path, record):
    settings = OmegaConf.to_container(OmegaConf.load(conf_folder() / "hydra/launcher/slurm.yaml"))
    del settings["_target_"]
    with pytest.raises(ConfigError) as caught:
        SlurmLauncher(**settings).check([record("fail_fast=true", f"results={tmp_path}")])
    assert str(caught.value) == "fail_fast=true is for the runs of one machine: leave it out, and use ablate cancel"
