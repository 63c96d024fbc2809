"""Submitting to SLURM and reading its answers, with stand-ins for its programs; test_slurm.py has the real ones."""

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap

import pytest

from ablate import commands
from ablate.base.errors import AblateError, ConfigError
from ablate.grid.slurm import client, launcher
from ablate.grid.slurm.settings import minutes
from ablate.grid.slurm.state import by_run
from ablate.grid.slurm.submission import folder_of, read_submissions, task
from tests.grid.slurm import slurm_cluster
from tests.grid.slurm.conftest import ROOT, Site, finish, unwrapped

SLURM = "hydra/launcher=slurm"
TIMED_OUT = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n"


def test_without_slurm_a_grid_is_refused_in_one_sentence(tmp_path):
    site = Site(tmp_path / "site", {"PATH": "/nonexistent"})
    said = site("-m", SLURM, "seed=0,1", status=2)
    assert len(said.splitlines()) == 1
    assert "sbatch was not found" in said
    assert "hydra/launcher=joblib" in said
    assert not site.runs.exists()


def test_sbatch_gets_the_settings(site, slurm):
    words = site.experiment(seeds="0, 1, 2")
    said = site(*words, SLURM, "cluster=gpu", "hydra.launcher.at_once=2", "hydra.launcher.options=['--exclusive']")
    (call,) = slurm.calls("sbatch")
    folder = site.submission().folder
    assert "submitted 6 runs as array 77 of 6 tasks" in said
    assert set(call) >= {
        *("--parsable", "--job-name=ablate-drill", "--array=0-5%2", "--requeue", "--open-mode=append"),
        *("--signal=B:USR1@120", "--partition=gpu", "--time=240", "--gres=gpu:1", "--cpus-per-task=4", "--mem=16G"),
        *(f"--comment={folder}", f"--output={folder}/%a.log", "--exclusive"),
    }
    assert call[-1] == str(folder / "job.sh")
    assert (folder / "job.sh").read_text().splitlines()[-1] == (
        f"exec {sys.executable} -m ablate.grid.slurm.task {folder} --side-by-side=1 --max-timeouts=20 "
        '--warning=120 "$@"'
    )
    assert subprocess.run(["bash", "-n", folder / "job.sh"]).returncode == 0


def test_nodes_and_processes_of_a_run_are_asked_for(site, slurm):
    group = ["hydra.launcher.nodes=2", "hydra.launcher.processes=4", "hydra.launcher.gpus=4", "hydra.launcher.cpus=3"]
    site(*site.experiment(), SLURM, *group)
    (call,) = slurm.calls("sbatch")
    assert set(call) >= {"--nodes=2", "--ntasks-per-node=4", "--gres=gpu:4", "--cpus-per-task=3"}
    script = site.submission().folder / "job.sh"
    assert "srun --nodes=2 --ntasks-per-node=4 --cpus-per-task=3 --kill-on-bad-exit=1" in script.read_text()
    assert subprocess.run(["bash", "-n", script]).returncode == 0


def test_each_run_is_in_one_task(site):
    site(*site.experiment(seeds="0, 1, 2"), SLURM, "hydra.launcher.runs_per_task=4")
    submission = site.submission()
    assert [len(names) for names in submission.runs] == [4, 2]
    seen = [tree for index in range(2) for tree in task(submission.folder, index)[1]]
    assert sorted((tree["seed"], tree["shortcut"]["option"]) for tree in seen) == [
        (seed, option) for seed in range(3) for option in "AB"
    ]
    for index in (-1, 2):
        with pytest.raises(AblateError, match=f"has no task {index}: its tasks are 0 to 1"):
            task(submission.folder, index)
    (submission.folder / "plan.json").write_text("{")  # as if it had been cut short
    with pytest.raises(AblateError, match="is not a whole submission"):
        task(submission.folder, 0)
    assert list(read_submissions(site.runs)) == []


def test_grid_larger_than_the_largest_array_is_split(site, slurm):
    slurm.answers("scontrol", "SelectType = x\nMaxArraySize            = 4\n")
    site(*site.experiment(seeds="0, 1, 2, 3, 4"), SLURM)
    arrays = [next(word for word in call if word.startswith("--array")) for call in slurm.calls("sbatch")]
    assert arrays == ["--array=0-3", "--array=0-3", "--array=0-1"]
    assert sum(len(submission.runs) for submission in read_submissions(site.runs)) == 10


def test_queued_and_running_runs_are_not_submitted_again(site, slurm):
    words = site.experiment(seeds="0, 1")
    site(*words, SLURM)
    submission = site.submission()
    slurm.queue(
        (submission, 0, "RUNNING", "None"),
        (submission, 1, "PENDING", "Priority"),
        (submission, 2, "COMPLETING", "None"),  # about to end
    )
    with (slurm.folder / "squeue.answer").open("a") as file:
        file.write("80|3|RUNNING|None|n1|/another/user's | folder\n")
        file.write("squeue: scheduled maintenance on Monday\n77|N/A|RUNNING|None|n1|\n\n77|3|RUNNING\n")
    said = site(*words, SLURM)
    assert said.count(": already ") == 2
    assert "submitted 2 runs" in said
    assert set(by_run(site.runs)) == {name for names in submission.runs[:3] for name in names}


@pytest.mark.parametrize("comment", ["(null)", "", "project 12 | approved"])
def test_tasks_are_known_by_their_array_where_the_site_replaces_comments(comment, site, slurm):
    words = site.experiment(seeds="0, 1")
    site(*words, SLURM)
    slurm.answers("squeue", "".join(f"77|{index}|PENDING|Priority||{comment}\n" for index in range(3)))
    said = site(*words, SLURM)
    assert said.count(": already pending as 77_") == 3
    assert "submitted 1 runs" in said


@pytest.mark.parametrize("answer", ["Your project has 12 hours left\n77\n", "77;cluster-b\n", "\n 77 \n77\n"])
def test_number_of_a_job_is_found_among_other_lines(answer, site, slurm):
    slurm.answers("sbatch", answer)
    assert "as array 77 of 2 tasks" in site(*site.experiment(), SLURM)


@pytest.mark.parametrize("answer", ["", "Submitted batch job 77\n", "2026\n77\n"])
def test_answer_without_one_number_is_shown_and_the_submission_kept(answer, site, slurm):
    words = site.experiment()
    slurm.answers("sbatch", answer)
    said = site(*words, SLURM, status=1)
    assert f"sbatch printed {answer.strip()!r} where one job id was expected" in said
    slurm.queue(*((site.submission(), index, "PENDING", "Priority") for index in range(2)))
    assert "nothing to submit" in site(*words, SLURM)  # it was accepted


def test_status_joins_the_queue_with_the_records(site, slurm):
    site(*site.experiment(seeds="0, 1"), SLURM)
    submission = site.submission()
    slurm.queue((submission, 0, "PENDING", "Priority"), (submission, 1, "RUNNING", "None"))
    assert sorted(run["state"] for run in site.states().values()) == ["missing", "missing", "queued", "starting"]
    said = unwrapped(site("status", "--experiment", "drill"))
    assert "77_0, Priority" in said
    assert "77_1 running on n1" in said
    for log, ending in (("", "is empty or missing"), ("epoch 1\nno module\n\n", "ends with 'no module'")):
        submission.log(2).write_text(log)
        why = f"SLURM has no task for it, and {submission.log(2)} {ending}"
        assert why in [run["reason"] for run in site.states().values()]
        said = site("status", "--experiment", "drill", "--failed")
        assert f"missing: {why}\n" in said
    assert "  epoch 1\n  no module\n" in said


def test_failed_run_stays_failed_while_its_task_goes_on(site, slurm):
    words = [*site.experiment(shortcuts="bad"), SLURM, "hydra.launcher.runs_per_task=2"]
    status = ("status", "--experiment", "drill", "--failed")
    site(*words)
    submission = site.submission()
    finish(site.task(submission), 1)
    slurm.queue((submission, 0, "RUNNING", "None"))
    assert {run["state"] for run in site.states().values()} == {"failed"}
    assert site(*status).count("failed: ValueError: this shortcut fails\n") == 2
    said = site(*words)
    assert said.count(": failed, and its task 77_0 has not ended") == 2
    assert "already running" not in said
    slurm.queue((submission, 0, "PENDING", "BeginTime"))
    assert site(*status).count("failed: ValueError: this shortcut fails; queued again: 77_0, BeginTime") == 2
    assert site(*words).count(": already pending as 77_0") == 2


def test_records_are_shown_if_squeue_fails(site, slurm):
    site(*site.experiment(), SLURM)
    slurm.answers("squeue", "squeue: error: Unable to contact slurm controller\n", 1)
    said = site("status", "--experiment", "drill")
    assert "SLURM refused: Unable to contact slurm controller" in said
    assert "2 missing" in said


def test_array_accepted_after_a_timeout_is_not_submitted_twice(site, slurm):
    words = site.experiment()
    slurm.answers("sbatch", TIMED_OUT, 1)
    said = site(*words, SLURM, status=1)
    assert "Socket timed out" in said
    assert site.submission().array is None
    # The folder of the next submission is known only from its call.
    (slurm.folder / "squeue").write_text(
        f"#!{sys.executable}\nimport json\n"
        f"calls = [json.loads(line) for line in open({str(slurm.folder / 'calls.jsonl')!r})]\n"
        "last = [call for call in calls if call[0] == 'sbatch'][-1]\n"
        "folder = next(word for word in last if word.startswith('--comment=')).removeprefix('--comment=')\n"
        "print('91|0|PENDING|Priority||' + folder)\n"
    )
    assert "as array 91 of 2 tasks" in site(*site.experiment("second", seeds="5"), SLURM)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hydra.launcher.runs_per_task=0"], "hydra.launcher.runs_per_task must be a whole number, 1 or more, not 0"),
        (["hydra.launcher.gpus=one"], "hydra.launcher.gpus must be a whole number, 0 or more, not one"),
        (["hydra.launcher.nodes=0"], "hydra.launcher.nodes must be a whole number, 1 or more, not 0"),
        (["hydra.launcher.nodes=2", "hydra.launcher.side_by_side=2"], "side_by_side=2 is for runs of one process each"),
        (["hydra.launcher.gpus=2", "hydra.launcher.processes=4"], "processes=4 on a node need a GPU each, and"),
        (["hydra.launcher.processes=3"], "recipe.batch=64 cannot be divided among 3 processes"),
        (["hydra.launcher.time=soon"], "time=soon is not a time limit"),
        (["hydra.launcher.time=0"], "time=0 is not a time limit"),
        (["hydra.launcher.time=1"], "warning=120 is not below the time limit of 60 s"),
        (["hydra.launcher.warning=0"], "hydra.launcher.warning must be a whole number, 1 or more, not 0"),
        (["hydra.launcher.time=2", "hydra.launcher.warning=120"], "warning=120 is not below the time limit of 120 s"),
        (["hydra.launcher.warning=soon"], "hydra.launcher.warning must be a whole number, 1 or more, not soon"),
        (["hydra.launcher.cpus=true"], "hydra.launcher.cpus must be a whole number, 1 or more, not true"),
        (["hydra.launcher.at_once=0"], "hydra.launcher.at_once must be a whole number, 1 or more, not 0"),
        (["hydra.launcher.wait=2"], "hydra.launcher.wait must be true or false, not 2"),
        (["hydra.launcher.setup=module load cuda"], "setup=module load cuda is not a list of words"),
        (["hydra.launcher.setup=[[a]]"], "setup=[['a']] is not a list of words"),
        (["hydra.launcher.options=--exclusive"], "options=--exclusive is not a list of words"),
        (["hydra.launcher.options=[exclusive]"], "'exclusive' in hydra.launcher.options is not an option"),
        (["hydra.launcher.options=['--output=x']"], "'--output=x' in hydra.launcher.options is set by ablate itself"),
        (["hydra.launcher.options=['-Jx']"], "'-Jx' in hydra.launcher.options is set by ablate itself"),
        (["hydra.launcher.partition=[a,b]"], "partition=['a', 'b'] is not a word"),
        (["hydra.launcher.account=true"], "account=True is not a word"),
        (["+hydra.launcher.partion=gpu"], "no key 'hydra.launcher.partion'; did you mean 'hydra.launcher.partition'?"),
        (["cluster=nowhere"], "cluster 'nowhere' is unknown"),
        (["fail_fast=true", "name=study"], "fail_fast=true is for the runs of one machine"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_wrong_setting_is_refused_in_one_sentence(words, said, ask, slurm, tmp_path):
    outcome = ask("-m", SLURM, "seed=0,1", *words)
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    assert said in line
    assert not slurm.calls("sbatch")
    assert not (tmp_path / "runs").exists()  # no plan of what was never submitted


@pytest.mark.parametrize(
    ("limit", "total"),
    [(90, 90), ("90", 90), ("90:30", 90.5), ("04:00:00", 240), ("1-0", 1440), ("2-12:30", 3630), (None, None)],
)
def test_time_limits_in_slurms_notation(limit, total):
    assert minutes(limit) == total


@pytest.mark.parametrize("limit", ["", "x", "1:2:3:4", "1-2:3:4:5", "-", "-5", "0"])
def test_invalid_time_limits(limit):
    with pytest.raises(ConfigError):
        minutes(limit)


def test_grid_in_several_folders_is_refused(site, slurm):
    assert "results has several values" in site("-m", SLURM, "depth=8", "results=one,two", status=2)
    assert not slurm.calls("sbatch")


def test_text_may_be_a_number(site, slurm):
    site(*site.experiment(), SLURM, "hydra.launcher.account=4711", "hydra.launcher.memory=8000")
    assert {"--account=4711", "--mem=8000"} <= set(slurm.calls("sbatch")[0])


def test_failing_setup_command_ends_the_task(site):
    setup = "hydra.launcher.setup=['true; cd .','module load \"no such\"','touch reached']"
    site(*site.experiment(), SLURM, setup)
    done = subprocess.run(["bash", site.submission().folder / "job.sh", "0"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == 'ablate: hydra.launcher.setup: status 127 of the command: module load "no such"\n'
    assert not (site.folder / "reached").exists()


def test_signs_that_slurm_replaces_in_names_of_logs(tmp_path, slurm, monkeypatch):
    site = Site(tmp_path / "50% of %a", {"PATH": os.environ["PATH"]})
    site(*site.experiment(), SLURM)
    (call,) = slurm.calls("sbatch")
    folder = str(site.submission().folder).replace("50% of %a", "50%% of %%a")
    assert f"--output={folder}/%a.log" in call
    site = Site(tmp_path / "back\\slash", {"PATH": os.environ["PATH"]})
    assert "has a backslash in its name, which SLURM removes: use results=FOLDER" in site(
        *site.experiment(), SLURM, status=1
    )


def test_grid_without_a_name_is_known_to_status(site, slurm):
    site("-m", SLURM, "seed=0,1,2", "depth=8")
    submission = site.submission()
    slurm.queue((submission, 0, "PENDING", "Priority"), (submission, 1, "RUNNING", "None"))
    found = json.loads(site("status", "--json"))
    assert found["states"] == {"queued": 1, "starting": 1, "missing": 1}
    assert found["unread"] == []
    plan = submission.folder / "plan.json"
    plan.write_text(json.dumps({**json.loads(plan.read_text()), "schema": 0}))  # another version's
    assert "holds no runs" in site("status", status=1)


def test_unquoted_time_is_not_read_as_days(site):
    file = site.folder / "my" / "cluster" / "mine.yaml"
    file.write_text("# @package hydra.launcher\ntime: 12:00:00\n")
    said = site(*site.experiment(), SLURM, "cluster=mine", status=2)
    assert "hydra.launcher.time=43200 is 30 days: quote it" in said
    file.write_text("# @package hydra.launcher\ntime: '12:00:00'\npartition: our own\n")
    site(*site.experiment(), SLURM, "cluster=mine")
    sbatch = shlex.split((site.submission().folder / "sbatch.txt").read_text())
    assert {"--time=12:00:00", "--partition=our own"} <= set(sbatch)
    assert minutes("30-0") == 43200


def test_every_site_file_submits(ask, slurm):
    names = sorted(path.stem for path in (ROOT / "slurm" / "cluster").glob("*.yaml"))
    assert len(names) >= 4
    for name in names:
        assert ask("-m", "depth=8", SLURM, f"cluster={name}").status == 0
    assert len(slurm.calls("sbatch")) == len(names)


def test_guide_works_as_printed(site, slurm):
    guide = (ROOT / "slurm" / "README.md").read_text()
    (mine,) = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    (site.folder / "sites" / "cluster").mkdir(parents=True)
    (site.folder / "sites" / "cluster" / "mine.yaml").write_text(textwrap.dedent(mine))
    lines = [shlex.split(line, comments=True) for line in re.findall(r"^ +(ablate .*)$", guide, re.MULTILINE)]
    runs = [words[1:] for words in lines if words[1] not in commands.names()]
    for words in lines:
        if words[1:] not in runs:
            commands.parser(words[1]).parse_intermixed_args(words[2:])
    for words in runs:
        smaller = ["depth=8", "seed=0"] if "-m" in words else []
        if SLURM in words:
            assert "submitted 16 runs" in site(*words, *smaller)
        else:
            assert "would train" in site(*words, *smaller, "dry_run=true")
    (call,) = slurm.calls("sbatch")
    assert {"--account=your_account", "--time=240", "--mem=16G", "--cpus-per-task=4"} <= set(call)


def test_watch_continues_if_squeue_fails_once(record, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(launcher, "INTERVAL", 0.01)
    answers = iter([AblateError("SLURM refused: Unable to contact slurm controller"), {}])

    def answer(folder):
        if isinstance(found := next(answers), AblateError):
            raise found
        return found

    monkeypatch.setattr(launcher, "by_run", answer)
    outcomes = launcher.watch([record(f"results={tmp_path}")])
    assert [outcome.message for outcome in outcomes] == ["its task ended without a result"]
    assert "Unable to contact slurm controller; trying again" in capsys.readouterr().err


def test_cancel_affects_one_experiment(site, slurm):
    for name, array in (("first", "77"), ("second", "78")):
        slurm.answers("sbatch", f"{array}\n")
        site(*site.experiment(name), SLURM)
    first, second = sorted(read_submissions(site.runs), key=lambda submission: submission.job_name)
    slurm.queue(*((submission, index, "PENDING", "Priority") for submission in (first, second) for index in (0, 1)))
    said = site("cancel", "--experiment", "first", status=2)
    assert "2 pending: add --yes" in said
    assert not slurm.calls("scancel")
    assert "cancelled 2 pending" in site("cancel", "--experiment", "first", "--yes")
    assert slurm.calls("scancel") == [["77_0", "77_1"]]
    said = site("cancel", "--experiment", "third", status=1)
    assert "submitted were: first, second" in said


def test_different_experiments_have_different_folders():
    names = ["my-exp", "my_exp", "my exp", "my  exp", "grid", None, "x" * 60, "x" * 61, "x" * 62, "é", "ê"]
    assert len({folder_of(name) for name in names}) == len(names)
    assert [folder_of(name) for name in ("my-exp", "my_exp", "a.b", None)] == ["my-exp", "my_exp", "a.b", "grid"]
    for name in names:
        assert re.fullmatch(r"[\w.-]{1,70}", folder_of(name), re.ASCII)


def test_printed_command_cancels_a_grid_without_an_experiment(site, slurm):
    said = site("-m", SLURM, "seed=0,1")
    (line,) = (line for line in said.splitlines() if line.startswith("to cancel: "))
    slurm.answers("sbatch", "78\n")
    site(*site.experiment("grid"), SLURM)  # the name of the folder of grids without an experiment
    unnamed, named = sorted(read_submissions(site.runs), key=lambda submission: submission.job_name)
    assert unnamed.job_name == "ablate-grid"
    slurm.queue((named, 1, "PENDING", "Priority"), (unnamed, 0, "PENDING", "Priority"))
    site(*shlex.split(line)[3:], "--yes")
    assert slurm.calls("scancel") == [["77_0"]]


def test_scancel_is_called_for_all_tasks_if_one_call_fails(slurm, monkeypatch):
    monkeypatch.setattr(client, "CANCEL_AT_ONCE", 2)
    slurm.answers("scancel", "scancel: error: Kill job error on job id 7_0: Socket timed out\n", 1)
    tasks = [client.Task("7", index, "RUNNING", "None", "n1", "") for index in range(5)]
    with pytest.raises(AblateError, match="Kill job error on job id 7_0"):
        client.cancel(tasks)
    assert slurm.calls("scancel") == [["7_0", "7_1"], ["7_2", "7_3"], ["7_4"]]


def test_refused_submission_leaves_no_folder(site, slurm):
    slurm.answers("sbatch", "sbatch: error: invalid partition specified: gpu\n", 1)
    site(*site.experiment(), SLURM, status=1)
    assert not list((site.runs / "_jobs").iterdir())
    assert {run["state"] for run in site.states().values()} == {"missing"}


def test_submission_without_an_answer_does_not_hide_an_earlier_one(site, slurm):
    words = site.experiment()
    site(*words, SLURM)
    first = site.submission().folder
    slurm.answers("sbatch", TIMED_OUT, 1)
    site(*words, SLURM, status=1)
    slurm.program("sacct")
    slurm.answers("sacct", "77_0|OUT_OF_MEMORY\n77_1|CANCELLED by 1000\n")
    said = site("status", "--experiment", "drill", "--failed")
    assert [call[3] for call in slurm.calls("sacct")] == ["--jobs=77"]
    for index, end in enumerate(("OUT_OF_MEMORY", "CANCELLED by 1000")):
        assert f"SLURM's accounting says {end}, and {first / f'{index}.log'} is empty or missing" in said


def test_last_line_of_slurms_answer_is_the_error(slurm):
    slurm.answers("scontrol", "slurm_update error: Invalid job id specified\nJob 9 requeue failed\n", 1)
    with pytest.raises(AblateError, match="SLURM refused: Job 9 requeue failed"):
        client.requeue("9")


def test_cluster_tests_are_skipped_without_slurm_but_not_in_ci(tmp_path, monkeypatch):
    monkeypatch.setattr(slurm_cluster, "PATH", "/nonexistent")
    monkeypatch.delenv("CI", raising=False)
    assert "munged, slurmctld" in slurm_cluster.reason_to_skip()
    monkeypatch.setenv("CI", "true")
    assert slurm_cluster.reason_to_skip() == ""
    with pytest.raises(slurm_cluster.NotInstalled, match="apt-get install"):
        slurm_cluster.Cluster(tmp_path).start()
