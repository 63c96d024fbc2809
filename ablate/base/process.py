"""A function in a process of its own, for what holds for a whole process: its memory, its threads, its GPU."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from ablate.base.errors import AblateError, one_line
from ablate.base.signals import signals_blocked, unblock_signals

POLL = 0.2
"""Seconds between checks whether a result is still wanted."""


class Worker:
    """Calls, in another process, the function that `make(*arguments)` returned there. Close it, or use it as a context.

    Ctrl-C is left to this process. The other one ends with it, even if it is killed.
    """

    def __init__(self, make: Callable[..., Callable[[Any], Any]], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, there = context.Pipe()
        method = multiprocessing.get_start_method()
        self.process = context.Process(target=_serve, args=(there, method, make, arguments), daemon=False)
        with signals_blocked():
            self.process.start()
        there.close()  # so that its end is noticed

    def __call__(self, argument: Any) -> Any:
        self.send(argument)
        return self.result()

    def send(self, argument: Any) -> None:
        """Call the function; `result` returns its value."""
        with suppress(OSError):  # `result` reports the process's end
            self.connection.send(("call", argument))

    def result(self, stopped: Callable[[], bool] = lambda: False) -> Any:
        """The next value, or None if `stopped()` becomes true. Raises AblateError if the process raised or ended.

        The first value says that `make` has returned.
        """
        try:
            while not self.connection.poll(POLL):
                if stopped():
                    return None
            kind, value = self.connection.recv()
        except (EOFError, OSError) as error:
            raise AblateError("its process was killed, perhaps because memory ran out") from error
        if kind == "error":
            raise AblateError(value)
        return value

    def close(self, *, wait: bool = False) -> None:
        """End the process: at once, or with `wait` after its current call."""
        with suppress(OSError):
            self.connection.send(("end", None))  # closing is not enough: DataLoader workers hold copies of the pipe
        self.connection.close()
        if not wait:
            self.process.terminate()
        self.process.join()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close(wait=kind is None)


def _serve(connection: Connection, method: str, make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    multiprocessing.set_start_method(method, force=True)  # for DataLoader workers: this system's usual one, not spawn
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it reaches every process of a terminal: the parent handles it
    unblock_signals()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        call = make(*arguments)
        connection.send(("made", None))
        while (message := connection.recv())[0] == "call":
            connection.send(("value", call(message[1])))
    except (EOFError, BrokenPipeError):  # the parent has closed the pipe
        return
    except (Exception, SystemExit) as error:  # custom code may end the process
        with suppress(OSError):
            connection.send(("error", one_line(error)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
