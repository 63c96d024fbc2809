"""Grids on a real SLURM of two nodes, disturbed in every way: the table is that of the same grid left in peace.

make slurm-test     minutes; needs Debian's SLURM packages, and skips, saying so, where they are not (in CI it fails)
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.grid.slurm.conftest import Site
from tests.grid.slurm.slurm_cluster import PATH, PROGRAMS, Cluster
from tests.waiting import LIMIT, until

missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
pytestmark = [
    pytest.mark.slurm,
    # Where CI says that it is one, nothing is skipped: the cluster's fixture fails and says what is missing.
    pytest.mark.skipif(
        bool(missing) and not os.environ.get("CI"), reason=f"no SLURM on this machine: {', '.join(missing)} not found"
    ),
]
SLURM = ["hydra/launcher=slurm", "hydra.launcher.cpus=1"]
ARRAY = 4  # the cluster's largest array: a grid of six is two


@pytest.fixture(scope="module")
def cluster():
    # A socket's path must be short, and pytest's folders are not.
    with tempfile.TemporaryDirectory(prefix="ablate-slurm-") as folder, Cluster(Path(folder), ARRAY) as running:
        yield running


@pytest.fixture(scope="module")
def peace(tmp_path_factory):
    """What an undisturbed grid comes to on this machine, by its overrides."""
    known = {}

    def outcomes(**grid):
        key = tuple(sorted(grid.items()))
        if key not in known:
            alone = Site(tmp_path_factory.mktemp("peace") / "site", {})
            failing = "bad" in grid.get("shortcuts", "")
            words = alone.experiment("drill", **grid)
            alone(*words, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", status=int(failing), SLOW="0")
            known[key] = alone.outcomes("drill")
        return known[key]

    return outcomes


@pytest.fixture
def site(cluster, tmp_path):
    """Where a person of the cluster stands, whose runs end when told to `go`; what is left of the test is cancelled."""
    site = Site(tmp_path / "site", {**cluster.environment, "SLOW": "1"})
    yield site
    site.leave()
    subprocess.run(["scancel", "--user", str(os.getuid())], env={**os.environ, **cluster.environment}, check=False)
    until(lambda: not ask(site, "squeue", "--noheader"), why="an empty queue")


def ask(site, *command):
    """What one of SLURM's programs says."""
    return subprocess.run(
        command, env={**os.environ, **site.environment}, capture_output=True, text=True, check=True
    ).stdout.strip()


def array_of(said):
    return re.search(r"as array (\d+) ", said)[1]


def job(site, name):
    """A task's facts as scontrol tells them."""
    return dict(word.partition("=")[::2] for word in ask(site, "scontrol", "-o", "show", "job", name).split())


def begun(site, least=1):
    """Whether so many runs are being trained and past their first checkpoint."""
    return len(list(site.runs.glob("digits-*/checkpoint.pt"))) >= least


def finish(site, name):
    until(lambda: not ask(site, "squeue", "--noheader", f"--name=ablate-{name}"), why="an empty queue")


def logs(site):
    return "\n".join(path.read_text() for path in sorted(site.runs.glob("_jobs/*/*/*.log")))


def test_a_grid_of_six_is_submitted_and_left(site, peace):
    words = site.experiment("drill", seeds="0, 1, 2")
    said = site(*words, *SLURM)
    arrays = re.findall(r"submitted (\d+) runs as array (\d+) of (\d+) tasks", said)
    assert [(count, tasks) for count, _, tasks in arrays] == [("4", "4"), ("2", "2")]
    assert "ablate status results/runs --experiment drill" in said
    states = [run["state"] for run in site.states("drill").values()]
    assert "queued" in states  # nobody has waited for the runs
    assert len(states) == 6
    again = site(*words, *SLURM)
    assert again.count("already") == 6
    assert "nothing to submit" in again
    site.go()
    finish(site, "drill")
    assert site.outcomes("drill") == peace(seeds="0, 1, 2")
    assert "6 runs in the grid, 0 to train" in site(*words, *SLURM)


def test_a_requeue_in_mid_run(site, peace):
    words = site.experiment("drill")
    array = array_of(site(*words, *SLURM))
    until(lambda: begun(site, 2), why="two runs on their way")
    # The last task's id is the array's own: asked to stop, it must take no other with it.
    ask(site, "scancel", "--batch", "--signal=USR1", f"{array}_1")
    until(lambda: "back into the queue" in logs(site), why="the last task to go back")
    ask(site, "scontrol", "requeuehold", f"{array}_0")  # it would be back within seconds
    until(lambda: site.states("drill")["A 0"]["state"] == "waiting", why="status to say that it waits")
    ask(site, "scontrol", "release", f"{array}_0")
    site.go()
    finish(site, "drill")
    assert [job(site, f"{array}_{task}")["Restarts"] for task in range(2)] == ["1", "1"]
    assert "session 1" in logs(site)
    assert site.outcomes("drill") == peace()


def test_preemption_by_the_higher_partition(site, peace):
    words = site.experiment("drill", seeds="0, 1")
    array = array_of(site(*words, *SLURM))
    until(lambda: begun(site, 4), why="four runs on their way")
    ask(site, "sbatch", "--partition=high", "--array=0-1", "--cpus-per-task=2", "--output=/dev/null", "--wrap=sleep 3")
    until(lambda: logs(site).count("asked to make room") >= 2, why="the two tasks of a node to make room")
    site.go()
    finish(site, "drill")
    assert sum(int(job(site, f"{array}_{task}")["Restarts"]) for task in range(4)) >= 2
    assert site.outcomes("drill") == peace(seeds="0, 1")


def test_time_limits_are_outlived_have_a_limit_and_it_is_said(site, peace):
    words = site.experiment("drill")
    limits = ["hydra.launcher.time=1", "hydra.launcher.warning=20", "hydra.launcher.max_timeouts=1"]
    array = array_of(site(*words, *SLURM, *limits))
    until(lambda: "time limit reached 1 times; back into the queue" in logs(site), why="the first time limit")
    finish(site, "drill")
    said = (
        "the time limit of 1 minutes was reached 2 times, more than max_timeouts=1: give a longer hydra.launcher.time"
    )
    assert logs(site).count(said) == 2
    assert [job(site, f"{array}_{task}")["JobState"] for task in range(2)] == ["FAILED"] * 2
    assert all(said in str(run["reason"]) for run in site.states("drill").values())
    site(*words, *SLURM, SLOW="0")
    finish(site, "drill")
    assert site.outcomes("drill") == peace()


def test_a_task_that_is_killed(site, peace):
    words = site.experiment("drill")
    array = array_of(site(*words, *SLURM))
    until(lambda: begun(site, 2), why="two runs on their way")
    os.kill(int(site.states("drill")["B 0"]["pid"]), signal.SIGKILL)
    site.go()
    finish(site, "drill")
    assert job(site, f"{array}_1")["JobState"] == "FAILED"
    lost = site.states("drill")["B 0"]
    assert lost["state"] == "lost"
    assert "SLURM knows nothing of it" in site("--experiment", "drill", module="ablate", "status", COLUMNS="300")
    assert "submitted 1 runs" in site(*words, *SLURM)
    finish(site, "drill")
    assert site.outcomes("drill") == peace()


def test_a_nodes_daemon_is_killed_and_comes_back(site, cluster, peace):
    words = site.experiment("drill")
    site(*words, *SLURM)
    until(lambda: begun(site, 2), why="two runs on their way")
    cluster.kill_node("n1")
    cluster.start_node("n1")
    site.go()
    finish(site, "drill")
    assert site.outcomes("drill") == peace()


def test_a_node_that_is_taken_for_dead_while_its_runs_live_on(site, cluster, peace):
    """SLURM starts the task again elsewhere: two processes for one run, and no bit of it suffers."""
    words = site.experiment("drill")
    array = array_of(site(*words, *SLURM))
    until(lambda: begun(site, 2), why="two runs on their way")
    node = job(site, f"{array}_0")["NodeList"]
    cluster.kill_node(node)
    try:
        until(lambda: "session 1" in logs(site), why="a second session elsewhere")
        assert len([run for run in site.states("drill").values() if run["state"] == "running"]) == 2
    finally:
        cluster.start_node(node)
    site.go()
    finish(site, "drill")
    assert site.outcomes("drill") == peace()


def test_one_run_that_raises(site, peace):
    words = site.experiment("drill", shortcuts="slow, bad")
    array = array_of(site(*words, *SLURM, SLOW="0"))
    finish(site, "drill")
    states = [job(site, f"{array}_{task}")["JobState"] for task in range(4)]
    assert sorted(states) == ["COMPLETED", "COMPLETED", "FAILED", "FAILED"]
    assert logs(site).count("Traceback") == 2
    assert "this shortcut has had enough" in site(
        "--experiment", "drill", module="ablate", "status", COLUMNS="300"
    )
    assert site.outcomes("drill") == peace(shortcuts="slow, bad")
    assert "submitted 2 runs" in site(*words, *SLURM)


def test_two_people_submit_the_same_grid_at_once(site, peace):
    words = site.experiment("drill")
    people = [site.start(*words, *SLURM) for _ in range(2)]
    for person in people:
        said, _ = person.communicate(timeout=LIMIT)
        assert person.returncode == 0, said
    # Where both have submitted it, the tasks of one find its runs held, and leave.
    until(lambda: begun(site, 2) and len(ask(site, "squeue", "--noheader").splitlines()) == 2, why="two tasks alone")
    site.go()
    finish(site, "drill")
    assert site.outcomes("drill") == peace()
    for run in site.runs.glob("digits-*"):
        assert (run / "run.log").read_text().count("\nepoch 1 ") == 1


def test_several_runs_share_a_task(site, peace):
    words = site.experiment("drill", seeds="0, 1")
    said = site(*words, *SLURM, "hydra.launcher.runs_per_task=4", "hydra.launcher.side_by_side=2", SLOW="0")
    assert "submitted 4 runs as array" in said
    assert "of 1 tasks" in said
    finish(site, "drill")
    assert site.outcomes("drill") == peace(seeds="0, 1")


def test_each_task_sees_its_own_device_and_so_does_each_of_its_runs(site):
    words = site.experiment("drill", seeds="0, 1")
    gpus = ["hydra.launcher.gpus=1", "hydra.launcher.options=['--nodelist=n1']"]
    site(*words, *SLURM, *gpus, "hydra.launcher.runs_per_task=2", "hydra.launcher.side_by_side=2")
    seen = re.compile(r"^device (\S+) for (\d+)$", re.MULTILINE)
    until(lambda: len(set(seen.findall(logs(site)))) == 4, why="four runs that say what they see")
    assert ask(site, "squeue", "--noheader", "--states=RUNNING", "--format=%K").split() == ["0", "1"]
    each = [set(seen.findall(path.read_text())) for path in sorted(site.runs.glob("_jobs/*/*/*.log"))]
    assert [len(processes) for processes in each] == [2, 2]
    assert [{device for device, _ in processes} for processes in each] in ([{"0"}, {"1"}], [{"1"}, {"0"}])


def test_staying_to_watch(site, peace):
    words = site.experiment("drill")
    said = site(*words, *SLURM, "hydra.launcher.wait=true", SLOW="0")
    assert "all tasks have ended" in said
    assert "2 of 2 runs done" in said
    assert site.outcomes("drill") == peace()


def test_cancelling_ends_one_experiment_and_no_other(site, peace):
    first, second = site.experiment("first"), site.experiment("drill", seeds="1")
    site(*first, *SLURM)
    site(*second, *SLURM, SLOW="0")
    until(lambda: begun(site), why="a run on its way")
    assert "add --yes" in site("--experiment", "first", module="ablate", "cancel", status=2)
    shown = site("--experiment", "first", "--yes", module="ablate", "cancel")
    assert "cancelled" in shown
    finish(site, "first")
    assert {run["state"] for run in site.states("first").values()} <= {"interrupted", "lost"}
    finish(site, "drill")
    assert site.outcomes("drill") == peace(seeds="1")
    site(*first, *SLURM, SLOW="0")
    finish(site, "first")
    assert site.outcomes("first")["table"] == peace()["table"]


def test_a_refusal_of_slurm_is_one_sentence(site):
    words = site.experiment("drill")
    said = site(*words, *SLURM, "hydra.launcher.partition=nosuch", status=1)
    assert "SLURM refused: " in said
    assert "nvalid partition" in said
