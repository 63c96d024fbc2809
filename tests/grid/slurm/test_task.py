"""One task of an array, with stand-ins for SLURM's programs; test_slurm.py has the real ones."""

import argparse
import json
import os
import shlex
import signal
import time
from types import SimpleNamespace

import pytest

from ablate.base.errors import AblateError
from ablate.base.files import write_whole
from ablate.grid.slurm import client
from ablate.grid.slurm.submission import Submission, give_up, read_submissions
from ablate.grid.slurm.task import INTERVAL, _stopped
from ablate.runs.lock import STALE, Lock
from tests.grid.slurm import conftest
from tests.grid.slurm.conftest import finish, unwrapped
from tests.waiting import until

SLURM = "hydra/launcher=slurm"
LONG_AGO = "2020-01-01T00:00:00+00:00"


def result(site, name):
    return json.loads((site.runs / name / "result.json").read_text())


def submit(site):
    """Submit the grid of two runs; returns the submission, and the folder name of the run of task 0."""
    site(*site.experiment(), SLURM, "epochs=3")
    submission = site.submission()
    return submission, submission.runs[0][0]


def wait_for_check(task):
    """Wait until a task has looked at a locked run for the first time."""
    with os.fdopen(os.dup(task.streams[0].fileno())) as output:
        for line in output:
            if "checking whether it is alive" in line:
                return
    raise AssertionError("the task ended without finding a lock")


def test_task_waits_for_an_earlier_session_of_its_own(site, monkeypatch):
    """SLURM took a node for dead: the new session begins while the old one still trains."""
    submission, name = submit(site)
    (site.runs / name).mkdir(parents=True)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    old = Lock(site.runs / name)
    assert old.acquire() is None
    task = site.task(submission)
    wait_for_check(task)
    old.renew()  # another job's run would now be left to it
    time.sleep(3 * conftest.INTERVAL)
    assert task.poll() is None
    old.release()
    finish(task)
    assert result(site, name)["status"] == "finished"


def test_task_leaves_a_run_to_another_process_that_is_alive(site, monkeypatch):
    monkeypatch.setattr("ablate.runs.lock.HEARTBEAT", 1.0)
    submission, name = submit(site)
    (site.runs / name).mkdir(parents=True)
    other = Lock(site.runs / name)
    assert other.acquire() is None
    with other:
        for task in [site.task(submission, job=job) for job in ("77", None)]:  # on a node, and by hand
            assert "left to the process that trains it" in finish(task)
        assert not (site.runs / name / "result.json").exists()


def test_task_trains_a_run_once_its_lock_is_stale(site):
    """A process on another host that was killed looks alive until its lock is stale."""
    submission, name = submit(site)
    (site.runs / name).mkdir(parents=True)
    lock = site.runs / name / "lock-1.json"
    lock.write_text(json.dumps({"host": "n9", "machine": "n9 elsewhere", "pid": 9, "job": "76", "renewed": 5.0}))
    task = site.task(submission)
    wait_for_check(task)
    os.utime(lock, (renewed := time.time() - STALE - 10, renewed))
    finish(task)
    assert result(site, name)["status"] == "finished"
    program, *words = shlex.split(result(site, name)["command"])  # the submission's, not the task's
    assert program == "ablate"
    assert sorted(words) == sorted([*site.experiment(), SLURM, "epochs=3"])  # options may come first


def test_rerun_is_carried_out_once_over_all_sessions(site):
    words = site.experiment()
    site(*words, "epochs=2")
    before = {path.parent.name for path in site.runs.glob("*/result.json")}
    for path in site.runs.glob("*/result.json"):  # times are in whole seconds
        write_whole(path, json.dumps({**json.loads(path.read_bytes()), "started": LONG_AGO}).encode())
    site(*words, SLURM, "epochs=2", "hydra.launcher.runs_per_task=2", "rerun=all")
    for _ in range(2):
        finish(site.task(site.submission()))
    archived = sorted(path.name.rpartition(".")[0] for path in (site.runs / "_archived").iterdir())
    assert archived == sorted(before)  # each once
    started = [json.loads(path.read_bytes())["started"] for path in site.runs.glob("digits-*/result.json")]
    assert len(started) == len(before)
    assert min(started) > LONG_AGO


@pytest.mark.parametrize(("number", "status"), [(signal.SIGUSR1, 0), (signal.SIGTERM, 143)])
def test_stopped_task_writes_a_checkpoint_and_is_resumed(number, status, site, slurm):
    submission, name = submit(site)
    task = site.task(submission, SLOW="0.5")
    until(lambda: (site.runs / name / "checkpoint.pt").exists(), task, "a checkpoint")
    task.send_signal(number)
    finish(task, status)
    assert result(site, name)["status"] == "interrupted"
    assert (["requeue", "77"] in slurm.calls("scontrol")) == (number == signal.SIGUSR1)
    give_up(submission.folder, 0, {name: "the time limit was reached 3 times"})
    assert "interrupted: the time limit was reached 3 times" in unwrapped(site("status", "--experiment", "drill"))
    finish(site.task(submission))
    assert result(site, name)["status"] == "finished"
    assert result(site, name)["resumed"] == 1


@pytest.fixture
def stopped(tmp_path, slurm, monkeypatch):
    """Ends a session of task 1 by SIGUSR1 at a time of SLURM's, given as `squeue` prints it, and returns its status."""
    for key, value in (("SLURM_JOB_ID", "78"), ("SLURM_ARRAY_JOB_ID", "77"), ("SLURM_ARRAY_TASK_ID", "1")):
        monkeypatch.setenv(key, value)
    record = SimpleNamespace(name="run", folder=tmp_path)

    def session(clock, *, progress, max_timeouts=1):
        slurm.answers("squeue", f"{clock}\n")
        (tmp_path / "checkpoint.pt").touch()
        os.utime(tmp_path / "checkpoint.pt", (progress, progress))
        options = argparse.Namespace(submission=tmp_path, task=1, warning=120.0, max_timeouts=max_timeouts)
        return _stopped(options, signal.SIGUSR1, [record])

    return session


# The warning of 120 s may come a minute early: from minute 57 of 60 on it is the time limit's.
@pytest.mark.parametrize(
    ("clock", "counted"),
    [
        ("1:00:00|56:59", False),
        ("1:00:00|57:01", True),
        ("a site's own line\n1:00:00|57:01", True),
        ("1-00:00:00|23:56:00", False),
        ("1-00:00:00|23:58:00", True),
        ("UNLIMITED|30-00:00:00", False),
    ],
)
def test_time_limit_is_distinguished_from_a_preemption(clock, counted, stopped, slurm, tmp_path, capsys):
    assert stopped(clock, progress=1) == 0
    assert stopped(clock, progress=2) == int(counted)  # the second is more than max_timeouts
    said = capsys.readouterr()
    assert ("preempted; requeueing" in said.out) == (not counted)
    why = "minutes was reached more than max_timeouts=1 times: give a longer hydra.launcher.time; run the grid's"
    assert (why in said.err) == counted
    assert slurm.calls("scontrol") == [["requeue", "77_1"]] * (1 + (not counted))
    assert (tmp_path / "1.timeouts").exists() == counted
    assert (why in str(Submission(tmp_path, []).reasons(1).get("run"))) == counted


def test_task_gives_up_once_a_session_ends_without_progress(stopped, tmp_path, capsys):
    limit, preempted = "10:00|09:00", "10:00|05:00"
    sessions = [(limit, 1), (preempted, 1), (limit, 2), (limit, 3), (preempted, 3)]
    assert [stopped(clock, progress=step, max_timeouts=20) for clock, step in sessions] == [0] * len(sessions)
    assert stopped(limit, progress=3, max_timeouts=20) == 1
    why = "the time limit of 10 minutes was reached before any run got further: give a longer hydra.launcher.time"
    assert why in capsys.readouterr().err
    assert why in Submission(tmp_path, []).reasons(1)["run"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("data=cifar10", "data.root=nowhere"), "cifar10 is missing or incomplete: add data.download=true"),
        (("device=cuda:9",), "device=cuda:9 is not available"),
        (("shortcut._target_=here.Gone",), "shortcut Gone cannot be built: not on this node"),
    ],
)
def test_run_that_fails_before_it_has_a_folder_gives_its_reason(words, why, site):
    (site.folder / "here.py").write_text(GONE)
    for seeds in ("0", "1"):  # a grid with a name and one without
        name = ("--config-dir", "my", "+experiment=drill") if seeds == "0" else ()
        site.experiment(shortcuts="identity")
        site("-m", *name, "shortcut.option=A", f"seed={seeds}", "depth=8", *words, SLURM)
    for submission, options in zip(read_submissions(site.runs), [("--experiment", "drill"), ()], strict=True):
        log = finish(site.task(submission, NODE="1"), 2 if "cuda" in why or "here" in words[0] else 1)
        (name,) = submission.runs[0]
        assert f"ablate: {name} failed: {why}" in log
        submission.log(0).write_text(log)
        assert f"missing: {why}" in unwrapped(site("status", *options, COLUMNS="200"))
        assert f"{name}: missing: {why}" in site("status", *options, "--failed")
        found = json.loads(site("status", *options, "--json"))
        assert why in {run["folder"].rpartition("/")[2]: run["reason"] for run in found["runs"]}[name]
    assert not (site.runs / name).exists()


GONE = """
import os
from ablate.models.shortcuts import Identity

class Gone(Identity):
    def __init__(self, *arguments, **options):
        if "NODE" in os.environ:
            raise ValueError("not on this node")
        super().__init__(*arguments, **options)
"""


def test_reason_is_forgotten_when_the_task_runs_again(site):
    submission, name = submit(site)
    give_up(submission.folder, 0, {name: "no data"})
    finish(site.task(submission))
    assert submission.reasons(0) == {}


@pytest.mark.parametrize(("refusals", "ends"), [(3, "requeued"), (99, "gives up")])
def test_busy_controller_is_asked_again_until_the_time_limit(refusals, ends, monkeypatch, tmp_path):
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: now.append(now.pop() + seconds))
    monkeypatch.setattr("ablate.grid.slurm.task.time", clock)
    monkeypatch.setattr(client, "time_limit", lambda job: None)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    asked = []

    def requeue(job):
        asked.append(job)
        if len(asked) <= refusals:
            raise AblateError("SLURM refused: Socket timed out")

    monkeypatch.setattr(client, "requeue", requeue)
    options = argparse.Namespace(submission=tmp_path, task=0, warning=60.0, max_timeouts=1)
    if ends == "requeued":
        assert _stopped(options, signal.SIGUSR1, []) == 0
        assert asked == ["77"] * (refusals + 1)
    else:
        with pytest.raises(AblateError, match="Socket timed out"):
            _stopped(options, signal.SIGUSR1, [])
        assert 60 / INTERVAL < len(asked) < refusals
        assert 60 < now[0] <= 60 + INTERVAL


def test_run_whose_code_changed_is_refused_and_others_are_trained(site):
    words = site.experiment(shortcuts="slow, identity")
    site(*words, SLURM, "epochs=1", "hydra.launcher.runs_per_task=4")
    code = (site.folder / "slow.py").read_text()
    (site.folder / "slow.py").write_text(code.replace("self.match(x) + residual", "residual + self.match(x)"))
    said = finish(site.task(site.submission()), 1)
    assert said.count("its code, images or initial weights have changed since") == 2
    done = [json.loads(path.read_text()) for path in site.runs.glob("digits-*/result.json")]
    names = [(run["status"], run["config"]["shortcut"]["name"]) for run in done]
    assert names == [("finished", "identity")] * 2


def test_run_that_other_code_finished_does_not_stop_the_others_of_its_task(site):
    site(*site.experiment(), SLURM, "epochs=1", "hydra.launcher.runs_per_task=2")
    site.go()
    submission = site.submission()
    first, second = submission.runs[0]
    finish(site.task(submission))
    content = result(site, first)
    (site.runs / first / "result.json").write_text(json.dumps(content | {"code": {"training/loop.py": "0"}}))
    (site.runs / second / "result.json").unlink()
    finish(site.task(submission), 1)
    assert result(site, second)["status"] == "finished"
    assert "trained by other code" in submission.reasons(0)[first]
