"""Who is training a run: one process at a time, and a dead one is followed by the next.

Every starter that finds no living holder makes `holder-N.json` with the next N, which a file system gives to one of
them alone, and then looks again. The holder renews its file every few seconds; a report reads in
it how far the run is. No file is ever waited for: a holder on this host is dead when its process is gone, one on
another host when its file has not been renewed for STALE seconds by the file server's own clock.
"""

import json
import os
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from ablate.errors import AblateError
from ablate.files import TEMPORARY, UMASK, write_whole

BEAT = 15.0
"""Seconds between renewals."""
STALE = 180.0
"""Seconds after which a holder on another host counts as dead: twelve beats, more than NFS caches a file's time."""


class Lost(AblateError):
    """This process is no longer the holder: it was taken for dead and another one goes on."""


class Holder:
    """Holds a run's folder, which must exist. As a context, renews until it is left."""

    def __init__(self, folder: Path, news: Callable[[], dict[str, Any]] = dict) -> None:
        self.folder, self.news = folder, news
        self.path: Path | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True, name="heartbeat")

    def take(self) -> dict[str, Any] | None:
        """Become the holder and give None, or give what the living holder says of itself."""
        while True:
            other = living(self.folder)
            if other:
                return other
            number = max((_number(path) for path in _files(self.folder)), default=0) + 1
            path = self.folder / f"holder-{number}.json"
            try:
                _create(path, json.dumps(self._card()).encode())
            except FileExistsError:
                continue  # somebody was faster: look again
            # A starter that fell asleep between its look and its file may find the folder held meanwhile. Both sides
            # look after their own file is there, so at least one sees the other and steps back.
            if any(path != other and _alive(other) for other in _files(self.folder)):
                path.unlink(missing_ok=True)
                time.sleep(random.uniform(0.01, 0.1))
                continue
            self.path = path
            return None

    def check(self) -> None:
        """Raise Lost if another process has taken this one for dead and gone on."""
        assert self.path is not None
        if not self.path.exists() or max(map(_number, _files(self.folder)), default=0) > _number(self.path):
            raise Lost(f"{self.folder} was taken over by another process, which had taken this one for dead")

    def release(self) -> None:
        """Let go, without a trace of this holder and of those before it."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        assert self.path is not None
        for path in sorted(_files(self.folder), key=_number):  # one's own last
            if _number(path) <= _number(self.path):
                path.unlink(missing_ok=True)
        self.path = None

    def __enter__(self) -> "Holder":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Lost):
            self._stop.set()  # the files are the other's now
        else:
            self.release()

    def beat(self) -> None:
        """Say that the holder lives. Raises Lost, or OSError where the file system refuses."""
        self.check()
        assert self.path is not None
        write_whole(self.path, json.dumps(self._card()).encode(), durable=False)

    def _card(self) -> dict[str, Any]:
        where = {"host": socket.gethostname(), "machine": _machine()}
        if job := os.environ.get("SLURM_JOB_ID"):
            where["job"] = job
        return {**where, "pid": os.getpid(), "born": _born(os.getpid()), "renewed": time.time(), **self.news()}

    def _renew(self) -> None:
        while not self._stop.wait(BEAT):
            try:
                self.beat()
            except Lost:
                return  # the training thread finds it out at its next checkpoint
            except OSError:
                continue  # a full disk must not end a run; the next beat tries again


def _create(path: Path, content: bytes) -> None:
    """Make `path`, whole, if it is not there; raises FileExistsError if it is. A link is exclusive on NFS too."""
    handle, name = tempfile.mkstemp(prefix=f"{TEMPORARY}{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o666 & ~UMASK)  # others look into it, too
        os.link(name, path)
    finally:
        os.unlink(name)


def living(folder: Path, *, probe: bool = True) -> dict[str, Any] | None:
    """What the living holder of a run's folder says of itself, or None.

    `probe=False` writes nothing: another host's age is then told by this host's clock instead of the file server's.
    """
    for path in sorted(_files(folder), key=_number, reverse=True):
        if _alive(path, probe):
            return read(path) or {"host": "a host that does not say"}
    return None


def last(folder: Path) -> dict[str, Any] | None:
    """What the last holder, dead or alive, said of itself, or None where none was."""
    return next((card for path in sorted(_files(folder), key=_number, reverse=True) if (card := read(path))), None)


def read(path: Path) -> dict[str, Any] | None:
    try:
        card = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return card if isinstance(card, dict) else None


def _alive(path: Path, probe: bool = True) -> bool:
    card = read(path)
    try:
        if card is not None and card.get("machine") == _machine():
            return _process_lives(int(card["pid"]), float(card["born"]))
        return (_now(path.parent) if probe else time.time()) - path.stat().st_mtime < STALE
    except FileNotFoundError:
        return False
    except (KeyError, TypeError, ValueError):
        return False


def _process_lives(pid: int, born: float) -> bool:
    """Whether the process is there and is not another one that was given the same number later."""
    return _born(pid) == born


def _born(pid: int) -> float | None:
    """When a process began, or None where there is none; where the system tells, in ticks that no clock can shift."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if state in "ZX" else float(rest[18])
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.NoSuchProcess:
        return None


def _now(folder: Path) -> float:
    """The file server's clock, which hosts' own may differ from."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()


def _machine() -> str:
    """Where a process number means something: a host since its start, and a container on it."""
    parts = [socket.gethostname()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            parts.append(os.readlink(path) if path.endswith("ns/pid") else Path(path).read_text().strip())
        except OSError:
            continue
    return " ".join(parts)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("holder-*.json") if path.stem.removeprefix("holder-").isdigit()]


def _number(path: Path) -> int:
    return int(path.stem.removeprefix("holder-"))
