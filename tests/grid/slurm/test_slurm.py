"""Grids on a real SLURM of two nodes, disturbed in every way: their results are those of an undisturbed grid.

make slurm-test     minutes; needs Debian's SLURM packages, without which it is skipped (in CI it fails)
"""

import json
import os
import re
import signal

import pytest

from tests.grid.slurm.conftest import Site, finish, unwrapped
from tests.grid.slurm.slurm_cluster import reason_to_skip
from tests.waiting import until

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip())]
SLURM = ["hydra/launcher=slurm", "hydra.launcher.cpus=1"]


@pytest.fixture
def site(cluster_site):
    return cluster_site


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The results of the same grid on this machine, by its arguments."""
    known = {}

    def outcomes(**grid):
        key = tuple(sorted(grid.items()))
        if key not in known:
            local = Site(tmp_path_factory.mktemp("local") / "site", {})
            status = int("bad" in grid.get("shortcuts", ""))
            words = local.experiment(**grid)
            local(*words, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", status=status, SLOW="0")
            known[key] = local.outcomes()
        return known[key]

    return outcomes


def array_of(said):
    return re.search(r"as array (\d+) ", said)[1]


def job(site, name):
    """What scontrol says of a task."""
    return dict(word.partition("=")[::2] for word in site.run("scontrol", "-o", "show", "job", name).split())


def has_begun(site, least=1):
    """Whether so many runs have written their first checkpoint."""
    return len(list(site.runs.glob("digits-*/checkpoint.pt"))) >= least


def logs(site):
    return "\n".join(path.read_text() for path in sorted(site.runs.glob("_jobs/*/*/*.log")))


def submit_and_start(site, *words):
    """Submit the grid of two runs and wait until both have begun; returns the array's id."""
    array = array_of(site(*site.experiment(), *SLURM, *words))
    until(lambda: has_begun(site, 2), why="two runs that have begun")
    return array


def test_grid_of_six_is_submitted_and_left(site, undisturbed):
    words = site.experiment(seeds="0, 1, 2")
    said = site(*words, *SLURM)
    arrays = re.findall(r"submitted (\d+) runs as array (\d+) of (\d+) tasks", said)
    assert [(count, tasks) for count, _, tasks in arrays] == [("4", "4"), ("2", "2")]
    assert "ablate status results/runs --experiment drill" in said
    states = [run["state"] for run in site.states().values()]
    assert "queued" in states
    assert len(states) == 6
    again = site(*words, *SLURM)
    assert again.count("already") == 6
    assert "nothing to submit" in again
    site.go()
    site.wait_for_end()
    assert site.outcomes() == undisturbed(seeds="0, 1, 2")
    assert "6 runs in the grid, 0 to train" in site(*words, *SLURM)


def test_requeued_task_resumes(site, undisturbed):
    array = submit_and_start(site)
    # The job id of the last task is the whole array's: the signal must not requeue the other task.
    site.run("scancel", "--batch", "--signal=USR1", f"{array}_1")
    until(lambda: "requeueing" in logs(site), why="the last task to requeue itself")
    site.run("scontrol", "requeuehold", f"{array}_0")  # without the hold it would run again within seconds
    until(lambda: site.states()["A 0"]["state"] == "waiting", why="status to show that it waits")
    site.run("scontrol", "release", f"{array}_0")
    site.go()
    site.wait_for_end()
    assert [job(site, f"{array}_{task}")["Restarts"] for task in range(2)] == ["1", "1"]
    assert "session 1" in logs(site)
    assert site.outcomes() == undisturbed()


def test_preempted_tasks_resume(site, undisturbed):
    array = array_of(site(*site.experiment(seeds="0, 1"), *SLURM))
    until(lambda: has_begun(site, 4), why="four runs that have begun")
    high = ("--partition=high", "--array=0-1", "--cpus-per-task=2", "--output=/dev/null")
    site.run("sbatch", *high, "--wrap=sleep 3")
    until(lambda: logs(site).count("preempted; requeueing") >= 2, why="the two tasks of a node to be preempted")
    site.go()
    site.wait_for_end()
    assert sum(int(job(site, f"{array}_{task}")["Restarts"]) for task in range(4)) >= 2
    assert site.outcomes() == undisturbed(seeds="0, 1")


def test_task_gives_up_after_max_timeouts(site, undisturbed):
    words = site.experiment()
    limits = ["hydra.launcher.time=1", "hydra.launcher.warning=20", "hydra.launcher.max_timeouts=1"]
    array = array_of(site(*words, *SLURM, *limits))
    until(lambda: "time limit reached, 1 so far; requeueing" in logs(site), why="the first time limit")
    site.wait_for_end()
    why = "the time limit of 1 minutes was reached"  # too often, or before any run got further on a busy machine
    assert logs(site).count(why) == 2
    assert [job(site, f"{array}_{task}")["JobState"] for task in range(2)] == ["FAILED"] * 2
    assert all(why in str(run["reason"]) for run in site.states().values())
    site(*words, *SLURM, SLOW="0")
    site.wait_for_end()
    assert site.outcomes() == undisturbed()


def test_killed_task_is_lost_and_submitted_again(site, undisturbed):
    array = submit_and_start(site)
    os.kill(int(site.states()["B 0"]["pid"]), signal.SIGKILL)
    site.go()
    site.wait_for_end()
    assert job(site, f"{array}_1")["JobState"] == "FAILED"
    assert site.states()["B 0"]["state"] == "stale"
    assert "SLURM has no task for it" in unwrapped(site("status", "--experiment", "drill"))
    assert "submitted 1 runs" in site(*site.experiment(), *SLURM)
    site.wait_for_end()
    assert site.outcomes() == undisturbed()


def test_restart_of_a_nodes_daemon_does_not_affect_runs(site, cluster, undisturbed):
    submit_and_start(site)
    cluster.kill_node("n1")
    cluster.start_node("n1")
    site.go()
    site.wait_for_end()
    assert site.outcomes() == undisturbed()


def test_two_nodes_train_a_run_together_and_resume_it(site):
    words = [*site.experiment(), *SLURM, "hydra.launcher.nodes=2", "sync_batch_norm=true"]
    array = array_of(site(*words))
    until(lambda: has_begun(site, 2), why="two runs that have begun")
    site.run("scancel", "--batch", "--signal=USR1", f"{array}_1")
    until(lambda: "requeueing" in logs(site), why="the last task to requeue itself")
    site.go()
    site.wait_for_end()
    assert (job(site, f"{array}_0")["NodeList"], job(site, f"{array}_1")["Restarts"]) == ("n[1-2]", "1")
    results = [json.loads(path.read_text()) for path in site.runs.glob("digits-*/result.json")]
    assert [one["status"] for one in results] == ["finished"] * 2
    assert {session["processes"] for one in results for session in one["sessions"]} == {2}
    alone = Site(site.folder / "alone", {})
    alone(*alone.experiment(), "sync_batch_norm=true", SLOW="0")
    ours, theirs = site.outcomes(), alone.outcomes()
    assert ours.keys() == theirs.keys()
    for name, (state, error, *_) in ours.items():
        assert (state, error) == ("finished", pytest.approx(theirs[name][1], abs=1)), theirs[name]


def test_second_process_for_a_run_does_not_affect_it(site, cluster, undisturbed):
    """SLURM takes a node for dead and starts its task elsewhere, while the run on the node goes on."""
    array = submit_and_start(site)
    node = job(site, f"{array}_0")["NodeList"]
    cluster.kill_node(node)
    try:
        until(lambda: "session 1" in logs(site), why="a second session on the other node")
        assert len([run for run in site.states().values() if run["state"] == "running"]) == 2
    finally:
        cluster.start_node(node)
    site.go()
    site.wait_for_end()
    assert site.outcomes() == undisturbed()


def test_failing_runs_fail_alone(site, undisturbed):
    words = site.experiment(shortcuts="slow, bad")
    array = array_of(site(*words, *SLURM, SLOW="0"))
    site.wait_for_end()
    states = [job(site, f"{array}_{task}")["JobState"] for task in range(4)]
    assert sorted(states) == ["COMPLETED", "COMPLETED", "FAILED", "FAILED"]
    assert logs(site).count("Traceback") == 2
    assert "this shortcut fails" in unwrapped(site("status", "--experiment", "drill"))
    assert site.outcomes() == undisturbed(shortcuts="slow, bad")
    assert "submitted 2 runs" in site(*words, *SLURM)


def test_grid_submitted_twice_at_once_is_trained_once(site, undisturbed):
    words = site.experiment()
    for command in [site.start(*words, *SLURM) for _ in range(2)]:
        finish(command)
    # If both have submitted it, the tasks of one find their runs locked, and end.
    until(lambda: has_begun(site, 2) and len(site.run("squeue", "--noheader").splitlines()) == 2, why="two tasks alone")
    site.go()
    site.wait_for_end()
    assert site.outcomes() == undisturbed()
    for run in site.runs.glob("digits-*"):
        assert (run / "run.log").read_text().count("\nepoch 1 ") == 1


def test_several_runs_share_a_task(site, undisturbed):
    words = site.experiment(seeds="0, 1")
    said = site(*words, *SLURM, "hydra.launcher.runs_per_task=4", "hydra.launcher.side_by_side=2", SLOW="0")
    assert "submitted 4 runs as array" in said
    assert "of 1 tasks" in said
    site.wait_for_end()
    commands = [json.loads(path.read_text())["command"] for path in site.runs.glob("digits-*/result.json")]
    assert [command.count("hydra.launcher.side_by_side=2") for command in commands] == [1] * 4  # the submission's
    assert site.outcomes() == undisturbed(seeds="0, 1")


def test_runs_of_a_task_share_its_gpu(site):
    words = site.experiment(seeds="0, 1")
    gpus = ["hydra.launcher.gpus=1", "hydra.launcher.options=['--nodelist=n1']"]
    site(*words, *SLURM, *gpus, "hydra.launcher.runs_per_task=2", "hydra.launcher.side_by_side=2")
    seen = re.compile(r"^device (\S+) for (\d+)$", re.MULTILINE)
    until(lambda: len(set(seen.findall(logs(site)))) == 4, why="four runs that print their GPU")
    assert site.run("squeue", "--noheader", "--states=RUNNING", "--format=%K").split() == ["0", "1"]
    each = [set(seen.findall(path.read_text())) for path in sorted(site.runs.glob("_jobs/*/*/*.log"))]
    assert [len(processes) for processes in each] == [2, 2]
    assert [{device for device, _ in processes} for processes in each] in ([{"0"}, {"1"}], [{"1"}, {"0"}])


def test_wait_watches_to_the_end(site, undisturbed):
    said = site(*site.experiment(), *SLURM, "hydra.launcher.wait=true", SLOW="0")
    assert "all tasks have ended" in said
    assert "2 of 2 runs done" in said
    assert site.outcomes() == undisturbed()


def test_cancel_ends_one_experiment_and_no_other(site, undisturbed):
    first, second = site.experiment("first"), site.experiment("drill", seeds="1")
    site(*first, *SLURM)
    site(*second, *SLURM, SLOW="0")
    until(lambda: has_begun(site), why="a run that has begun")
    assert "add --yes" in site("cancel", "--experiment", "first", status=2)
    assert "cancelled" in site("cancel", "--experiment", "first", "--yes")
    site.wait_for_end("first")
    assert {run["state"] for run in site.states("first").values()} <= {"interrupted", "missing"}
    site.wait_for_end("drill")
    assert site.outcomes("drill") == undisturbed(seeds="1")
    site(*first, *SLURM, SLOW="0")
    site.wait_for_end("first")
    assert site.outcomes("first") == undisturbed()


def test_refusal_of_sbatch_is_one_sentence(site):
    said = site(*site.experiment(), *SLURM, "hydra.launcher.partition=nosuch", status=1)
    assert "SLURM refused: " in said
    assert "nvalid partition" in said
    assert {run["state"] for run in site.states().values()} == {"missing"}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["data=cifar10", "data.root=nowhere"], "cifar10 is missing or incomplete: add data.download=true to fetch"),
        (["device=cuda"], "device=cuda is not available (this machine has none): use device=auto or device=cpu"),
        (["hydra.launcher.setup=['module load cuda']"], "hydra.launcher.setup: status 127 of the command: module load"),
        (["hydra.launcher.python=no-such-python"], "no-such-python: not found"),
    ],
    ids=["no data", "no GPU", "no module", "no Python"],
)
def test_first_day_on_a_new_site(words, why, site):
    """Status names what is missing on the nodes."""
    grid = [*site.experiment(), *SLURM]
    array = array_of(site(*grid, *words, SLOW="0"))
    site.wait_for_end()
    assert [job(site, f"{array}_{task}")["JobState"] for task in range(2)] == ["FAILED"] * 2
    assert unwrapped(site("status", "--experiment", "drill")).count(why) == 2
    assert all(why in str(run["reason"]) for run in site.states().values())
    assert why in site("status", "--experiment", "drill", "--failed")


def test_reason_why_a_task_does_not_start_is_shown(site):
    site(*site.experiment(), *SLURM, "hydra.launcher.partition=short", "hydra.launcher.time=10")
    until(lambda: "PartitionTimeLimit" in site("status", "--experiment", "drill"), why="SLURM's reason")
    assert {run["state"] for run in site.states().values()} == {"queued"}
    site("cancel", "--experiment", "drill", "--yes")


def test_folder_with_a_sign_that_slurm_replaces(cluster, tmp_path):
    site = Site(tmp_path / "50% of %a %%j", {**cluster.environment, "SLOW": "0"})
    site("-m", *SLURM, "depth=8", "iterations=2", "seed=0,1")  # a grid without a name
    found = json.loads(site("status", "--json"))
    assert sum(found["states"].values()) == 2
    site.wait_for_end()
    assert [path.name for path in sorted(site.runs.glob("_jobs/grid/*/*.log"))] == ["0.log", "1.log"]
    assert json.loads(site("status", "--json"))["states"] == {"finished": 2}
