"""The lock on a run's folder: one active lock at a time, and stale ones are passed over."""

import errno
import itertools
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest

from ablate.runs import lock
from ablate.runs.lock import Lock, LockLost, active_lock, last_lock
from tests.waiting import until


def write_lock(folder, number=1, **changes):
    """A lock file of this process, with `changes`."""
    path = folder / f"lock-{number}.json"
    path.write_text(json.dumps({**Lock(folder)._content(), **changes}))
    return path


def age(path):
    """Let a lock file be one that was not renewed for longer than STALE."""
    old = time.time() - lock.STALE - 10
    os.utime(path, (old, old))


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_an_active_lock_is_returned_and_a_released_one_can_be_acquired(tmp_path):
    first = Lock(tmp_path, lambda: {"step": 7})
    assert first.acquire() is None
    other = Lock(tmp_path).acquire()
    assert (other["pid"], other["step"], other["host"]) == (os.getpid(), 7, socket.gethostname())
    first.release()
    assert first.path is None
    assert list(tmp_path.iterdir()) == []
    assert Lock(tmp_path).acquire() is None


def test_lock_of_a_dead_process_is_stale_at_once(tmp_path):
    write_lock(tmp_path, pid=dead_process(), step=3)
    assert active_lock(tmp_path) is None
    assert last_lock(tmp_path)["step"] == 3
    assert Lock(tmp_path).acquire() is None


def test_lock_of_an_earlier_process_with_the_same_number_is_stale(tmp_path):
    write_lock(tmp_path, pid=os.getpid(), born=1.0)
    assert Lock(tmp_path).acquire() is None


def test_lock_of_another_host_is_stale_once_it_is_no_longer_renewed(tmp_path):
    path = write_lock(tmp_path, machine="elsewhere", host="node7", pid=dead_process())
    assert Lock(tmp_path).acquire()["host"] == "node7"
    age(path)
    assert Lock(tmp_path).acquire() is None


def test_lock_of_another_host_is_judged_by_the_clock_of_the_files(tmp_path, monkeypatch):
    path = write_lock(tmp_path, machine="elsewhere", host="node7", pid=dead_process())
    late = time.time() + 2 * lock.STALE
    monkeypatch.setattr(time, "time", lambda: late)  # of this host
    assert active_lock(tmp_path)["host"] == "node7"
    assert active_lock(tmp_path, probe=False) is None
    monkeypatch.setattr(tempfile, "TemporaryFile", None)  # what only looks writes nothing
    assert active_lock(tmp_path, probe=False) is None
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no /proc")
def test_process_numbers_are_those_of_a_host_since_its_boot_and_of_a_container():
    machine = lock._machine().split()
    assert machine == [
        socket.gethostname(),
        Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        os.readlink("/proc/self/ns/pid"),
    ]


def test_process_that_has_ended_is_gone_before_its_parent_asks_also_without_proc(monkeypatch):
    read, running = Path.read_text, psutil.Process().create_time()

    def hide(path, *arguments):
        if path.name == "stat":
            raise FileNotFoundError
        return read(path, *arguments)

    process = subprocess.Popen([sys.executable, "-c", ""])
    until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    try:
        assert lock._born(process.pid) is None
        monkeypatch.setattr(Path, "read_text", hide)  # as on macOS
        assert lock._born(process.pid) is None
        assert lock._born(os.getpid()) == running
    finally:
        process.wait()


def test_lock_of_another_host_is_stale_after_stale_seconds(tmp_path, monkeypatch):
    path = write_lock(tmp_path, machine="elsewhere")
    monkeypatch.setattr(lock, "_now", lambda _: path.stat().st_mtime + lock.STALE - 1)
    assert active_lock(tmp_path) is not None
    monkeypatch.setattr(lock, "_now", lambda _: path.stat().st_mtime + lock.STALE)
    assert active_lock(tmp_path) is None


def test_process_that_was_suspended_before_its_file_backs_off(tmp_path, monkeypatch):
    """Its file and another process's appear at the same time: it removes its own, waits, and finds the other."""
    write, waits = Lock._write, []

    def late(self, path, **how):
        write_lock(tmp_path, number=9, machine="elsewhere", host="node7")
        write(self, path, **how)

    monkeypatch.setattr(Lock, "_write", late)
    monkeypatch.setattr(time, "sleep", waits.append)
    suspended = Lock(tmp_path)
    assert suspended.acquire()["host"] == "node7"
    assert suspended.path is None
    assert [path.name for path in tmp_path.iterdir()] == ["lock-9.json"]
    (wait,) = waits
    assert 0.01 <= wait <= 0.1


def test_process_whose_lock_was_taken_over_raises_and_keeps_the_other_lock(tmp_path):
    slow = Lock(tmp_path)
    assert slow.acquire() is None
    slow.check()
    theirs = write_lock(tmp_path, number=2)
    with pytest.raises(LockLost, match="taken over"), slow:
        slow.check()
    assert theirs.exists()


def test_unreadable_lock_is_stale_by_its_age(tmp_path):
    path = tmp_path / "lock-1.json"
    path.write_text("{")
    assert Lock(tmp_path).acquire() == {"host": "an unknown host"}
    age(path)
    assert Lock(tmp_path).acquire() is None


DAMAGED = [
    *(
        {"host": 7},
        {"machine": 7},
        {"job": 7},
        {"pid": "7"},
        {"pid": 7.5},
        {"pid": True},
        {"born": "7"},
        {"renewed": "7"},
    ),
    *({"step": "7"}, {"step": 7, "steps": "9"}, {"step": 7, "images_per_second": "7"}, {"steps": 9}),
    *({"pid": 2**53}, {"step": -(2**53)}, {"born": 1e300}),
]


@pytest.mark.parametrize("damage", DAMAGED, ids=str)
def test_lock_with_a_value_that_no_process_writes_is_judged_by_its_age(damage, tmp_path):
    path = write_lock(tmp_path, **damage)
    assert last_lock(tmp_path) is None
    assert active_lock(tmp_path) == {"host": "an unknown host"}
    age(path)
    assert active_lock(tmp_path) is None


@pytest.mark.parametrize("key", ["host", "pid"])
def test_lock_without_host_or_process_is_judged_by_its_age(key, tmp_path):
    path = write_lock(tmp_path)
    path.write_text(json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != key}))
    assert last_lock(tmp_path) is None
    assert active_lock(tmp_path) == {"host": "an unknown host"}


def test_lock_with_all_that_a_process_writes_and_with_the_least_are_read(tmp_path):
    progress = {"step": 7, "steps": 9, "images_per_second": 80.5, "job": "123"}
    write_lock(tmp_path, **progress)
    assert last_lock(tmp_path).items() >= progress.items()
    (tmp_path / "lock-2.json").write_text('{"host": "node7", "pid": 5}')
    assert last_lock(tmp_path) == {"host": "node7", "pid": 5}


def refuse_links(monkeypatch, number):
    """Make os.link raise the error with this number."""

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EACCES])
def test_lock_is_acquired_without_hard_links(number, tmp_path, monkeypatch):
    refuse_links(monkeypatch, number)
    first = Lock(tmp_path, lambda: {"step": 7})
    assert first.acquire() is None
    assert Lock(tmp_path).acquire()["step"] == 7
    first.renew()
    first.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_one_of_several_threads_acquires_the_lock(links, tmp_path, monkeypatch):
    if not links:
        refuse_links(monkeypatch, errno.EPERM)
    for number in range(50):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_lock(folder, pid=1 << 22)  # a stale one, as after a crash
        answers, start = [], threading.Barrier(4)

        def compete(folder=folder, answers=answers, start=start):
            start.wait()
            answers.append(Lock(folder).acquire())

        threads = [threading.Thread(target=compete) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers.count(None) == 1


def test_hidden_process_of_another_user_is_alive_while_its_lock_is_renewed(tmp_path, monkeypatch):
    """With the mount option hidepid, /proc shows other users' processes as missing."""

    def refuse(_, signal):
        assert signal == 0  # another would end or stop the process
        raise PermissionError

    path = write_lock(tmp_path, pid=dead_process(), step=3)
    monkeypatch.setattr(os, "kill", refuse)
    assert Lock(tmp_path).acquire()["step"] == 3
    age(path)
    assert Lock(tmp_path).acquire() is None


def test_lock_of_a_process_that_ends_while_it_is_looked_at_is_stale(tmp_path, monkeypatch):
    read = Path.read_text

    def end(path, *arguments):
        if path.name == "stat":
            raise ProcessLookupError
        return read(path, *arguments)

    write_lock(tmp_path, pid=dead_process())
    monkeypatch.setattr(Path, "read_text", end)
    assert Lock(tmp_path).acquire() is None


def test_heartbeat_renews_the_progress(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT", 0.01)
    steps = itertools.count()
    held = Lock(tmp_path, lambda: {"step": next(steps)})
    held.acquire()
    with held:
        until(lambda: active_lock(tmp_path)["step"] >= 3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changes",
    [{"pid": "12"}, {"pid": 10**30}, {"pid": None}, {"step": [1]}, {"images_per_second": math.inf}, {"renewed": "now"}],
    ids=str,
)
def test_damaged_lock_is_judged_by_its_age_and_not_read(changes, tmp_path):
    write_lock(tmp_path, **{"step": 3, "steps": 5, **changes})
    assert last_lock(tmp_path) is None
    assert active_lock(tmp_path, probe=False) == {"host": "an unknown host"}
