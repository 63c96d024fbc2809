"""What one task of an array does, with stand-ins for SLURM's programs; test_slurm.py has the real."""

import json
import os
import signal
import subprocess
import time

import pytest

from ablate.cluster.submission import read_submissions
from ablate.files import write_whole
from ablate.runs.holder import Holder
from tests.cluster.conftest import ROOT, until

SLURM = "hydra/launcher=slurm"


def test_a_task_waits_for_an_earlier_sitting_of_its_own(site, stand):
    """SLURM took a node for dead: the new sitting begins while the old one still trains."""
    site(*site.experiment("drill"), SLURM)
    (submission,) = read_submissions(site.runs)
    (name,) = submission.runs[0]
    (site.runs / name).mkdir(parents=True)
    os.environ["SLURM_JOB_ID"] = "77"
    try:
        old = Holder(site.runs / name)
        assert old.take() is None
    finally:
        del os.environ["SLURM_JOB_ID"]
    task = site.start(str(submission.folder), "0", module="ablate.cluster.task", SLURM_JOB_ID="77")
    time.sleep(8)
    assert task.poll() is None
    old.release()
    said, _ = task.communicate(timeout=60)
    assert task.returncode == 0, said
    assert json.loads((site.runs / name / "result.json").read_text())["status"] == "finished"


def test_rerun_is_done_once_however_often_the_task_is_stopped(site, stand):
    words = site.experiment("drill")
    site(*words, "threads=1")
    before = {path.parent.name: json.loads(path.read_text())["started"] for path in site.runs.glob("*/result.json")}
    time.sleep(1.1)  # times are told in whole seconds
    site(*words, SLURM, "hydra.launcher.runs_per_task=2", "rerun=all")
    (submission,) = read_submissions(site.runs)
    sitting = (str(submission.folder), "0")
    for _ in range(2):
        site(*sitting, module="ablate.cluster.task", SLURM_JOB_ID="77")
    aside = sorted(path.name.rpartition(".")[0] for path in (site.runs / "_aside").iterdir())
    assert aside == sorted(before)  # each once
    for path in site.runs.glob("digits-*/result.json"):
        assert json.loads(path.read_text())["started"] > before[path.parent.name]


def test_a_task_leaves_what_somebody_else_trains(site, stand):
    site(*site.experiment("drill"), SLURM)
    (submission,) = read_submissions(site.runs)
    (name,) = submission.runs[0]
    (site.runs / name).mkdir(parents=True)
    other = Holder(site.runs / name)
    assert other.take() is None
    site(str(submission.folder), "0", module="ablate.cluster.task", SLURM_JOB_ID="77")
    other.release()
    assert not (site.runs / name / "result.json").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGUSR1, 0), (signal.SIGTERM, 143)])
def test_a_task_that_is_asked_to_stop(number, status, site, stand):
    site(*site.experiment("drill"), SLURM)
    (submission,) = read_submissions(site.runs)
    (name,) = submission.runs[0]
    task = site.start(str(submission.folder), "0", module="ablate.cluster.task", SLURM_JOB_ID="77", SLOW="0.1")
    until(lambda: (site.runs / name / "checkpoint.pt").exists(), 60, "a checkpoint")
    task.send_signal(number)
    said, _ = task.communicate(timeout=60)
    assert task.returncode == status, said
    assert json.loads((site.runs / name / "result.json").read_text())["status"] == "interrupted"
    requeued = ["requeue", "77"] in stand.calls("scontrol")
    assert requeued == (number == signal.SIGUSR1)
    by_hand = subprocess.run(
        ["bash", submission.folder / "job.sh", "0"], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True
    )
    assert by_hand.returncode == 0, by_hand.stderr
    assert json.loads((site.runs / name / "result.json").read_text())["status"] == "finished"


def test_code_that_changed_since_the_submission_is_not_trained_under_the_old_name(site, stand):
    site(*site.experiment("drill"), SLURM)
    (submission,) = read_submissions(site.runs)
    write_whole(site.folder / "slow.py", (site.folder / "slow.py").read_bytes() + b"\n# another\n")
    said = site(str(submission.folder), "0", module="ablate.cluster.task", SLURM_JOB_ID="77", status=1)
    assert "have changed since it was submitted" in said
    assert not list(site.runs.glob("digits-*"))
