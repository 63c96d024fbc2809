"""Being asked to stop: finish the step, write a checkpoint, leave with the signal's exit status."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)]


class Interrupted(BaseException):
    """A run stopped on a signal, its checkpoint written. Not an Exception: nothing may take it for a failed run."""

    def __init__(self, signum: int, step: int, *, kept: bool) -> None:
        super().__init__(signum, step)
        self.signum, self.step, self.kept = signum, step, kept
        self.exit_status = 128 + signum

    def __str__(self) -> str:
        where = "there" if self.kept else "the last checkpoint that could be written"
        return f"{signal.Signals(self.signum).name} at step {self.step}; the same command goes on from {where}"


@contextmanager
def unheard() -> Iterator[None]:
    """A process that is started inside hears none of them until it says `hear`: a terminal sends Ctrl-C to all."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def hear() -> None:
    """In a process that was started `unheard`, once it has said what they are to do."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


class Stopping:
    """As a context, notes the signals that ask to stop instead of dying of them. A second SIGINT ends at once.

    A signal that nobody has answered by the end of the context is raised again there, for whoever is outside.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self.answered = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Stopping":
        if threading.current_thread() is threading.main_thread():  # elsewhere Python lets nobody set handlers
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self.signum is not None and not self.answered and not isinstance(error, KeyboardInterrupt):
            signal.raise_signal(self.signum)

    def answer(self, step: int, *, kept: bool = True) -> None:
        """Raise Interrupted if a signal has asked to stop; `kept` says whether the run can go on from `step`."""
        if self.signum is not None:
            self.answered = True
            raise Interrupted(self.signum, step, kept=kept)

    def _note(self, signum: int, _: FrameType | None) -> None:
        if self.signum == signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = self.signum or signum
