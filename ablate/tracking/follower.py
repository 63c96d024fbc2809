"""How a training process has its runs shown on W&B: by a process that reads their records. No wandb here, no waiting.

Whatever becomes of that process or of its server, the training goes on; at its very end up to `PATIENCE` seconds are
given for the last rows, and then it is ended.
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
"""Seconds at the end of a process for what W&B lacks; begun at the first run's end at the earliest."""


class Follower(NullTracker):
    """Tells the reading process which runs begin and end; starts it at the first. Never raises, never waits."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.broken = False

    def follow(self, folder: Path) -> None:
        """A record is there: its config.yaml and metrics.jsonl are this run's."""
        if self.process is None and not self.broken:
            self._start()
        self._tell("follow", folder)

    def ended(self, folder: Path) -> None:
        """Nothing more is written there."""
        self._tell("ended", folder)

    def close(self, patience: float = PATIENCE) -> None:
        """Wait for the last rows, but not longer than `patience` seconds."""
        if self.process is None:
            return
        process, self.process = self.process, None
        with contextlib.suppress(OSError):
            assert process.stdin is not None
            process.stdin.close()
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            # The run is done and says so: Ctrl-C ends the waiting, and not the process with another status.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            if process.wait(patience):
                self._give_up(process, "has ended")
        except subprocess.TimeoutExpired:
            self._give_up(process, f"was not done within {patience:.0f} s")
        except KeyboardInterrupt:
            self._give_up(process, "was not done")
        self.voice.join(1.0)

    def _leave(self) -> None:
        """At the end of the process: Ctrl-C from here on must not give a command that is done another status."""
        self.close()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _start(self) -> None:
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ablate.tracking.reader"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # wandb speaks to developers there; what matters comes on the output
                start_new_session=True,  # Ctrl-C is for the training, which ends this process in its own time
                text=True,
            )
        except OSError as error:
            self.broken = True
            say(f"ablate: warning: W&B is not shown: no process for it: {error.strerror}", error=True)
            return
        assert self.process.stdin is not None
        os.set_blocking(self.process.stdin.fileno(), False)  # a reader that is stopped stops nobody else
        self.voice = threading.Thread(target=_pass_on, args=(self.process,), daemon=True)
        self.voice.start()
        atexit.register(self._leave)

    def _tell(self, what: str, folder: Path) -> None:
        if self.process is None:
            return
        assert self.process.stdin is not None
        try:
            os.write(self.process.stdin.fileno(), (json.dumps({what: str(folder.absolute())}) + "\n").encode())
        except BlockingIOError:  # it is stopped, and has been told of hundreds of runs
            self._give_up(self.process, "does not listen")
        except (OSError, ValueError):
            self._give_up(self.process, "has ended")

    def _give_up(self, process: "subprocess.Popen[str]", why: str) -> None:
        self.process, self.broken = None, True
        say(f"ablate: warning: W&B's process {why}; ablate sync sends what it missed", error=True)
        _kill(process)
        with contextlib.suppress(OSError):
            assert process.stdin is not None
            process.stdin.close()


_trackers = {"none": NullTracker(), "wandb": Follower()}


def tracker(config: Config) -> NullTracker:
    """This process's tracker of the configured kind."""
    return _trackers[config.tracker.name]


def _pass_on(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    with contextlib.suppress(OSError, ValueError), process.stdout:
        for line in process.stdout:
            say(f"ablate: {line.rstrip()}", error=True)


def _kill(process: "subprocess.Popen[str]") -> None:
    """The process and what it has started; it leads a session of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
