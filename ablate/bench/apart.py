"""A contestant in a process of its own: for what holds for the whole of one, as what becomes of freed memory."""

import multiprocessing
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from ablate.errors import AblateError

Burst = Callable[[float], float]


class Apart:
    """Called, it has the other process call what `make(*arguments)` gave there."""

    def __init__(self, make: Callable[..., Burst], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, there = context.Pipe()
        self.process = context.Process(target=_serve, args=(there, multiprocessing.get_start_method(), make, arguments))
        self.process.start()
        there.close()  # so that its end is heard of

    def __call__(self, seconds: float) -> float:
        try:
            self.connection.send(seconds)
            return float(self.connection.recv())
        except (EOFError, OSError) as error:
            raise AblateError("a contestant's process ended; what it said is above") from error

    def __enter__(self) -> "Apart":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(OSError):  # it may have ended by itself
            self.connection.send(None)  # closing would not do: this process's DataLoader workers hold copies
        self.connection.close()
        self.process.join()


def _serve(connection: Connection, method: str, make: Callable[..., Burst], arguments: tuple[Any, ...]) -> None:
    multiprocessing.set_start_method(method, force=True)  # of a DataLoader's workers: what is usual here, not spawn
    burst = make(*arguments)
    with suppress(EOFError, KeyboardInterrupt):  # nobody asks any more
        while (seconds := connection.recv()) is not None:
            connection.send(burst(seconds))
