"""Signals that ask to stop: finish the step, write a checkpoint, exit with the signal's status."""

import signal
import threading
from types import FrameType

from ablate.base.signals import SIGNALS


class Interrupted(BaseException):
    """A signal stopped the run, after a checkpoint. Not an Exception, so that no handler takes it for a failure."""

    def __init__(self, signum: int, step: int, *, kept: bool) -> None:
        super().__init__(signum, step)
        self.signum, self.step, self.kept = signum, step, kept
        self.exit_status = 128 + signum

    def __str__(self) -> str:
        where = "" if self.kept else " from the last checkpoint that could be written"
        return f"{signal.Signals(self.signum).name} at step {self.step}; run the same command again to resume{where}"


class Stopping:
    """As a context, records a signal that asks to stop instead of ending the process. A second SIGINT raises at once.

    A signal that was not answered within the context is raised again at its end, unless an error ends it.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self.answered = False
        self.interrupts = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Stopping":
        if threading.current_thread() is threading.main_thread():  # Python sets handlers nowhere else
            for number in SIGNALS:
                if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue  # under nohup; the others may be ignored only until here, as in a SLURM job's script
                self._before[number] = signal.signal(number, self._record)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self.signum is not None and not self.answered and kind is None:
            signal.raise_signal(self.signum)

    def answer(self, step: int, *, kept: bool = True) -> None:
        """Raise Interrupted if a signal has asked to stop; `kept` says whether the run can resume from `step`."""
        if self.signum is not None:
            self.answered = True
            raise Interrupted(self.signum, step, kept=kept)

    def _record(self, signum: int, _: FrameType | None) -> None:
        if signum == signal.SIGINT:
            if self.interrupts:
                raise KeyboardInterrupt
            self.interrupts += 1
        self.signum = self.signum or signum
