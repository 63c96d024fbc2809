"""What one task of an array does, with stand-ins for SLURM's programs; test_slurm.py has the real."""

import argparse
import json
import os
import shlex
import signal
import subprocess
import time
from types import SimpleNamespace

import pytest

from ablate.base.errors import AblateError
from ablate.base.files import write_whole
from ablate.grid.slurm import client as slurm
from ablate.grid.slurm.submission import give_up, read_submissions, timeouts
from ablate.grid.slurm.task import LOOK, _stopped
from ablate.report import records
from ablate.runs.lock import STALE, Lock
from tests.grid.slurm.conftest import ROOT
from tests.waiting import LIMIT, until

SLURM = "hydra/launcher=slurm"


def look(task):
    """Wait until a task has looked at a run that it finds held."""
    for line in task.stdout:
        if "looking whether it lives" in line:
            return
    raise AssertionError("it has held nothing for held")


def test_a_task_waits_for_an_earlier_sitting_of_its_own(site, stand, monkeypatch):
    """SLURM took a node for dead: the new session begins while the old one still trains."""
    site(*site.experiment("drill"), SLURM)
    (submission,) = read_submissions(site.runs)
    (name,) = submission.runs[0]
    (site.runs / name).mkdir(parents=True)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    old = Lock(site.runs / name)
    assert old.take() is None
    task = site.start(str(submission.folder), "0", module="ablate.grid.slurm.task")
    look(task)
    old.beat()  # another's would be left to it
    time.sleep(LOOK + 1)
    assert task.poll() is None
    old.release()
    said, _ = task.communicate(timeout=LIMIT)
    assert task.returncode == 0, said
    assert json.loads((site.runs / name / "result.json").read_text())["status"] == "finished"


LONG_AGO = "2020-01-01T00:00:00+00:00"


def test_rerun_is_done_once_however_often_the_task_is_stopped(site, stand):
    words = site.experiment("drill")
    site(*words, "threads=1")
    before = {path.parent.name for path in site.runs.glob("*/result.json")}
    for path in site.runs.glob("*/result.json"):  # times are told in whole seconds
        write_whole(path, json.dumps({**json.loads(path.read_bytes()), "started": LONG_AGO}).encode())
    site(*words, SLURM, "hydra.launcher.runs_per_task=2", "rerun=all")
    (submission,) = read_submissions(site.runs)
    session = (str(submission.folder), "0")
    for _ in range(2):
        site(*session, module="ablate.grid.slurm.task", SLURM_JOB_ID="77")
    aside = sorted(path.name.rpartition(".")[0] for path in (site.runs / "_archived").iterdir())
    assert aside == sorted(before)  # each once
    started = [json.loads(path.read_bytes())["started"] for path in site.runs.glob("digits-*/result.json")]
    assert len(started) == len(before)
    assert min(started) > LONG_AGO


@pytest.mark.parametrize("job", [{"SLURM_JOB_ID": "77"}, {}], ids=["on a node", "by hand"])
def test_a_task_leaves_what_somebody_else_trains(job, site, stand, monkeypatch):
    monkeypatch.setattr("ablate.runs.lock.BEAT", 1.0)
    site(*site.experiment("drill"), SLURM)
    (submission,) = read_submissions(site.runs)
    (name,) = submission.runs[0]
    (site.runs / name).mkdir(parents=True)
    other = Lock(site.runs / name)
    assert other.take() is None
    with other:
        task = site.start(str(submission.folder), "0", module="ablate.grid.slurm.task", **job)
        said, _ = task.communicate(timeout=LIMIT)
        assert task.returncode == 0, said
        assert "left to the one who trains it" in said
        assert not (site.runs / name / "result.json").exists()


def test_a_task_trains_what_another_held_who_is_dead_by_now(site, stand):
    """A holder on another host that was killed counts as living until it is stale."""
    site(*site.experiment("drill"), SLURM)
    (submission,) = read_submissions(site.runs)
    (name,) = submission.runs[0]
    (site.runs / name).mkdir(parents=True)
    lock = site.runs / name / "lock-1.json"
    lock.write_text(json.dumps({"host": "n9", "machine": "n9 elsewhere", "pid": 9, "job": "76", "renewed": 5.0}))
    task = site.start(str(submission.folder), "0", module="ablate.grid.slurm.task", SLURM_JOB_ID="77")
    look(task)
    os.utime(lock, (heard := time.time() - STALE - 10, heard))
    said, _ = task.communicate(timeout=LIMIT)
    assert task.returncode == 0, said
    assert json.loads((site.runs / name / "result.json").read_text())["status"] == "finished", said


@pytest.mark.parametrize(("number", "status"), [(signal.SIGUSR1, 0), (signal.SIGTERM, 143)])
def test_a_task_that_is_asked_to_stop(number, status, site, stand):
    site(*site.experiment("drill"), SLURM)
    (submission,) = read_submissions(site.runs)
    (name,) = submission.runs[0]
    task = site.start(str(submission.folder), "0", module="ablate.grid.slurm.task", SLURM_JOB_ID="77", SLOW="0.5")
    until(lambda: (site.runs / name / "checkpoint.pt").exists(), task, "a checkpoint")
    task.send_signal(number)
    said, _ = task.communicate(timeout=LIMIT)
    assert task.returncode == status, said
    assert json.loads((site.runs / name / "result.json").read_text())["status"] == "interrupted"
    requeued = ["requeue", "77"] in stand.calls("scontrol")
    assert requeued == (number == signal.SIGUSR1)
    by_hand = subprocess.run(
        ["bash", submission.folder / "job.sh", "0"], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True
    )
    assert by_hand.returncode == 0, by_hand.stderr
    assert json.loads((site.runs / name / "result.json").read_text())["status"] == "finished"


# The warning of 120 s may come a minute early: from 57 minutes of 60 on it is the time limit's.
@pytest.mark.parametrize(
    ("clock", "counted"),
    [
        ("1:00:00|56:59", False),
        ("1:00:00|57:01", True),
        ("1-00:00:00|23:56:00", False),
        ("1-00:00:00|23:58:00", True),
        ("UNLIMITED|30-00:00:00", False),
    ],
)
def test_a_time_limit_is_told_from_a_preemption(clock, counted, site, stand, monkeypatch, capsys):
    """By SLURM's clock, which runs before python does, and whether the limit was asked for or is the partition's."""
    site(*site.experiment("drill"), SLURM)
    (submission,) = read_submissions(site.runs)
    for key, value in (("SLURM_JOB_ID", "78"), ("SLURM_ARRAY_JOB_ID", "77"), ("SLURM_ARRAY_TASK_ID", "1")):
        monkeypatch.setenv(key, value)
    stand.answers("squeue", f"{clock}\n")
    options = argparse.Namespace(submission=submission.folder, task=1, warning=120.0, max_timeouts=1)
    assert _stopped(options, signal.SIGUSR1) == 0
    assert _stopped(options, signal.SIGUSR1) == int(counted)  # the second is more than max_timeouts
    said = capsys.readouterr()
    assert ("asked to make room" in said.out) == (not counted)
    assert ("was reached 2 times, more than max_timeouts=1" in said.err) == counted
    assert stand.calls("scontrol")[1:] == [["requeue", "77_1"]] * (1 + (not counted))  # the first is the submission's
    assert timeouts(submission.folder, 1) == 2 * counted


@pytest.mark.parametrize(("refusals", "ends"), [(3, "requeued"), (99, "gives up")])
def test_a_controller_that_is_asked_by_a_thousand_at_once_is_asked_again(refusals, ends, monkeypatch, tmp_path):
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: now.append(now.pop() + seconds))
    monkeypatch.setattr("ablate.grid.slurm.task.time", clock)
    monkeypatch.setattr(slurm, "clock", lambda job: None)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    asked = []

    def requeue(job):
        asked.append(job)
        if len(asked) <= refusals:
            raise AblateError("SLURM refused: Socket timed out")

    monkeypatch.setattr(slurm, "requeue", requeue)
    options = argparse.Namespace(submission=tmp_path, task=0, warning=60.0, max_timeouts=1)
    if ends == "requeued":
        assert _stopped(options, signal.SIGUSR1) == 0
        assert asked == ["77"] * (refusals + 1)
    else:
        with pytest.raises(AblateError, match="Socket timed out"):
            _stopped(options, signal.SIGUSR1)
        assert 60 / LOOK < len(asked) < refusals
        assert 60 < now[0] <= 60 + LOOK


def test_status_says_that_a_task_has_given_up(site, stand):
    site(*site.experiment("drill"), SLURM)
    (submission,) = read_submissions(site.runs)
    (name,) = submission.runs[0]
    task = site.start(str(submission.folder), "0", module="ablate.grid.slurm.task", SLURM_JOB_ID="77", SLOW="0.5")
    until(lambda: (site.runs / name / "checkpoint.pt").exists(), task, "a checkpoint")
    task.send_signal(signal.SIGTERM)
    task.communicate(timeout=LIMIT)
    give_up(submission.folder, 0, "the time limit was reached 3 times")
    said = site("--experiment", "drill", module="ablate", "status", COLUMNS="300")
    assert "interrupted: the time limit was reached 3 times" in said


def test_code_that_changed_since_the_submission_is_not_trained_under_the_old_name(site, stand):
    site(*site.experiment("drill"), SLURM)
    (submission,) = read_submissions(site.runs)
    write_whole(site.folder / "slow.py", (site.folder / "slow.py").read_bytes() + b"\n# another\n")
    said = site(str(submission.folder), "0", module="ablate.grid.slurm.task", SLURM_JOB_ID="77", status=1)
    assert "have changed since it was submitted" in said
    assert not list(site.runs.glob("digits-*"))


@pytest.mark.parametrize("side_by_side", [1, 2])
def test_a_record_says_by_what_command_its_run_was_submitted(side_by_side, site, stand):
    more = ["hydra.launcher.runs_per_task=2", f"hydra.launcher.side_by_side={side_by_side}"]
    words = [*site.experiment("drill"), SLURM, *more]
    site(*words)
    (submission,) = read_submissions(site.runs)
    script = ["bash", submission.folder / "job.sh", "0"]
    subprocess.run(script, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    assert set(records.load(site.runs).command) == {f"ablate {shlex.join(words)}"}


def test_a_run_whose_code_changed_takes_no_other_of_its_task_with_it(site, stand):
    words = site.experiment("drill", shortcuts="slow, identity")
    site(*words, SLURM, "hydra.launcher.runs_per_task=4")
    (submission,) = read_submissions(site.runs)
    write_whole(site.folder / "slow.py", (site.folder / "slow.py").read_bytes() + b"\n# another\n")
    said = site(str(submission.folder), "0", module="ablate.grid.slurm.task", SLURM_JOB_ID="77", status=1)
    assert said.count("have changed since it was submitted") == 2
    done = [json.loads(path.read_text()) for path in site.runs.glob("digits-*/result.json")]
    assert [(result["status"], result["config"]["shortcut"]["name"]) for result in done] == [
        ("finished", "identity")
    ] * 2
