"""What is submitted and made of SLURM's answers, with stand-ins for its programs; test_slurm.py has the real."""

import os
import re
import shlex
import subprocess
import sys

import pytest

from ablate.base.errors import AblateError, ConfigError
from ablate.grid.slurm import client as slurm
from ablate.grid.slurm import launcher
from ablate.grid.slurm.launcher import SlurmLauncher, minutes
from ablate.grid.slurm.state import places
from ablate.grid.slurm.submission import read_submissions, safe, task
from tests.grid.slurm.conftest import ROOT, Site

SLURM = "hydra/launcher=slurm"


def test_without_slurm_it_is_one_sentence_and_2(tmp_path):
    place = Site(tmp_path / "site", {"PATH": "/nonexistent"})
    said = place("-m", SLURM, "seed=0,1", status=2)
    assert len(said.splitlines()) == 1
    assert "sbatch was not found" in said
    assert "hydra/launcher=joblib" in said
    assert not place.runs.exists()


def test_an_array_is_what_was_asked_for(site, stand):
    words = site.experiment("drill", seeds="0, 1, 2")
    said = site(*words, SLURM, "cluster=gpu", "hydra.launcher.at_once=2", "hydra.launcher.options=['--exclusive']")
    (call,) = stand.calls("sbatch")
    (submission,) = read_submissions(site.runs)
    assert "submitted 6 runs as array 77 of 6 tasks" in said
    for word in (
        *("--parsable", "--job-name=ablate-drill", "--array=0-5%2", "--requeue", "--open-mode=append"),
        *("--signal=B:USR1@120", "--partition=gpu", "--time=240", "--gres=gpu:1", "--cpus-per-task=4", "--mem=16G"),
        *(f"--comment={submission.folder}", f"--output={submission.folder}/%a.log", "--exclusive"),
    ):
        assert word in call
    assert call[-1] == str(submission.folder / "job.sh")
    script = (submission.folder / "job.sh").read_text()
    assert script.splitlines()[-1] == (
        f"exec {sys.executable} -m ablate.grid.slurm.task {submission.folder} --side-by-side=1 --max-timeouts=20 "
        '--warning=120 "$@"'
    )
    assert subprocess.run(["bash", "-n", submission.folder / "job.sh"], check=False).returncode == 0


def test_every_task_has_its_runs_and_no_other(site, stand):
    site(*site.experiment("drill", seeds="0, 1, 2"), SLURM, "hydra.launcher.runs_per_task=4")
    (submission,) = read_submissions(site.runs)
    assert [len(names) for names in submission.runs] == [4, 2]
    seen = [tree for index in range(2) for tree in task(submission.folder, index)[1]]
    assert sorted((tree["seed"], tree["shortcut"]["option"]) for tree in seen) == [
        (seed, option) for seed in range(3) for option in "AB"
    ]
    for index in (-1, 2):
        with pytest.raises(AblateError, match="no task"):
            task(submission.folder, index)


def test_a_grid_larger_than_the_largest_array_is_several(site, stand):
    stand.answers("scontrol", "SelectType = x\nMaxArraySize            = 4\n")
    site(*site.experiment("drill", seeds="0, 1, 2, 3, 4"), SLURM)
    arrays = [next(word for word in call if word.startswith("--array")) for call in stand.calls("sbatch")]
    assert arrays == ["--array=0-3", "--array=0-3", "--array=0-1"]
    assert sum(len(submission.runs) for submission in read_submissions(site.runs)) == 10


def test_what_is_queued_or_running_is_not_submitted_again(site, stand):
    words = site.experiment("drill", seeds="0, 1")
    site(*words, SLURM)
    (submission,) = read_submissions(site.runs)
    lines = [
        f"77|0|RUNNING|None|n1|{submission.folder}",
        f"77|1|PENDING|Priority||{submission.folder}",
        f"77|2|COMPLETING|None|n1|{submission.folder}",  # it is at its end, whatever that was
        "80|3|RUNNING|None|n1|/somebody/else's | folder",
    ]
    stand.answers("squeue", "\n".join(lines) + "\n")
    said = site(*words, SLURM)
    assert said.count(": already ") == 2
    assert "submitted 2 runs" in said
    assert set(places(site.runs)) == {name for names in submission.runs[:3] for name in names}


def test_status_joins_the_queue_with_the_records(site, stand, monkeypatch):
    words = site.experiment("drill", seeds="0, 1")
    site(*words, SLURM)
    (submission,) = read_submissions(site.runs)
    stand.answers("squeue", f"77|0|PENDING|Priority||{submission.folder}\n77|1|RUNNING|None|n2|{submission.folder}\n")
    states = {name: run["state"] for name, run in site.states("drill").items()}
    assert sorted(states.values()) == ["lost", "lost", "queued", "starting"]
    said = site("--experiment", "drill", module="ablate", "status", COLUMNS="250")
    assert "77_0, Priority" in said
    assert "77_1 running on n2" in said
    assert "SLURM knows nothing of it" in said


def test_a_run_that_has_failed_is_told_so_whatever_its_task_does(site, stand):
    words = [*site.experiment("drill", shortcuts="bad"), SLURM, "hydra.launcher.runs_per_task=2"]
    site(*words)
    (submission,) = read_submissions(site.runs)
    site(str(submission.folder), "0", module="ablate.grid.slurm.task", SLURM_JOB_ID="77", status=1)
    stand.answers("squeue", f"77|0|RUNNING|None|n1|{submission.folder}\n")
    assert {run["state"] for run in site.states("drill").values()} == {"failed"}
    said = site("--experiment", "drill", "--failed", module="ablate", "status")
    assert said.count("failed: ValueError: this shortcut has had enough\n") == 2
    said = site(*words)
    assert said.count(": has failed, and its task 77_0 has not ended") == 2
    assert "already running" not in said
    stand.answers("squeue", f"77|0|PENDING|BeginTime||{submission.folder}\n")
    said = site("--experiment", "drill", "--failed", module="ablate", "status")
    assert said.count("failed: ValueError: this shortcut has had enough; queued again: 77_0, BeginTime") == 2
    assert site(*words).count(": already pending as 77_0") == 2


def test_a_cluster_that_does_not_answer_hides_no_record(site, stand):
    site(*site.experiment("drill"), SLURM)
    stand.answers("squeue", "squeue: error: Unable to contact slurm controller\n", 1)
    said = site("--experiment", "drill", module="ablate", "status")
    assert "what SLURM has is not shown: SLURM refused: Unable to contact slurm controller" in said
    assert "2 missing" in said


def test_an_array_that_was_taken_though_the_answer_came_too_late_is_not_submitted_twice(site, stand):
    words = site.experiment("drill")
    stand.answers("sbatch", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n", 1)
    said = site(*words, SLURM, status=1)
    assert "Socket timed out" in said
    (submission,) = read_submissions(site.runs)
    assert submission.array is None
    # The next one's folder is not known before it is made: the stand-in reads it from the call.
    (stand.folder / "squeue").write_text(
        f"#!{sys.executable}\nimport json\n"
        f"calls = [json.loads(line) for line in open({str(stand.folder / 'calls.jsonl')!r})]\n"
        "last = [call for call in calls if call[0] == 'sbatch'][-1]\n"
        "folder = next(word for word in last if word.startswith('--comment=')).removeprefix('--comment=')\n"
        "print('91|0|PENDING|Priority||' + folder)\n"
    )
    stand.answers("sbatch", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n", 1)
    assert "as array 91 of 2 tasks" in site(*site.experiment("second", seeds="5"), SLURM)


@pytest.mark.parametrize(
    "words",
    [
        ["hydra.launcher.runs_per_task=0"],
        ["hydra.launcher.gpus=one"],
        ["hydra.launcher.time=soon"],
        ["hydra.launcher.time=0"],
        ["hydra.launcher.time=1"],  # half as long as the warning
        ["hydra.launcher.warning=0"],
        ["hydra.launcher.time=2", "hydra.launcher.warning=120"],
        ["hydra.launcher.warning=soon"],
        ["hydra.launcher.cpus=true"],
        ["cluster=nowhere"],
    ],
    ids=" ".join,
)
def test_a_wrong_setting_is_one_sentence_and_2(words, site, stand):
    said = site("-m", SLURM, "seed=0,1", *words, status=2)
    assert len(said.splitlines()) == 1
    assert not stand.calls("sbatch")


@pytest.mark.parametrize(
    ("limit", "told"),
    [(90, 90), ("90", 90), ("90:30", 90.5), ("04:00:00", 240), ("1-0", 1440), ("2-12:30", 3630), (None, None)],
)
def test_a_time_limit_is_read_as_slurm_reads_it(limit, told):
    assert minutes(limit) == told


@pytest.mark.parametrize("limit", ["", "x", "1:2:3:4", "1-2:3:4:5", "-", "-5", "0"])
def test_what_is_no_time_limit(limit):
    with pytest.raises(ConfigError):
        minutes(limit)


def test_a_time_without_its_quotes_is_not_taken_for_days(site, stand):
    (site.folder / "my" / "cluster").mkdir()
    file = site.folder / "my" / "cluster" / "mine.yaml"
    file.write_text("# @package hydra.launcher\ntime: 12:00:00\n")
    said = site(*site.experiment("drill"), SLURM, "cluster=mine", status=2)
    assert "hydra.launcher.time=43200 is 30 days: quote it" in said
    file.write_text("# @package hydra.launcher\ntime: '12:00:00'\n")
    site(*site.experiment("drill"), SLURM, "cluster=mine")
    assert minutes("30-0") == 43200


def test_every_cluster_file_submits(site, stand):
    names = sorted(path.stem for path in (ROOT / "slurm" / "cluster").glob("*.yaml"))
    assert len(names) >= 4
    for name in names:
        site(*site.experiment(name), SLURM, f"cluster={name}")
    assert len(stand.calls("sbatch")) == len(names)


def test_a_watch_outlives_a_controller_that_does_not_answer(resolve, stand, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(launcher, "LOOK", 0.01)
    looks = iter([AblateError("SLURM refused: Unable to contact slurm controller"), {}])

    def look(folder):
        if isinstance(answer := next(looks), AblateError):
            raise answer
        return answer

    monkeypatch.setattr(launcher, "places", look)
    outcomes = SlurmLauncher._watch(None, [resolve(f"results={tmp_path}")])
    assert [outcome.message for outcome in outcomes] == ["its task has ended without a result"]
    assert "Unable to contact slurm controller; looking again" in capsys.readouterr().err


def test_a_site_file_of_ones_own(site, stand):
    (site.folder / "my" / "cluster").mkdir()
    (site.folder / "my" / "cluster" / "mine.yaml").write_text("# @package hydra.launcher\npartition: our own\n")
    site(*site.experiment("drill"), SLURM, "cluster=mine")
    assert "--partition=our own" in stand.calls("sbatch")[0]


def test_cancel_names_the_tasks_of_one_experiment(site, stand):
    for name in ("first", "second"):
        site(*site.experiment(name), SLURM)
    folders = {submission.experiment: submission.folder for submission in read_submissions(site.runs)}
    lines = [f"{array}|{task}|PENDING|Priority||{folders[name]}" for array, name in ((5, "first"), (6, "second"))
             for task in (0, 1)]  # fmt: skip
    stand.answers("squeue", "\n".join(lines) + "\n")
    said = site("--experiment", "first", module="ablate", "cancel", status=2)
    assert "2 pending: add --yes" in said
    assert not stand.calls("scancel")
    site("--experiment", "first", "--yes", module="ablate", "cancel")
    assert stand.calls("scancel") == [["5_0", "5_1"]]
    said = site("--experiment", "third", module="ablate", "cancel", status=1)
    assert "submitted were: first, second" in said


def test_no_two_experiments_share_a_name_of_their_own():
    names = ["my-exp", "my_exp", "my exp", "my  exp", "grid", None, "x" * 60, "x" * 61, "x" * 62, "é", "ê"]
    assert len({safe(name) for name in names}) == len(names)
    assert [safe(name) for name in ("my-exp", "my_exp", "a.b", None)] == ["my-exp", "my_exp", "a.b", "grid"]
    for name in names:
        assert re.fullmatch(r"[\w.-]{1,70}", safe(name), re.ASCII)


def test_the_command_that_ends_a_grid_without_a_name_does(site, stand):
    said = site("-m", SLURM, "seed=0,1")
    (line,) = (line for line in said.splitlines() if line.startswith("to end it: "))
    site(*site.experiment("grid"), SLURM)
    folders = {submission.experiment: submission.folder for submission in read_submissions(site.runs)}
    lines = [f"{5 + n}|0|PENDING|Priority||{folders[name]}" for n, name in enumerate(sorted(folders))]
    stand.answers("squeue", "\n".join(lines) + "\n")
    assert sorted(folders)[0] == "grid"
    site(*shlex.split(line)[6:], "--yes", module="ablate", "cancel")
    assert stand.calls("scancel") == [["5_0"]]


def test_a_refusal_in_one_call_of_scancel_keeps_no_other_from_being_made(stand, monkeypatch):
    monkeypatch.setattr(slurm, "MANY", 2)
    stand.answers("scancel", "scancel: error: Kill job error on job id 7_0: Socket timed out\n", 1)
    tasks = [slurm.Task("7", index, "RUNNING", "None", "n1", "") for index in range(5)]
    with pytest.raises(AblateError, match="Kill job error on job id 7_0"):
        slurm.cancel(tasks)
    assert stand.calls("scancel") == [["7_0", "7_1"], ["7_2", "7_3"], ["7_4"]]


def test_what_sbatch_refuses_leaves_nothing(site, stand):
    words = site.experiment("drill")
    stand.answers("sbatch", "sbatch: error: invalid partition specified: gpu\n", 1)
    site(*words, SLURM, status=1)
    assert not list((site.runs / "_jobs").iterdir())
    assert {run["state"] for run in site.states("drill").values()} == {"missing"}


def test_a_submission_whose_answer_never_came_hides_no_earlier_one(site, stand):
    words = site.experiment("drill")
    site(*words, SLURM)
    stand.answers("sbatch", "sbatch: error: Socket timed out on send/recv operation\n", 1)
    site(*words, SLURM, status=1)
    stand.program("sacct")
    stand.answers("sacct", "77_0|OUT_OF_MEMORY\n77_1|CANCELLED by 1000\n")
    said = site("--experiment", "drill", "--failed", module="ablate", "status")
    assert [call[3] for call in stand.calls("sacct")] == ["--jobs=77"]
    (first,) = (submission.folder for submission in read_submissions(site.runs) if submission.array)
    for index, end in enumerate(("OUT_OF_MEMORY", "CANCELLED by 1000")):
        assert f"SLURM, whose accounting says {end}, knows nothing of it: see {first / f'{index}.log'}" in said


@pytest.mark.parametrize(("ci", "status"), [({}, 0), ({"CI": "true"}, 1)], ids=["here", "CI"])
def test_without_slurm_its_suite_skips_but_not_in_ci(ci, status):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "slurm", "-k", "refusal"]
    env = {key: value for key, value in os.environ.items() if key != "CI"} | {"PATH": "/nonexistent", **ci}
    done = subprocess.run(
        [*command, "tests/cluster/test_slurm.py"], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout
    assert ("1 skipped" in done.stdout) == (not ci)
    assert ("sbatch" in done.stdout) == bool(ci)


def test_a_submission_that_was_cut_short_is_none(site, stand):
    site(*site.experiment("drill"), SLURM)
    (submission,) = read_submissions(site.runs)
    (submission.folder / "plan.json").write_text("{")
    assert list(read_submissions(site.runs)) == []


def test_what_slurm_says_in_one_line(stand):
    stand.answers("scontrol", "slurm_update error: Invalid job id specified\nJob 9 requeue failed\n", 1)
    with pytest.raises(AblateError, match="SLURM refused: Job 9 requeue failed"):
        slurm.requeue("9")
