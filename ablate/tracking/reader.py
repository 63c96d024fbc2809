"""The process that reads records and sends them to W&B, one after another, for the process that trains them.

Its input is lines of JSON: {"follow": FOLDER} and {"ended": FOLDER}. The end of the input means that nothing more
comes, or that the training process is gone; it then has PATIENCE seconds to send the rest. It prints messages for the
user, a line each.
"""

import json
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path

from ablate.base.errors import one_line
from ablate.base.signals import SIGNALS
from ablate.base.terminal import say
from ablate.tracking.follower import PATIENCE, wandb_mode
from ablate.tracking.session import Refused, Session, Unreachable, delivered, exclusive, reset

INTERVAL = 2.0
"""Seconds between checks of a record for new evaluations."""
RETRY = 60.0
"""Seconds after a failure before the server is tried again."""
SYNC = "ablate sync sends it later"


class Requests:
    """What the training process asks for, in its order, and which runs have ended."""

    def __init__(self) -> None:
        self.waiting: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self.ended: dict[Path, threading.Event] = {}

    def read(self) -> None:
        for line in sys.stdin:
            try:
                request = json.loads(line)
            except ValueError:  # torn: the writer was killed
                continue
            for what, name in request.items():
                folder = Path(name)
                if what == "follow":
                    self.ended[folder] = threading.Event()
                    self.waiting.put(folder)
                elif folder in self.ended:
                    self.ended[folder].set()
        for event in list(self.ended.values()):
            event.set()
        self.waiting.put(None)
        time.sleep(PATIENCE)
        os._exit(1)  # a training process that was killed cannot end this one


class Reader:
    """Sends each record in a session of its own: online if the server answers, offline otherwise."""

    def __init__(self) -> None:
        self.offline_until = 0.0
        self.warned = False

    def follow(self, folder: Path, ended: threading.Event) -> None:
        with exclusive(folder):
            if not delivered(folder):
                self._send(folder, ended)

    def _send(self, folder: Path, ended: threading.Event) -> None:
        session = self._start(folder)
        while not ended.wait(INTERVAL):
            session.update()
        if not session.finish() and session.online:
            self.offline_until = time.monotonic() + RETRY
            say(f"W&B has not confirmed all of {folder.name}: {SYNC}")

    def _start(self, folder: Path) -> Session:
        why = "WANDB_MODE=offline"
        if wandb_mode() != "offline" and time.monotonic() >= self.offline_until:
            try:
                session = Session(folder, online=True)
                self.warned = False
                say(f"W&B: {session.url}")
                return session
            except Refused as error:  # only this run: the next one is tried online
                why = str(error)
                self.warned = False
            except Unreachable as error:
                why = str(error)
                self.offline_until = time.monotonic() + RETRY
        if not self.warned:  # once, not for each run of a grid
            self.warned = True
            say(f"W&B is offline ({why}): its data is kept beside the record, and {SYNC}")
        return Session(folder, online=False)


def main() -> int:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # SLURM signals every process of a job; the training handles them
    os.nice(10)  # the training has priority
    requests, reader = Requests(), Reader()
    threading.Thread(target=requests.read, daemon=True).start()
    while (folder := requests.waiting.get()) is not None:
        try:
            reader.follow(folder, requests.ended[folder])
        except Exception as error:  # the next records are independent of this one
            say(f"W&B does not show {folder.name}: {one_line(error)[:200]}; {SYNC}")
            reset()
    return 0


if __name__ == "__main__":
    os._exit(main())  # wandb's exit handlers may wait for a server
