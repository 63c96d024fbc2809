"""One W&B run, online or offline, fed from a record. The only module that uses wandb to send."""

import contextlib
import fcntl
import os
import re
import shutil
import socket
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ablate.base.errors import one_line
from ablate.base.files import to_json, write_whole
from ablate.runs import layout
from ablate.runs.record import DONE
from ablate.tracking.facts import facts, read, rows, summary, sweep

INIT, FINISH, REACH, CONFIRM = 6.0, 5.0, 2.0, 1.5
"""Seconds for the server: to create or resume a run, to take its last rows, to accept a connection, to confirm."""
HANDOVER = 20.0
"""Seconds to wait for another process that sends the same record; one whose run was killed needs up to 12."""
OWN = ("id", "project", "entity")
"""What identifies a run on W&B."""
SETTINGS: dict[str, Any] = {
    "init_timeout": INIT,
    "finish_timeout": FINISH,
    "finish_timeout_raises": True,
    "login_timeout": 1,
    "silent": True,
    "console": "off",
    "disable_git": True,  # the record has the training's commit; this process may run elsewhere
    "disable_code": True,
    "save_code": False,
    "x_disable_stats": True,  # it would measure this process, not the training
}


class Busy(Exception):
    """Another process is sending this record."""


class Unreachable(Exception):
    """The server is unavailable; the message says why in a few words."""


class Refused(ValueError):
    """The server refuses this run, which may have been deleted there. Other runs are not affected."""


class Session:
    """Sends one run. `online` raises Unreachable or Refused if it cannot start; offline writes to disk."""

    def __init__(self, folder: Path, *, online: bool, project: str | None = None, entity: str | None = None) -> None:
        self.folder, self.online = folder, online
        self.facts = facts(folder, project, entity)
        writable = os.access(folder, os.W_OK)
        if not (writable or online):
            raise OSError(f"{folder} cannot be written")
        os.environ.setdefault("WANDB_SILENT", "true")  # wandb prints about logging in before it reads its settings
        import wandb

        if online:
            reach(wandb.setup().settings.base_url)
        self.scratch = None if writable else tempfile.mkdtemp(prefix="ablate-wandb-")
        older = _session_folders(folder)
        try:
            self.run = wandb.init(
                **self.facts,
                dir=self.scratch or folder,
                mode="online" if online else "offline",
                resume="allow",
                settings=SETTINGS,
            )
        except Exception as error:
            reset()
            refused = re.search(r"\b(400|403|404|409|410|422)\b", str(error))
            raise (Refused if refused else Unreachable)(_why(error)) from error
        self.url: str | None = self.run.url
        self.run.define_metric("step")
        self.run.define_metric("*", step_metric="step")
        self.next = self.run.starting_step  # after the last step that the server has, so no step is sent twice
        self.last = -1
        self.update()
        self._note(delivered=False)
        # This session sends what the server lacks, or all of it offline: the files of earlier sessions are obsolete.
        for path in older:
            shutil.rmtree(path, ignore_errors=True)

    def update(self) -> None:
        """Send the evaluations that are new in the record."""
        for row in rows(self.folder):
            self.last = max(self.last, row["step"])
            if row["step"] >= self.next:
                # Without commit, wandb writes the row last, over the final numbers.
                self.run.log(row, step=row["step"], commit=True)
                self.next = row["step"] + 1

    def finish(self) -> bool:
        """Send the rest and how the run ended. Returns whether the server has confirmed all of it."""
        self.update()
        ended = read(self.folder, layout.RESULT)
        for key, value in summary(ended).items():
            self.run.summary[key] = value
        status = str(ended.get("status") or "killed")
        try:
            self.run.finish(exit_code=0 if status in DONE else 1)
            delivered = self.online and self._confirmed()
        except Exception:  # wandb raises many kinds; the record and wandb's files on disk are complete
            delivered = False
        self._note(delivered=delivered, status=status)
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)
        return delivered

    def _confirmed(self) -> bool:
        """Whether the server says that it has the last row: wandb reports no error for uploads that were refused."""
        import wandb

        until = time.monotonic() + CONFIRM
        while True:
            with contextlib.suppress(Exception):
                there = wandb.Api(timeout=3).run("/".join([self.run.entity, self.run.project, self.run.id]))
                if self.last < 0 or (there.lastHistoryStep is not None and there.lastHistoryStep >= self.last):
                    return True
            if time.monotonic() > until:
                return False
            time.sleep(0.3)

    def _note(self, *, delivered: bool, status: str = "running") -> None:
        note = {
            **{key: self.facts[key] for key in OWN},
            "sweep": sweep(self.folder).get("sweep"),
            "mode": "online" if self.online else "offline",
            "url": self.url,
            "step": self.last,
            "status": status,
            "delivered": delivered,
        }
        with contextlib.suppress(OSError):  # without a note the record is sent again, which changes nothing
            content = to_json(note, indent=1) + "\n"
            write_whole(self.folder / layout.WANDB_LEDGER, content.encode(), durable=False)


def delivered(folder: Path, project: str | None = None, entity: str | None = None) -> bool:
    """Whether the server has the record as it is now, in its own project or the given one."""
    note, known = read(folder, layout.WANDB_LEDGER), facts(folder, project, entity)
    now = {
        **{key: known[key] for key in OWN},
        "status": read(folder, layout.RESULT).get("status"),
        "step": max((row["step"] for row in rows(folder)), default=-1),
        "delivered": True,
    }
    return all(key in note and note[key] == value for key, value in now.items())


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """A context in which no other process sends the record: two would delete each other's files.

    Raises Busy if another process does not finish within HANDOVER seconds.
    """
    try:
        (folder / layout.WANDB).mkdir(exist_ok=True)
        lock = os.open(folder / layout.WANDB / "lock", os.O_WRONLY | os.O_CREAT, 0o666)
    except OSError:  # a read-only folder: there are no files to delete
        yield
        return
    until = time.monotonic() + HANDOVER
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Busy("another process is sending it") from None
                time.sleep(0.2)
            except OSError:  # a file system without locks
                break
        yield
    finally:
        os.close(lock)


def reach(url: str) -> None:
    """Raise Unreachable if nothing answers at the server's address; wandb would retry until its time is up."""
    if {key for key in urllib.request.getproxies() if key != "no"}:
        return  # only the proxy can reach the server
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=REACH).close()
    except OSError as error:
        raise Unreachable(f"{parts.hostname} cannot be reached ({error})") from error


def reset() -> None:
    """Restart wandb's own process. After a failure, wandb would refuse the next run as in use."""
    with contextlib.suppress(Exception):
        import wandb

        wandb.teardown()


def _session_folders(folder: Path) -> list[Path]:
    found = (folder / layout.WANDB).glob("*run-*")
    return [path for path in found if path.is_dir() and not path.is_symlink()]


def _why(error: Exception) -> str:
    message = str(error)
    if "api_key" in message or "API key" in message or "login" in message:
        return "no API key: run wandb login"
    if "401" in message or "403" in message:
        return "the API key was refused"
    if "deadline exceeded" in message or "timed out" in message:
        return "no answer"
    return one_line(error)[:200]
