"""The lock on a run's folder: only one process trains a run, and a lock whose process has died is stale.

A process that finds no active lock creates `lock-N.json` with the next N, which the file system grants to one process
only, and then checks again. It renews the file every few seconds; `ablate status` reads the run's progress in it. No
process waits for a lock. A lock of this host is stale when its process is gone; one of another host, when its file has
not been renewed for STALE seconds by the file server's clock.
"""

import contextlib
import json
import os
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ablate.base.errors import AblateError
from ablate.base.files import read_json, write_whole
from ablate.runs.layout import LOCK

HEARTBEAT = 15.0
"""Seconds between renewals."""
STALE = 180.0
"""Seconds after which another host's lock is stale: twelve heartbeats, more than NFS caches a file's time."""

NUMBER = (int, float)
TYPES = {
    **dict.fromkeys(("host", "machine", "job"), (str,)),
    **dict.fromkeys(("pid", "step", "steps"), (int,)),
    **dict.fromkeys(("born", "renewed", "images_per_second"), NUMBER),
}
"""The types of what a lock file holds."""


class LockLost(AblateError):
    """Another process found this one's lock stale and took it over."""


class Lock:
    """Locks a run's folder, which must exist. As a context, renews the lock until it is left.

    `status()` returns the run's progress for the lock file.
    """

    def __init__(self, folder: Path, status: Callable[[], dict[str, Any]] = dict) -> None:
        self.folder, self.status = folder, status
        self.path: Path | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew_forever, daemon=True, name="heartbeat")

    def acquire(self) -> dict[str, Any] | None:
        """Take the lock and return None, or return the content of the active lock."""
        while True:
            other = active_lock(self.folder)
            if other:
                return other
            path = self.folder / LOCK.format(_newest(self.folder) + 1)
            try:
                self._write(path, rename=_link)
            except FileExistsError:
                continue  # another process was faster: check again
            # A process suspended between its check and its file may find the folder locked meanwhile. Both check again
            # once their own file exists, so at least one sees the other and backs off.
            if any(path != other and _active(other) for other in _files(self.folder)):
                path.unlink(missing_ok=True)
                time.sleep(random.uniform(0.01, 0.1))
                continue
            self.path = path
            return None

    def check(self) -> None:
        """Raise LockLost if another process has taken the lock over."""
        assert self.path is not None
        if not self.path.exists() or _newest(self.folder) > _number(self.path):
            raise LockLost(f"{self.folder} was taken over by another process, which found this one's lock stale")

    def release(self) -> None:
        """Remove this lock and the stale ones before it."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        assert self.path is not None
        for path in reversed(_files(self.folder)):  # its own last
            if _number(path) <= _number(self.path):
                path.unlink(missing_ok=True)
        self.path = None

    def __enter__(self) -> "Lock":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is LockLost:
            self._stop.set()  # the files are the other process's now
        else:
            self.release()

    def renew(self) -> None:
        """Raises LockLost, or OSError if the file system refuses."""
        self.check()
        assert self.path is not None
        self._write(self.path)

    def _write(self, path: Path, rename: Callable[[str, Path], object] | None = None) -> None:
        write_whole(path, json.dumps(self._content()).encode(), durable=False, rename=rename)

    def _content(self) -> dict[str, Any]:
        where = {"host": socket.gethostname(), "machine": _machine()}
        if job := os.environ.get("SLURM_JOB_ID"):
            where["job"] = job
        return {**where, "pid": os.getpid(), "born": _born(os.getpid()), "renewed": time.time(), **self.status()}

    def _renew_forever(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            try:
                self.renew()
            except LockLost:
                return  # the training thread notices at its next checkpoint
            except OSError:
                continue  # a full disk must not end a run; the next heartbeat tries again


def _link(name: str, path: Path) -> None:
    """Give a file another name. Raises FileExistsError if there is a file of that name, which a renaming would not."""
    try:
        os.link(name, path)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:
        # A file system without hard links: exFAT, Google Drive, some network mounts. Creating the file is weaker in two
        # ways: the file is empty for a moment, in which `_active` judges it by its age; and a server may grant it to
        # two hosts, which usually see each other when they check again.
        with open(path, "xb") as file:
            file.write(Path(name).read_bytes())


def active_lock(folder: Path, *, probe: bool = True) -> dict[str, Any] | None:
    """The content of the active lock on a run's folder, or None.

    `probe=False` writes nothing: the age of another host's lock is then taken from this host's clock.
    """
    return next((_read(path) or {"host": "an unknown host"} for path in _files(folder) if _active(path, probe)), None)


def last_lock(folder: Path) -> dict[str, Any] | None:
    """The content of the newest lock, active or stale, or None."""
    return next(filter(None, map(_read, _files(folder))), None)


def _read(path: Path) -> dict[str, Any] | None:
    """The content of a lock file, or None if there is none that a process of this package wrote."""
    try:
        content = read_json(path) or {}
    except OSError:
        return None
    whole = {"host", "pid"} <= content.keys() and ("step" in content or "steps" not in content)
    known = [(content[key], types) for key, types in TYPES.items() if key in content]
    valid = all(type(value) in types and (types == (str,) or abs(value) < 2**53) for value, types in known)
    return content if whole and valid else None


def _active(path: Path, probe: bool = True) -> bool:
    content = _read(path)
    try:
        if content is not None and content.get("machine") == _machine() and not _hidden(int(content["pid"])):
            return _born(int(content["pid"])) == float(content["born"])
        return (_now(path.parent) if probe else time.time()) - path.stat().st_mtime < STALE
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return False


def _born(pid: int) -> float | None:
    """When a process started, or None if it is gone. Distinguishes it from a later process with the same number.

    On Linux in ticks since boot, which no clock change shifts.
    """
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if state in "ZX" else float(rest[18])
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):  # on Linux it raises this
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    return None


def _hidden(pid: int) -> bool:
    """Whether another user's process exists that /proc does not show, as with the mount option hidepid."""
    if Path(f"/proc/{pid}").exists():
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def _now(folder: Path) -> float:
    """The time by the file server's clock, from which hosts' clocks may differ."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()


def _machine() -> str:
    """What a process number is unique in: a host since its boot, or a container on it."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # macOS has neither
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.readlink("/proc/self/ns/pid")]
    return " ".join(parts)


def _files(folder: Path) -> list[Path]:
    """The lock files in a folder, the newest first."""
    found = (path for path in folder.glob(LOCK.format("*")) if path.stem.removeprefix("lock-").isdigit())
    return sorted(found, key=_number, reverse=True)


def _newest(folder: Path) -> int:
    return next(map(_number, _files(folder)), 0)


def _number(path: Path) -> int:
    return int(path.stem.removeprefix("lock-"))
