"""A contestant in a process of its own: for what holds for the whole of one, as what becomes of freed memory."""

import multiprocessing
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from ablate.errors import AblateError, one_line
from ablate.runs.stopping import hear, unheard

Burst = Callable[[float], float]


class Apart:
    """Called, it has the other process call what `make(*arguments)` gave there."""

    def __init__(self, make: Callable[..., Burst], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, there = context.Pipe()
        self.process = context.Process(target=_serve, args=(there, multiprocessing.get_start_method(), make, arguments))
        with unheard():
            self.process.start()
        there.close()  # so that its end is heard of

    def __call__(self, seconds: float) -> float:
        try:
            self.connection.send(seconds)
            answer = self.connection.recv()
        except (EOFError, OSError) as error:
            raise AblateError("a contestant's process ended") from error
        if isinstance(answer, str):
            raise AblateError(answer)
        return float(answer)

    def __enter__(self) -> "Apart":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(OSError):  # it may have ended by itself
            self.connection.send(None)  # closing would not do: this process's DataLoader workers hold copies
        self.connection.close()
        if kind is not None:  # nobody waits for what it is at
            self.process.terminate()
        self.process.join()


def _serve(connection: Connection, method: str, make: Callable[..., Burst], arguments: tuple[Any, ...]) -> None:
    multiprocessing.set_start_method(method, force=True)  # of a DataLoader's workers: what is usual here, not spawn
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it reaches every process of a terminal: the parent answers it
    hear()
    try:
        burst = make(*arguments)
        while (seconds := connection.recv()) is not None:
            connection.send(burst(seconds))
    except (EOFError, BrokenPipeError):  # nobody asks any more
        return
    except (Exception, SystemExit) as error:  # somebody's own code may end the process
        with suppress(OSError):
            connection.send(one_line(error))
