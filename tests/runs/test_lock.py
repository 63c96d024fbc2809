"""One holder a run, and nobody waits for the dead."""

import itertools
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from ablate.runs import lock as lock
from ablate.runs.lock import Lock, LockLost, active_lock
from tests.waiting import until


def lock(folder, number=1, **changes):
    """The file of a holder that is not this process."""
    mine = Lock(folder)._card()
    path = folder / f"lock-{number}.json"
    path.write_text(json.dumps({**mine, **changes}))
    return path


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_second_is_told_who_holds_it_and_the_third_may_after_the_first_has_let_go(tmp_path):
    first = Lock(tmp_path, lambda: {"step": 7})
    assert first.take() is None
    other = Lock(tmp_path).take()
    assert (other["pid"], other["step"]) == (os.getpid(), 7)
    first.release()
    assert list(tmp_path.iterdir()) == []
    assert Lock(tmp_path).take() is None


def test_a_process_that_is_gone_is_followed_at_once(tmp_path):
    lock(tmp_path, pid=dead_process())
    assert active_lock(tmp_path) is None
    assert Lock(tmp_path).take() is None


def test_a_process_number_that_was_given_away_again_does_not_count(tmp_path):
    lock(tmp_path, pid=os.getpid(), born=1.0)
    assert Lock(tmp_path).take() is None


def test_another_host_is_followed_when_its_heartbeat_is_old(tmp_path):
    path = lock(tmp_path, machine="elsewhere", host="node7", pid=dead_process())
    assert Lock(tmp_path).take()["host"] == "node7"
    old = time.time() - lock.STALE - 10
    os.utime(path, (old, old))
    assert Lock(tmp_path).take() is None


def test_who_was_taken_for_dead_finds_out_and_leaves_the_files_to_the_other(tmp_path):
    slow = Lock(tmp_path)
    assert slow.take() is None
    slow.check()
    theirs = lock(tmp_path, number=2)
    with pytest.raises(LockLost, match="taken over"), slow:
        slow.check()
    assert theirs.exists()


def test_a_file_nobody_can_read_is_nobody(tmp_path):
    (tmp_path / "lock-1.json").write_text("{")
    old = time.time() - lock.STALE - 10
    os.utime(tmp_path / "lock-1.json", (old, old))
    assert Lock(tmp_path).take() is None


def test_of_many_at_once_one_gets_it(tmp_path):
    for number in range(50):
        folder = tmp_path / str(number)
        folder.mkdir()
        lock(folder, pid=1 << 22)  # a dead one before them, as after a crash
        answers, start = [], threading.Barrier(4)

        def compete(folder=folder, answers=answers, start=start):
            start.wait()
            answers.append(Lock(folder).take())

        threads = [threading.Thread(target=compete) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers.count(None) == 1


def test_the_heartbeat_says_how_far_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.01)
    steps = itertools.count()
    held = Lock(tmp_path, lambda: {"step": next(steps)})
    held.take()
    with held:
        until(lambda: active_lock(tmp_path)["step"] >= 3)
    assert list(tmp_path.iterdir()) == []
