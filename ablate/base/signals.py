"""The signals that ask a process to stop, and blocking them while another process is started."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


@contextmanager
def signals_blocked() -> Iterator[None]:
    """A process started in this context ignores them until `unblock_signals`; a terminal sends Ctrl-C to all."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock_signals() -> None:
    """For a process started in `signals_blocked`, once its handlers are set."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
