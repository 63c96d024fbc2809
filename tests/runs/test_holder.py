"""One holder a run, and nobody waits for the dead."""

import itertools
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from ablate.runs import holder
from ablate.runs.holder import Holder, Lost, living
from tests.waiting import until


def card(folder, number=1, **changes):
    """The file of a holder that is not this process."""
    mine = Holder(folder)._card()
    path = folder / f"holder-{number}.json"
    path.write_text(json.dumps({**mine, **changes}))
    return path


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_second_is_told_who_holds_it_and_the_third_may_after_the_first_has_let_go(tmp_path):
    first = Holder(tmp_path, lambda: {"step": 7})
    assert first.take() is None
    other = Holder(tmp_path).take()
    assert (other["pid"], other["step"]) == (os.getpid(), 7)
    first.release()
    assert list(tmp_path.iterdir()) == []
    assert Holder(tmp_path).take() is None


def test_a_process_that_is_gone_is_followed_at_once(tmp_path):
    card(tmp_path, pid=dead_process())
    assert living(tmp_path) is None
    assert Holder(tmp_path).take() is None


def test_a_process_number_that_was_given_away_again_does_not_count(tmp_path):
    card(tmp_path, pid=os.getpid(), born=1.0)
    assert Holder(tmp_path).take() is None


def test_another_host_is_followed_when_its_heartbeat_is_old(tmp_path):
    path = card(tmp_path, machine="elsewhere", host="node7", pid=dead_process())
    assert Holder(tmp_path).take()["host"] == "node7"
    old = time.time() - holder.STALE - 10
    os.utime(path, (old, old))
    assert Holder(tmp_path).take() is None


def test_who_was_taken_for_dead_finds_out_and_leaves_the_files_to_the_other(tmp_path):
    slow = Holder(tmp_path)
    assert slow.take() is None
    slow.check()
    theirs = card(tmp_path, number=2)
    with pytest.raises(Lost, match="taken over"), slow:
        slow.check()
    assert theirs.exists()


def test_a_file_nobody_can_read_is_nobody(tmp_path):
    (tmp_path / "holder-1.json").write_text("{")
    old = time.time() - holder.STALE - 10
    os.utime(tmp_path / "holder-1.json", (old, old))
    assert Holder(tmp_path).take() is None


def test_of_many_at_once_one_gets_it(tmp_path):
    for number in range(50):
        folder = tmp_path / str(number)
        folder.mkdir()
        card(folder, pid=1 << 22)  # a dead one before them, as after a crash
        answers, start = [], threading.Barrier(4)

        def compete(folder=folder, answers=answers, start=start):
            start.wait()
            answers.append(Holder(folder).take())

        threads = [threading.Thread(target=compete) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers.count(None) == 1


def test_the_heartbeat_says_how_far_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(holder, "BEAT", 0.01)
    steps = itertools.count()
    held = Holder(tmp_path, lambda: {"step": next(steps)})
    held.take()
    with held:
        until(lambda: living(tmp_path)["step"] >= 3)
    assert list(tmp_path.iterdir()) == []
