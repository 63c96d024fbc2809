"""Runs that are killed, stopped, short of disk or memory, or started twice: real processes."""

import json
import os
import pty
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ablate.base.signals import SIGNALS
from ablate.runs import layout
from ablate.runs.reading import TIMES
from ablate.runs.stopping import Stopping
from tests.forked import Command
from tests.waiting import LIMIT, held, until

DRILL = Path(__file__).parents[1] / "drill.py"
TINY = ("depth=8", "threads=1", "shortcut=dropout", "epochs=2", "results=runs")  # 40 steps


def drill(*words):
    answer = subprocess.run([sys.executable, DRILL, *map(str, words)], capture_output=True, text=True, timeout=LIMIT)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return json.loads(answer.stdout)


@pytest.fixture
def start(tmp_path):
    """Starts a run of TINY in tmp_path, in a process of its own."""
    return lambda *overrides, **options: Command(*TINY, *overrides, cwd=tmp_path, **options)


def finish(process):
    out, err = process.communicate()
    return process.returncode, out, err


def only(folder):
    (found,) = (path for path in (folder / "runs").iterdir() if layout.is_run(path.name))
    return found


def result(folder):
    return json.loads((only(folder) / "result.json").read_text())


def metrics(folder):
    lines = [json.loads(line) for line in (only(folder) / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


def files(folder):
    """The names in the run's folder, without the source's changes, which depend on the checkout."""
    return {path.name for path in only(folder).iterdir() if not path.name.startswith("source")}


FINISHED = {layout.CONFIG, layout.METRICS, layout.RESULT, layout.WEIGHTS, layout.PREDICTIONS, layout.MEAN, layout.LOG}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Result and metrics of a run that nothing happens to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert finish(Command(*TINY, cwd=folder))[0] == 0
    return result(folder), metrics(folder)


def check_kills(answer, kills):
    assert answer["kills"] == kills
    assert answer["resumed"] >= answer["at least"] > 0
    assert answer["same weights"]
    assert answer["same metrics"]
    assert answer["same result"]
    assert not [name for name in answer["left over"] if name.startswith((".", "lock", "checkpoint"))]


def test_killed_run_resumes_to_the_same_bits(tmp_path):
    check_kills(drill("kill", tmp_path, "--kills", 5), 5)


@pytest.mark.long
def test_run_killed_twenty_times_resumes_to_the_same_bits(tmp_path):
    check_kills(drill("kill", tmp_path, "--kills", 20), 20)


def check_races(answer, rounds):
    assert answer["trained"] == answer["backed off"] == [1] * rounds
    assert answer["exit statuses"] == [0]


@pytest.mark.parametrize("option", [(), ("--without-links",)], ids=["hard links", "no hard links"])
def test_one_of_two_simultaneous_processes_trains_the_run(option, tmp_path):
    check_races(drill("race", tmp_path, "--rounds", 3, *option), 3)


@pytest.mark.long
@pytest.mark.parametrize("option", [(), ("--without-links",)], ids=["hard links", "no hard links"])
def test_one_of_two_simultaneous_processes_trains_the_run_each_time(option, tmp_path):
    check_races(drill("race", tmp_path, "--rounds", 20, *option), 20)


def test_signals_interrupt_a_run_after_a_checkpoint(tmp_path, start, undisturbed):
    own = held(tmp_path, "Dropout", step=6)
    for number in SIGNALS:
        (tmp_path / "hold").touch()
        process = start(own)
        until((tmp_path / "waits").exists, process, "a run that waits")
        process.send_signal(number)
        (tmp_path / "hold").unlink()
        status, _, err = finish(process)
        (tmp_path / "waits").unlink()
        assert status == 128 + number
        assert number.name in err
        assert "Traceback" not in err
        stopped = result(tmp_path)
        assert stopped["status"] == "interrupted"
        assert stopped["test_error"] is None
        assert not list(tmp_path.glob("runs/*/lock-*"))
    status, out, _ = finish(start(own))
    assert status == 0
    assert "resumed at step 30" in out
    assert result(tmp_path)["weights_sha256"] == undisturbed[0]["weights_sha256"]
    assert result(tmp_path)["resumed"] == len(SIGNALS) == 5
    assert metrics(tmp_path) == undisturbed[1]


IN_A_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "ablate", *sys.argv[1:]])
"""


def test_closed_terminal_interrupts_a_run_after_a_checkpoint(tmp_path, start, undisturbed):
    own = held(tmp_path, "Dropout", step=6)
    ours, terminal = pty.openpty()
    command = [sys.executable, "-c", IN_A_TERMINAL, *TINY, own]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True, **streams)
    os.close(terminal)
    until((tmp_path / "waits").exists, process, "a run that waits")
    os.close(ours)  # from here on it cannot print either
    (tmp_path / "hold").unlink()
    assert process.wait(LIMIT) == 128 + signal.SIGHUP
    assert result(tmp_path)["status"] == "interrupted"
    assert "resumed at step 6" in finish(start(own))[1]
    assert result(tmp_path)["weights_sha256"] == undisturbed[0]["weights_sha256"]


def test_hangup_is_ignored_where_it_was_ignored_before():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Stopping() as stopping:
            signal.raise_signal(signal.SIGHUP)
            assert stopping.signum is None
            signal.raise_signal(signal.SIGUSR1)
            assert stopping.signum == signal.SIGUSR1
            stopping.answered = True
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_run_with_a_broken_checkpoint_resumes_from_the_previous_one(tmp_path, start, undisturbed):
    own = held(tmp_path, "Dropout", step=12)
    process = start(own, "checkpoint.steps=1")
    until((tmp_path / "waits").exists, process, "a run that waits")
    process.kill()
    process.communicate()
    (tmp_path / "hold").unlink()
    path = only(tmp_path) / "checkpoint.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)
    status, out, err = finish(start(own))
    assert status == 0
    assert "checkpoint.pt is broken" in err
    assert "resumed at step 10" in out
    assert result(tmp_path)["weights_sha256"] == undisturbed[0]["weights_sha256"]


def test_full_disk_skips_checkpoints_and_fails_the_run_at_its_weights(tmp_path, start, undisturbed):
    status, _, err = finish(start("checkpoint.steps=15", largest_file=100_000))
    assert status == 1
    assert "no checkpoint at step 15: File too large" in err
    assert "no checkpoint at step 30" in err
    assert "weights.pt cannot be written: File too large" in err
    assert "Traceback" not in err
    assert result(tmp_path)["status"] == "failed"
    assert metrics(tmp_path) == undisturbed[1]
    assert files(tmp_path) == FINISHED - {layout.WEIGHTS}
    assert finish(start())[0] == 0
    assert result(tmp_path)["weights_sha256"] == undisturbed[0]["weights_sha256"]


def test_run_whose_weights_cannot_be_saved_keeps_its_checkpoint(tmp_path, start, undisturbed):
    own = held(tmp_path, "Dropout", step=31)
    process = start(own, "checkpoint.steps=30")
    until((tmp_path / "waits").exists, process, "a run that waits")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))  # the disk is full from here on
    (tmp_path / "hold").unlink()
    status, _, err = finish(process)
    assert status == 1
    assert "weights.pt cannot be written: File too large" in err
    assert files(tmp_path) == FINISHED - {layout.WEIGHTS} | {layout.CHECKPOINT}
    assert result(tmp_path)["reason"] in err
    status, out, _ = finish(start(own))
    assert status == 0
    assert "resumed at step 30" in out
    assert files(tmp_path) == FINISHED
    assert result(tmp_path)["weights_sha256"] == undisturbed[0]["weights_sha256"]


def test_full_disk_without_room_for_the_result_fails_the_run(tmp_path, start, undisturbed):
    status, _, err = finish(start("checkpoint.minutes=null", largest_file=1_500))
    assert status == 1
    assert "result.json cannot be written: File too large" in err
    assert "Traceback" not in err
    assert files(tmp_path) == FINISHED - {layout.WEIGHTS, layout.RESULT}
    assert finish(start())[0] == 0
    assert result(tmp_path)["weights_sha256"] == undisturbed[0]["weights_sha256"]


FAILS = """
import os, torch

class Fails(torch.nn.Module):
    def __init__(self, *_):
        super().__init__()

    def forward(self, x, residual):
        if self.training and "FAILS" in os.environ:
            raise {error}
        return residual
"""


def test_gpu_out_of_memory_fails_with_advice(tmp_path, start):
    (tmp_path / "own.py").write_text(FAILS.format(error="torch.OutOfMemoryError('CUDA out of memory')"))
    status, _, err = finish(start("shortcut._target_=own.Fails", environment={"FAILS": "1"}))
    assert status == 1
    assert len(err.splitlines()) == 1
    assert result(tmp_path)["status"] == "failed"
    for sentence in (err, result(tmp_path)["reason"]):
        assert "the GPU ran out of memory" in sentence
        assert "recipe.batch" in sentence


def test_run_that_raises_is_recorded_as_failed_and_is_trained_again(tmp_path, start):
    (tmp_path / "own.py").write_text(FAILS.format(error="KeyError('no such thing')"))
    status, _, err = finish(start("shortcut._target_=own.Fails", environment={"FAILS": "1"}))
    assert status == 1
    assert "KeyError" in err
    assert str(only(tmp_path).relative_to(tmp_path) / "run.log") in err
    assert result(tmp_path)["reason"] == "KeyError: 'no such thing'"
    assert "Traceback" in (only(tmp_path) / "run.log").read_text()
    assert finish(start("shortcut._target_=own.Fails"))[0] == 0
    assert result(tmp_path)["status"] == "finished"


def test_rerun_all_archives_the_old_folder(tmp_path, start, undisturbed):
    assert finish(start())[0] == 0
    (only(tmp_path) / "mark").write_text("old")
    assert "already trained" in finish(start("rerun=failed"))[1]
    assert finish(start("rerun=all"))[0] == 0
    assert files(tmp_path) == FINISHED
    (archived,) = (tmp_path / "runs" / layout.ARCHIVED).iterdir()
    assert (archived / "mark").read_text() == "old"
    assert result(tmp_path)["weights_sha256"] == undisturbed[0]["weights_sha256"]
