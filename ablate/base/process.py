"""A function in a process of its own, because some settings hold for a whole process: memory, threads, the GPU."""

import atexit
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from ablate.base.errors import AblateError, one_line
from ablate.base.signals import signals_blocked, unblock_signals

POLL = 0.2
"""Seconds between checks whether a result is still wanted, and can still come."""


class Worker:
    """Calls the function that `make(*arguments)` returns, in another process. Close it, or use it as a context.

    The process ignores the signals in `ignored`, among them Ctrl-C, which a terminal sends to it as well; the function
    may handle them. When this process dies, it ends after a SIGTERM, which lets the function write a checkpoint.
    """

    def __init__(
        self,
        make: Callable[..., Callable[..., Any]],
        *arguments: Any,
        ignored: tuple[signal.Signals, ...] = (signal.SIGINT,),
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, there = context.Pipe()
        self.process = context.Process(target=_serve, args=(there, make, arguments, ignored))
        with signals_blocked():
            self.process.start()
        there.close()  # otherwise the end of the process would not close the connection

    def __call__(self, *arguments: Any) -> Any:
        self.send(*arguments)
        return self.result()

    def send(self, *arguments: Any) -> None:
        """Start a call of the function; `result` returns its value."""
        with suppress(OSError):  # the process has ended: `result` says so
            self.connection.send(arguments)

    def done(self) -> bool:
        """Whether `result` would return at once."""
        return self.connection.poll() or not self.process.is_alive()

    def result(self, stopped: Callable[[], bool] = lambda: False) -> Any:
        """The value of a call, or None if `stopped()` becomes true before it returns.

        Raises AblateError if the function or its making raised, or if the process has ended.
        """
        try:
            while not self.connection.poll(POLL):
                if stopped():
                    return None
                # The connection stays open while DataLoader workers of the process hold a copy of its end.
                if not self.process.is_alive() and not self.connection.poll():
                    raise EOFError
            error, value = self.connection.recv()
        except (EOFError, OSError) as ended:
            raise AblateError("its process was killed, perhaps because memory ran out") from ended
        if error:
            raise AblateError(error)
        return value

    def close(self) -> None:
        """Wait for the current call, and end the process."""
        with suppress(OSError):
            self.connection.send(None)
        self.process.join()
        self.connection.close()

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.join()
        self.connection.close()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.kill()


def leave(status: int) -> NoReturn:
    """End this process, whatever libraries would still do or wait for."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # closed
            stream.flush()
    os._exit(status)


def leave_group(status: int) -> None:
    """End a process that trains runs with others, after its exit handlers; nothing in another process."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        atexit._run_exitfuncs()
        leave(status)  # torch would wait for NCCL, which waits for a process that may have died


def _serve(
    connection: Connection,
    make: Callable[..., Callable[..., Any]],
    arguments: tuple[Any, ...],
    ignored: tuple[signal.Signals, ...],
) -> None:
    multiprocessing.set_start_method(None, force=True)  # DataLoader workers start in the default way, not by spawn
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    unblock_signals()
    atexit.register(leave, 0)  # for Python to take torch down takes half a second
    calling = threading.Lock()
    threading.Thread(target=_end_with_parent, args=(calling,), daemon=True).start()
    try:
        function = make(*arguments)
        while (message := connection.recv()) is not None:
            with calling:
                value = function(*message)
            connection.send((None, value))
    except (Exception, SystemExit) as error:  # custom code may end the process
        with suppress(OSError):  # the parent has closed the connection
            connection.send((str(error) if isinstance(error, AblateError) else one_line(error), None))


def _end_with_parent(calling: threading.Lock) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    while not calling.acquire(timeout=1.0):
        os.kill(os.getpid(), signal.SIGTERM)  # repeatedly, because a run that is just beginning ignores it
    os._exit(1)
