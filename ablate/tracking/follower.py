"""The training process's side of tracking: starts the process that reads records, and waits only at exit.

Imports no wandb. If the server is unavailable, the command waits at most 15 s at exit and prints a warning. Results are
unaffected.
"""

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from ablate.base.terminal import say
from ablate.config.schema import Config
from ablate.runs.tracker import NullTracker

PATIENCE = 12.0
"""Seconds to wait at exit for the rest of the data; the first run's end begins them at the earliest."""


class Follower(NullTracker):
    """Passes on which runs begin and end to the reading process, which the first run starts."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.broken = False

    def follow(self, folder: Path) -> None:
        if self.process is None and not self.broken:
            self._start()
        self._send("follow", folder)

    def ended(self, folder: Path) -> None:
        self._send("ended", folder)

    def close(self, patience: float = PATIENCE) -> None:
        """Wait for the rest of the data, at most `patience` seconds."""
        if self.process is None:
            return
        process, self.process = self.process, None
        _close(process)
        if _in_main_thread() and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            # The runs are done: Ctrl-C ends the waiting, and the exit status stays.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            if process.wait(patience):
                self._give_up(process, "has ended")
        except subprocess.TimeoutExpired:
            self._give_up(process, f"did not finish within {patience:.0f} s")
        except KeyboardInterrupt:
            self._give_up(process, "did not finish")
        self.printer.join(1.0)

    def _at_exit(self) -> None:
        self.close()
        if _in_main_thread():  # Ctrl-C from here on must not change the exit status
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _start(self) -> None:
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ablate.tracking.reader"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # wandb's own messages; those for the user are on the output
                start_new_session=True,  # Ctrl-C reaches the training alone, which then closes this process
                text=True,
            )
        except OSError as error:
            self.broken = True
            say(f"ablate: warning: W&B is off: its process could not be started: {error.strerror}", error=True)
            return
        assert self.process.stdin is not None
        os.set_blocking(self.process.stdin.fileno(), False)  # a suspended reader must not block the training
        self.printer = threading.Thread(target=_print_lines, args=(self.process,), daemon=True)
        self.printer.start()
        atexit.register(self._at_exit)

    def _send(self, what: str, folder: Path) -> None:
        if self.process is None:
            return
        assert self.process.stdin is not None
        try:
            os.write(self.process.stdin.fileno(), (json.dumps({what: str(folder.absolute())}) + "\n").encode())
        except BlockingIOError:  # suspended, and the pipe is full
            self._give_up(self.process, "does not respond")
        except (OSError, ValueError):
            self._give_up(self.process, "has ended")

    def _give_up(self, process: "subprocess.Popen[str]", why: str) -> None:
        self.process, self.broken = None, True
        say(f"ablate: warning: the W&B process {why}; ablate sync sends the rest", error=True)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # and what it has started: it leads a process group
        process.wait()
        _close(process)


_trackers = {"none": NullTracker(), "wandb": Follower()}


def tracker(config: Config) -> NullTracker:
    """This process's tracker of the configured kind, unless WANDB_MODE disables it."""
    return _trackers["none" if wandb_mode() == "disabled" else config.tracker.name]


def wandb_mode() -> str:
    """What WANDB_MODE asks for: online, offline or disabled."""
    mode = os.environ.get("WANDB_MODE", "").lower()
    return {"dryrun": "offline"}.get(mode, mode) or "online"


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _close(process: "subprocess.Popen[str]") -> None:
    with contextlib.suppress(OSError):
        assert process.stdin is not None
        process.stdin.close()


def _print_lines(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    with contextlib.suppress(OSError, ValueError), process.stdout:
        for line in process.stdout:
            say(f"ablate: {line.rstrip()}", error=True)
