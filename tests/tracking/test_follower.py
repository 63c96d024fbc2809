"""The process that reads records: its death, or the training's, delays nothing by more than seconds."""

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
from ablate.tracking.follower import PATIENCE, Follower, wandb_mode
from tests.tracking.wandb_server import SILENT, Server
from tests.waiting import LIMIT, until


@pytest.fixture
def follower(tmp_path):
    """One that follows a folder without a record."""
    follower = Follower()
    follower.follow(tmp_path)
    yield follower
    follower.close(0.1)


def test_suspended_reader_is_killed_at_exit(follower, tmp_path, capsys):
    process = follower.process
    process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    for _ in range(5000):  # more than a pipe holds
        follower.ended(tmp_path)
    follower.close()
    assert time.monotonic() - began < PATIENCE
    assert process.poll() == -signal.SIGKILL
    assert capsys.readouterr().err == (
        "ablate: warning: the W&B process does not respond; ablate sync sends the rest\n"
    )


def test_killed_reader_is_reported_once_and_not_restarted(follower, tmp_path, capsys):
    follower.process.kill()
    follower.process.wait()
    for _ in range(3):
        follower.ended(tmp_path)
        follower.follow(tmp_path)
    follower.close()
    assert follower.process is None
    assert capsys.readouterr().err.count("the W&B process has ended") == 1


def test_reader_killed_at_exit_is_reported(follower, capsys):
    follower.process.kill()
    follower.close()
    assert "the W&B process has ended" in capsys.readouterr().err


def test_reader_ignores_signals_that_stop_the_training(follower, tmp_path, capsys):
    def answers():  # about the folder, which holds no record
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


def test_ctrl_c_at_exit_ends_the_waiting_with_status_0(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS, tmp_path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    reader = int(process.stdout.readline())  # it waits
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=LIMIT)
    assert process.returncode == 0
    assert said == "ablate: warning: the W&B process did not finish; ablate sync sends the rest\n"
    with pytest.raises(ProcessLookupError):
        os.kill(reader, 0)


@pytest.mark.long
def test_reader_ends_by_itself_after_its_training_was_killed(write):
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


def test_process_waits_while_another_sends_the_same_record(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "HANDOVER", 0.5)
    with session.exclusive(tmp_path), pytest.raises(session.Busy), session.exclusive(tmp_path):
        pass
    monkeypatch.setattr(session, "HANDOVER", LIMIT)
    first = session.exclusive(tmp_path)
    first.__enter__()
    threading.Timer(0.5, first.__exit__, (None, None, None)).start()
    with session.exclusive(tmp_path):
        pass


def test_read_only_folder_cannot_be_tracked_offline(write, monkeypatch):
    folder = write("depth=8", test_error=3.0)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OSError, match="cannot be written"):
        session.Session(folder, online=False)
    with session.exclusive(folder / "config.yaml"):  # where no lock can be made, none is needed
        pass


@pytest.mark.parametrize(
    ("mode", "meant"),
    [(None, "online"), ("online", "online"), ("Offline", "offline"), ("dryrun", "offline"), ("disabled", "disabled")],
)
def test_wandb_mode_of_the_user_is_respected(monkeypatch, mode, meant):
    if mode:
        monkeypatch.setenv("WANDB_MODE", mode)
    assert wandb_mode() == meant


def test_wandb_mode_disabled_starts_no_process(start):
    status, own = start("depth=8", "iterations=1", WANDB_MODE="disabled")
    assert (status, own.process) == (0, None)
