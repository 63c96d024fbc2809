import atexit
import contextlib
import functools
import multiprocessing
import operator
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from ablate.base.errors import AblateError, ConfigError
from ablate.base.process import Worker
from tests.waiting import LIMIT, until


def fail(error):
    raise error


def daemon_child():
    """What a DataLoader worker is: a child of the worker that holds copies of its open files."""
    child = multiprocessing.Process(target=time.sleep, args=(LIMIT,), daemon=True)
    child.start()
    return child.pid


def test_worker_returns_values_and_close_ends_it():
    with Worker(functools.partial, operator.mul, 2.0) as worker:
        assert [worker(1.5), worker(2.0)] == [3.0, 4.0]
        worker.send(5.0)
    assert worker.process.exitcode == 0


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
        (SystemExit(0), "SystemExit: 0"),
        (ConfigError("depth=9 is not 6n+2"), "depth=9 is not 6n+2"),
        (EOFError("in custom code"), "EOFError: in custom code"),
    ],
)
def test_error_in_make_or_in_a_call_is_raised_here(error, message):
    with pytest.raises(AblateError) as found, Worker(fail, error) as worker:
        worker()
    assert str(found.value) == message
    with pytest.raises(AblateError) as found, Worker(functools.partial, fail) as worker:
        worker(error)
    assert str(found.value) == message
    assert not worker.process.is_alive()


def test_killed_worker_is_an_error_even_while_its_children_live():
    with Worker(functools.partial, daemon_child) as worker:
        child = psutil.Process(worker())
        try:
            worker.process.kill()
            with pytest.raises(AblateError, match="its process was killed"):
                worker()
        finally:
            child.kill()


def test_result_is_not_waited_for_once_stopped():
    with contextlib.suppress(KeyError), Worker(functools.partial, time.sleep) as worker:
        worker.send(LIMIT)
        assert worker.result(stopped=lambda: True) is None
        raise KeyError  # an error in this process ends the worker in the middle of its call
    assert worker.process.exitcode == -signal.SIGKILL


def test_ctrl_c_leaves_a_worker_to_its_parent():
    with Worker(functools.partial, os.kill) as worker:
        worker(worker.process.pid, signal.SIGINT)
        worker(worker.process.pid, 0)
    assert worker.process.exitcode == 0


def test_worker_ends_when_its_parent_is_killed():
    code = (
        "import functools, time\n"
        "from ablate.base.process import Worker\n"
        "if __name__ == '__main__':\n"
        "    worker = Worker(functools.partial, time.sleep)\n"
        "    worker(0.0)\n"
        "    print(worker.process.pid, flush=True)\n"
        f"    worker({LIMIT})\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()

    def ended():
        try:
            return worker.status() == psutil.STATUS_ZOMBIE  # its new parent may never ask for its exit status
        except psutil.NoSuchProcess:
            return True

    until(ended, why="the worker ended")


def test_worker_ends_after_its_exit_handlers(tmp_path):
    with Worker(functools.partial, atexit.register, os.mkdir) as worker:
        worker(str(tmp_path / "handled"))
    assert (tmp_path / "handled").is_dir()
    assert worker.process.exitcode == 0


ENDING = """
import atexit, threading, time
from ablate.base.process import leave_group
threading.Thread(target=time.sleep, args=(600,)).start()
atexit.register(print, "handled")
leave_group(3)
"""


def test_process_of_a_group_ends_whatever_a_library_waits_for():
    environment = {**os.environ, "WORLD_SIZE": "2"}
    done = subprocess.run([sys.executable, "-c", ENDING], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (3, "handled\n", "")
