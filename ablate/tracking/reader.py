"""The process that reads records and feeds them to W&B, one after another, for the process that trains them.

It is told by lines of JSON on its input, {"follow": FOLDER} and {"ended": FOLDER}; the end of its input means that
nothing more comes, or that who trained is gone: it then has seconds to send what is left. What a person should know it
says on its output.
"""

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path

from ablate.base.signals import SIGNALS
from ablate.tracking.follower import PATIENCE
from ablate.tracking.session import Refused, Session, Unreachable, brief, delivered, exclusive, forget, wanted_mode

LOOK = 2.0
"""Seconds between looks at a record that is under way."""
AGAIN = 60.0
"""Seconds for which a server that could not be had is not asked again."""
SYNC = "ablate sync sends it later"


class Orders:
    """What the training process wants, in its order, and which runs have ended."""

    def __init__(self) -> None:
        self.waiting: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self.ended: dict[Path, threading.Event] = {}

    def listen(self) -> None:
        for line in sys.stdin:
            try:
                order = json.loads(line)
            except ValueError:  # cut short: who wrote it is gone
                continue
            for what, name in order.items():
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
        os._exit(1)  # who trained may be gone, killed, and then nobody else ends this


class Reader:
    """Feeds each record to a session of its own: online if a server can be had, offline otherwise."""

    def __init__(self) -> None:
        self.offline_until = 0.0
        self.said = False

    def follow(self, folder: Path, ended: threading.Event) -> None:
        with exclusive(folder):
            if not delivered(folder):
                self._feed(folder, ended)

    def _feed(self, folder: Path, ended: threading.Event) -> None:
        session = self._begin(folder)
        seen = None
        while not ended.wait(LOOK):
            if (now := _size(folder / "metrics.jsonl")) != seen:
                seen = now
                session.update()
        if not session.finish() and session.online:
            self.offline_until = time.monotonic() + AGAIN
            _say(f"W&B has not confirmed all of {folder.name}: {SYNC}")

    def _begin(self, folder: Path) -> Session:
        why = "WANDB_MODE=offline"
        if wanted_mode() == "online" and time.monotonic() >= self.offline_until:
            try:
                session = Session(folder, online=True)
                self.said = False
                _say(f"W&B: {session.url}")
                return session
            except Refused as error:  # this one exclusive
                why = str(error)
                self.said = False
            except Unreachable as error:
                why = str(error)
                self.offline_until = time.monotonic() + AGAIN
        if not self.said:  # once, and not for each run of a grid
            self.said = True
            _say(f"W&B is offline ({why}): what it would be told stays beside the record, and {SYNC}")
        return Session(folder, online=False)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _say(sentence: str) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more; the record is still to be sent
        print(sentence, flush=True)


def main() -> int:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # SLURM sends them to every process of a job; the training answers them
    if hasattr(os, "nice"):
        os.nice(10)  # the training comes first
    orders, reader = Orders(), Reader()
    threading.Thread(target=orders.listen, daemon=True).start()
    if wanted_mode() == "disabled":
        _say("W&B is switched off by WANDB_MODE")
    while (folder := orders.waiting.get()) is not None:
        if wanted_mode() == "disabled":
            continue
        try:
            reader.follow(folder, orders.ended[folder])
        except Exception as error:  # one record's trouble is not the next one's
            _say(f"W&B does not show {folder.name}: {brief(error)}; {SYNC}")
            with contextlib.suppress(ImportError):
                forget()
    return 0


if __name__ == "__main__":
    status = main()
    with contextlib.suppress(AttributeError, OSError, ValueError):  # it is closed
        sys.stdout.flush()
    os._exit(status)  # wandb's own goodbye may wait for a server
