"""One W&B run, online or offline, fed from a record. The one place that uses wandb."""

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

from ablate.base.files import to_json, write_whole
from ablate.tracking.facts import LEDGER, facts, ledger, result, rows, summary

INIT, FINISH, REACH, CONFIRM = 6.0, 5.0, 2.0, 1.5
"""Seconds: for a server to take a run up, to take the rest at its end, to answer a connection, to confirm."""
HANDOVER = 20.0
"""Seconds for another process to be done with a record; one whose run was killed needs up to 12."""
SUCCESS = ("finished", "diverged")


class Busy(Exception):
    """Another process shows this record."""


class Unreachable(Exception):
    """The server cannot be had now; the message says why in a few words."""


class Refused(ValueError):
    """The server does not take this run, deleted there perhaps; of other runs that says nothing."""


class Session:
    """Feeds one run to W&B. `online` raises Unreachable or Refused where it cannot be begun; offline writes to disk."""

    def __init__(self, folder: Path, *, online: bool, project: str | None = None, entity: str | None = None) -> None:
        self.folder, self.online = folder, online
        self.facts = facts(folder)
        self.project, self.entity = project or self.facts.project, entity or self.facts.entity
        writable = os.access(folder, os.W_OK)
        if not (writable or online):
            raise OSError(f"{folder} cannot be written")
        os.environ.setdefault("WANDB_SILENT", "true")  # or it speaks of logging in before it has read its settings
        import wandb

        if online:
            reach(wandb.setup().settings.base_url)
        self.scratch = None if writable else tempfile.mkdtemp(prefix="ablate-wandb-")
        older = _sessions(folder)
        try:
            self.run = wandb.init(
                project=self.project,
                entity=self.entity,
                id=self.facts.id,
                name=self.facts.name,
                group=self.facts.group,
                tags=self.facts.tags,
                config=self.facts.config,
                dir=self.scratch or folder,
                mode="online" if online else "offline",
                resume="allow",
                settings=_settings(),
            )
        except Exception as error:
            forget()
            kind = Refused if re.search(r"\b(400|403|404|409|410|422)\b", str(error)) else Unreachable
            raise kind(_why(error)) from error
        self.run.define_metric("step")
        self.run.define_metric("*", step_metric="step")
        self.next = self.run.starting_step  # beyond what the server has: a resumed run shows each step once
        self.last = -1
        self.update()
        self._note(delivered=False)
        # Every session sends what the server lacks, or writes all of it where there is no server to ask: what earlier
        # ones have left on disk says nothing more.
        for path in older:
            shutil.rmtree(path, ignore_errors=True)

    def update(self) -> None:
        """Send the evaluations that are new in the record."""
        for row in rows(self.folder):
            self.last = max(self.last, row["step"])
            if row["step"] >= self.next:
                # Committed, or it is written last of all and over the final numbers.
                self.run.log(row, step=row["step"], commit=True)
                self.next = row["step"] + 1

    def finish(self) -> bool:
        """Send what is left and how the run has ended; whether a server has it all now."""
        self.update()
        ended = result(self.folder)
        for key, value in summary(ended).items():
            self.run.summary[key] = value
        status = str(ended.get("status") or "killed")
        try:
            self.run.finish(exit_code=0 if status in SUCCESS else 1)
            delivered = self.online and self._confirmed()
        except Exception:  # it gives up in many ways; the record and its own log on disk have everything
            delivered = False
        self._note(delivered=delivered, status=status)
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)
        return delivered

    @property
    def url(self) -> str | None:
        return self.run.url

    def _confirmed(self) -> bool:
        """Whether the server says that it has the last row: uploads that it refused end without an error."""
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
            "id": self.facts.id,
            "sweep": self.facts.sweep,
            "project": self.project,
            "entity": self.entity,
            "mode": "online" if self.online else "offline",
            "url": self.url,
            "step": self.last,
            "status": status,
            "delivered": delivered,
        }
        with contextlib.suppress(OSError):  # at worst it is sent again, and found to be there
            write_whole(self.folder / LEDGER, (to_json(note, indent=1) + "\n").encode(), durable=False)


def delivered(folder: Path, project: str | None = None, entity: str | None = None) -> bool:
    """Whether a server has the record as it is now, in the project that is asked for or its own."""
    note, known = ledger(folder), facts(folder)
    last = max((row["step"] for row in rows(folder)), default=-1)
    return (
        note.get("delivered") is True
        and note.get("id") == known.id
        and note.get("project") == (project or known.project)
        and note.get("entity") == (entity or known.entity)
        and note.get("status") == result(folder).get("status")
        and note.get("step") == last
    )


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """A context in which no other process sends the record in `folder`. Raises Busy after waiting too long.

    Two would remove each other's files.
    """
    try:
        (folder / "wandb").mkdir(exist_ok=True)
        lock = os.open(folder / "wandb" / "lock", os.O_WRONLY | os.O_CREAT, 0o666)
    except OSError:  # a place where nothing can be written, and so nothing cleared away
        yield
        return
    try:
        until = time.monotonic() + HANDOVER
        while not _locked(lock):
            if time.monotonic() > until:
                raise Busy("another process is at it")
            time.sleep(0.2)
        yield
    finally:
        os.close(lock)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def wanted_mode() -> str:
    """What the user's own setting of W&B says: online, offline or disabled."""
    mode = os.environ.get("WANDB_MODE", "online").lower()
    return {"offline": "offline", "dryrun": "offline", "disabled": "disabled"}.get(mode, "online")


def reach(url: str) -> None:
    """Raise Unreachable where nothing answers at the server's address: wandb would try again until its time is up."""
    if {key for key in urllib.request.getproxies() if key != "no"}:
        return  # the way there is the proxy's
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=REACH).close()
    except OSError as error:
        raise Unreachable(f"{parts.hostname} cannot be reached ({error})") from error


def forget() -> None:
    """Let wandb begin anew: after a failure its next run would be said to be in use, or its own process be dead."""
    import wandb

    with contextlib.suppress(Exception):
        wandb.teardown()


def brief(error: Exception) -> str:
    """What an error says, in a line; wandb's own go over several."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _sessions(folder: Path) -> list[Path]:
    return [path for path in (folder / "wandb").glob("*run-*") if path.is_dir() and not path.is_symlink()]


def _settings() -> Any:
    import wandb

    return wandb.Settings(
        init_timeout=INIT,
        finish_timeout=FINISH,
        finish_timeout_raises=True,
        login_timeout=1,
        silent=True,
        console="off",
        disable_git=True,  # what ran is in the record, which may lie outside any repository
        disable_code=True,
        save_code=False,
        x_disable_stats=True,  # it would watch this process and not the training
    )


def _why(error: Exception) -> str:
    said = str(error)
    if "api_key" in said or "API key" in said or "login" in said:
        return "no API key: wandb login"
    if "401" in said or "403" in said:
        return "the API key was refused"
    if "deadline exceeded" in said or "timed out" in said:
        return "no answer"
    return brief(error)
