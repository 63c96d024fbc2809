"""The process that reads records: whatever becomes of it, or of who started it, costs nobody more than seconds."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from ablate.base.signals import SIGNALS
from ablate.tracking import session
from ablate.tracking.follower import PATIENCE, Follower
from tests.tracking.wandb_server import SILENT, Server
from tests.waiting import LIMIT, until


@pytest.fixture
def follower(tmp_path):
    """One that follows a folder which holds no record."""
    follower = Follower()
    follower.follow(tmp_path)
    yield follower
    follower.close(0.1)


def test_a_reader_that_is_stopped_stops_nobody(follower, tmp_path, capsys):
    process = follower.process
    process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    for _ in range(5000):  # more than a pipe holds
        follower.ended(tmp_path)
    follower.close()
    assert time.monotonic() - began < PATIENCE
    assert process.poll() == -signal.SIGKILL
    assert capsys.readouterr().err == (
        "ablate: warning: W&B's process does not listen; ablate sync sends what it missed\n"
    )


def test_a_reader_that_was_killed_is_told_of_once_and_not_begun_again(follower, tmp_path, capsys):
    follower.process.kill()
    follower.process.wait()
    for _ in range(3):
        follower.ended(tmp_path)
        follower.follow(tmp_path)
    follower.close()
    assert follower.process is None
    assert capsys.readouterr().err.count("W&B's process has ended") == 1


def test_a_reader_that_was_killed_at_the_very_end_is_told_of(follower, capsys):
    follower.process.kill()
    follower.close()
    assert "W&B's process has ended" in capsys.readouterr().err


def test_signals_that_ask_the_training_to_stop_leave_the_reader_to_its_work(follower, tmp_path, capsys):
    def answers():  # it has looked at the folder, which holds no record
        until(lambda: "does not show" in capsys.readouterr().err, follower.process, "the reader's answer")

    follower.ended(tmp_path)
    answers()
    for number in SIGNALS:
        follower.process.send_signal(number)
    follower.follow(tmp_path)
    follower.ended(tmp_path)
    answers()
    follower.close(LIMIT)
    assert capsys.readouterr().err == ""


WAITS = """
import os, signal, sys
from pathlib import Path
from ablate.tracking.follower import Follower
follower = Follower()
follower.follow(Path(sys.argv[1]))
os.kill(follower.process.pid, signal.SIGSTOP)

def wait(*patience, reader=follower.process, wait=follower.process.wait):
    print(reader.pid, flush=True)
    return wait(*patience)

follower.process.wait = wait
"""


def test_ctrl_c_ends_the_waiting_and_the_run_stays_done(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS, tmp_path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    reader = int(process.stdout.readline())  # it waits
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=LIMIT)
    assert process.returncode == 0
    assert said == "ablate: warning: W&B's process was not done; ablate sync sends what it missed\n"
    with pytest.raises(ProcessLookupError):
        os.kill(reader, 0)


def test_a_reader_whose_run_was_killed_ends_by_itself(write):
    folders = [write("depth=8", f"seed={seed}", test_error=3.0) for seed in range(3)]
    with Server(lambda path, operation: SILENT) as server:
        reader = subprocess.Popen(
            [sys.executable, "-m", "ablate.tracking.reader"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | server.environment,
        )
        for folder in folders:
            reader.stdin.write(json.dumps({"follow": str(folder)}) + "\n")
        reader.stdin.write('{"follow": "/cut/sh')
        reader.stdin.close()
        try:
            reader.wait(LIMIT)
        finally:
            reader.kill()


def test_of_two_that_show_a_record_one_waits_for_the_other(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "HANDOVER", 0.5)
    with session.alone(tmp_path), pytest.raises(session.Busy), session.alone(tmp_path):
        pass
    monkeypatch.setattr(session, "HANDOVER", 20.0)
    first = session.alone(tmp_path)
    first.__enter__()
    threading.Timer(0.5, first.__exit__, (None, None, None)).start()
    with session.alone(tmp_path):
        pass


def test_what_cannot_be_written_is_not_kept_elsewhere(write, monkeypatch):
    folder = write("depth=8", test_error=3.0)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OSError, match="cannot be written"):
        session.Session(folder, online=False)
    with session.alone(folder / "config.yaml"):  # where there can be no lock there is no waiting for one
        pass


@pytest.mark.parametrize(
    ("said", "meant"),
    [(None, "online"), ("online", "online"), ("Offline", "offline"), ("dryrun", "offline"), ("disabled", "disabled")],
)
def test_the_users_own_setting_decides(monkeypatch, said, meant):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    if said:
        monkeypatch.setenv("WANDB_MODE", said)
    assert session.wanted_mode() == meant
