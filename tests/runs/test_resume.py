"""Runs that are killed, stopped, starved of disk, raced for: they end as if nothing had happened, or say what did."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ablate.base.signals import SIGNALS
from ablate.runs.reading import TIMES
from tests.waiting import LIMIT, held, until

DRILL = Path(__file__).parents[1] / "drill.py"
TINY = ("depth=8", "threads=1", "shortcut=dropout", "epochs=3")


def drill(*words):
    answer = subprocess.run([sys.executable, DRILL, *map(str, words)], capture_output=True, text=True, timeout=LIMIT)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def start(folder, *overrides, grid=False, **options):
    command = [sys.executable, "-m", "ablate", *(["-m"] if grid else []), *TINY, f"results={folder}", *overrides]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def finish(process):
    out, err = process.communicate(timeout=LIMIT)
    return process.returncode, out, err


def only(folder):
    (found,) = (path for path in folder.iterdir() if path.name[0] not in "_.")
    return found


def result(folder):
    return json.loads((only(folder) / "result.json").read_text())


def metrics(folder):
    lines = [json.loads(line) for line in (only(folder) / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    assert finish(start(folder))[0] == 0
    return result(folder), metrics(folder)


def test_twenty_deaths_leave_no_trace(tmp_path):
    answer = drill("kill", tmp_path, "--kills", 20)
    assert answer["deaths"] == 20
    assert answer["resumed"] >= answer["at least"] > 5
    assert answer["same weights"]
    assert answer["same metrics"]
    assert answer["same result"]
    assert not [name for name in answer["left over"] if name.startswith((".", "holder", "checkpoint"))]


def test_of_two_that_ask_at_once_one_trains(tmp_path):
    answer = drill("race", tmp_path, "--rounds", 8)
    assert answer["trained"] == answer["stood back"] == [1] * 8
    assert answer["exit statuses"] == [0]


def test_each_signal_ends_a_run_in_good_order(tmp_path, undisturbed):
    runs, own = tmp_path / "runs", held(tmp_path, "Dropout", step=12)
    for number in SIGNALS:
        (tmp_path / "hold").touch()
        process = start(runs, own, cwd=tmp_path)
        until((tmp_path / "waits").exists, process, "a run that waits")
        process.send_signal(number)
        (tmp_path / "hold").unlink()
        status, _, err = finish(process)
        (tmp_path / "waits").unlink()
        assert status == 128 + number
        assert number.name in err
        assert "Traceback" not in err
        stopped = result(runs)
        assert stopped["status"] == "interrupted"
        assert stopped["test_error"] is None
        assert not list(runs.glob("*/lock-*"))
    status, out, _ = finish(start(runs, own, cwd=tmp_path))
    assert status == 0
    assert "from step 48" in out
    assert result(runs)["weights_sha256"] == undisturbed[0]["weights_sha256"]
    assert result(runs)["resumed"] == len(SIGNALS) == 4
    assert metrics(runs) == undisturbed[1]


def test_a_broken_checkpoint_costs_time_and_not_the_run(tmp_path, undisturbed):
    runs, own = tmp_path / "runs", held(tmp_path, "Dropout", step=31)
    process = start(runs, own, "checkpoint.steps=1", cwd=tmp_path)
    until(lambda: list(runs.glob("*/checkpoint.old.pt")), process, "two checkpoints")
    process.kill()
    process.communicate()
    (tmp_path / "hold").unlink()
    path = only(runs) / "checkpoint.pt"
    if not path.exists():  # it has died between the two renames
        path.write_bytes((only(runs) / "checkpoint.old.pt").read_bytes())
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)
    status, _, err = finish(start(runs, own, cwd=tmp_path))
    assert status == 0
    assert "checkpoint.pt is broken" in err
    assert result(runs)["weights_sha256"] == undisturbed[0]["weights_sha256"]


def limited(size):
    """A disk that takes no file of more than `size` bytes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_disk_that_takes_no_checkpoint_costs_none_of_the_run(tmp_path, undisturbed):
    status, _, err = finish(start(tmp_path, "checkpoint.steps=20", preexec_fn=limited(100_000)))
    assert status == 0
    assert "no checkpoint at step 20: File too large" in err
    assert "no checkpoint at step 40" in err
    assert result(tmp_path)["weights_sha256"] == undisturbed[0]["weights_sha256"]
    assert not [
        path for path in only(tmp_path).iterdir() if path.name.startswith((".writing", "checkpoint", "weights"))
    ]


def test_a_disk_that_takes_no_result_is_said_and_the_run_can_be_finished(tmp_path, undisturbed):
    status, _, err = finish(start(tmp_path, preexec_fn=limited(1_200)))
    assert status == 1
    assert "result.json cannot be written: File too large" in err
    assert "Traceback" not in err
    assert not [path.name for path in only(tmp_path).iterdir() if path.name.startswith((".writing", "result"))]
    assert finish(start(tmp_path))[0] == 0
    assert result(tmp_path)["weights_sha256"] == undisturbed[0]["weights_sha256"]


def test_a_gpu_without_memory_says_what_to_change(tmp_path):
    (tmp_path / "hungry.py").write_text(
        "import torch\n"
        "class Hungry(torch.nn.Module):\n"
        "    def __init__(self, *_): super().__init__()\n"
        "    def forward(self, x, residual):\n"
        "        if self.training: raise torch.OutOfMemoryError('CUDA out of memory')\n"
        "        return residual\n"
    )
    runs = tmp_path / "runs"
    status, _, err = finish(start(runs, "shortcut._target_=hungry.Hungry", cwd=tmp_path))
    assert status == 1
    assert len(err.splitlines()) == 1
    assert result(runs)["status"] == "failed"
    for said in (err, result(runs)["reason"]):
        assert "memory ran out" in said
        assert "recipe.batch" in said


def test_a_run_that_raises_is_failed_with_its_reason_and_is_tried_again(tmp_path):
    module = tmp_path / "mine.py"
    module.write_text(
        "import os, torch\n"
        "class Mine(torch.nn.Module):\n"
        "    def __init__(self, *_): super().__init__()\n"
        "    def forward(self, x, residual):\n"
        "        if self.training and 'BROKEN' in os.environ: raise KeyError('no such thing')\n"
        "        return residual\n"
    )
    runs = tmp_path / "runs"
    status, _, err = finish(start(runs, "shortcut._target_=mine.Mine", cwd=tmp_path, env={**os.environ, "BROKEN": "1"}))
    assert status == 1
    assert "KeyError" in err
    assert result(runs)["reason"] == "KeyError: 'no such thing'"
    assert "Traceback" in (only(runs) / "run.log").read_text()
    assert finish(start(runs, "shortcut._target_=mine.Mine", cwd=tmp_path))[0] == 0
    assert result(runs)["status"] == "finished"


def test_a_process_of_a_grid_that_is_killed_takes_its_run_alone(tmp_path):
    """And the same command then completes the grid, in the bits of a grid that nothing happened to."""
    grid = (held(tmp_path, "Dropout", step=60), "shortcut.p=0.0,0.5", "seed=0,1,2", "checkpoint.steps=5")

    def launch(folder):
        return start(folder, *grid, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", grid=True, cwd=tmp_path)

    process = launch(tmp_path / "a")
    until(lambda: list(tmp_path.glob("a/*/checkpoint.pt")), process, "a checkpoint")
    moment = random.uniform(0, 1)  # any will do, and this one is another each time
    time.sleep(moment)
    lock = random.choice(list(tmp_path.glob("a/*/lock-*.json")))
    victim = lock.parent
    os.kill(json.loads(lock.read_text())["pid"], signal.SIGKILL)
    (tmp_path / "hold").unlink()
    status, _, err = finish(process)
    assert status == 1, (victim, moment)
    assert f"{victim.name} failed: its process was killed" in err
    assert str(victim / "run.log") in err
    assert len(list(tmp_path.glob("a/*/result.json"))) == 5
    status, out, err = finish(launch(tmp_path / "a"))
    assert status == 0, err
    assert "6 runs in the grid, 1 to train" in out
    assert finish(launch(tmp_path / "b"))[0] == 0
    for one in tmp_path.glob("a/digits-*"):
        again = json.loads((tmp_path / "b" / one.name / "result.json").read_text())
        assert json.loads((one / "result.json").read_text())["weights_sha256"] == again["weights_sha256"]


def test_rerun_keeps_the_old_folder_aside(tmp_path, undisturbed):
    assert finish(start(tmp_path))[0] == 0
    (only(tmp_path) / "mark").write_text("old")
    assert "already trained" in finish(start(tmp_path, "rerun=failed"))[1]
    assert finish(start(tmp_path, "rerun=all"))[0] == 0
    assert not (only(tmp_path) / "mark").exists()
    (aside,) = (tmp_path / "_archived").iterdir()
    assert (aside / "mark").read_text() == "old"
    assert result(tmp_path)["weights_sha256"] == undisturbed[0]["weights_sha256"]


def test_no_process_outlives_the_grid_that_started_it(tmp_path):
    """Killed, the parent tells nobody; the runs under way keep what they have computed."""
    process = start(tmp_path, "epochs=200", "seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", grid=True)
    until(lambda: list(tmp_path.glob("*/metrics.jsonl")), process, "a run")
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    process.kill()
    _, alive = psutil.wait_procs(workers, timeout=LIMIT)
    for worker in alive:
        worker.kill()
    process.communicate()
    assert not alive
    assert list(tmp_path.glob("*/checkpoint.pt"))
    assert not list(tmp_path.glob("*/lock-*"))
