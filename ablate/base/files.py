"""Atomic file writes, strict JSON, and the cache folder."""

import contextlib
import functools
import hashlib
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import platformdirs

from ablate.base.errors import AblateError

TEMPORARY = ".writing-"
FINGERPRINT = 16
"""Hexadecimal digits of a file's hash."""
UMASK = os.umask(0)  # it can be read only by setting it; done here, before there are threads
os.umask(UMASK)


def write_whole(
    path: Path, content: bytes, *, durable: bool = True, rename: Callable[[str, Path], object] | None = None
) -> None:
    """Write a temporary file beside `path`, flush it to disk, rename it: a reader sees the old content or the new.

    Raises OSError and leaves `path` as it was. `durable=False` skips the flushing, for files that may be lost. `rename`
    takes the place of os.replace.
    """
    handle, name = tempfile.mkstemp(prefix=f"{TEMPORARY}{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~UMASK)
        (rename or os.replace)(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
    if durable:
        with contextlib.suppress(OSError):  # some file systems cannot flush a folder, and so the renaming
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


@contextlib.contextmanager
def writing(path: Path, advice: str) -> Iterator[None]:
    """Turns an OSError in this context into the sentence that `path` cannot be written, with `advice`."""
    try:
        yield
    except OSError as error:
        raise AblateError(f"{path} cannot be written: {error.strerror}; {advice}") from error


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None if the file is missing or holds no object. Raises other OSErrors."""
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def fingerprint(path: Path) -> str:
    """A hash of a file's content, whatever its path. Raises OSError.

    A file that is unchanged by its size and time is read once in a process: all runs of a grid may ask for it.
    """
    stat = path.stat()
    return _fingerprint(path.resolve(), stat.st_size, stat.st_mtime_ns)


@functools.cache
def _fingerprint(path: Path, size: int, time_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:FINGERPRINT]


def cache_folder() -> Path:
    """The folder for data derived from other files. It can be deleted at any time."""
    return platformdirs.user_cache_path("ablate")


def sweep_temporaries(folder: Path) -> None:
    """Remove temporary files that killed writers left in `folder`, but none that another process may be writing."""
    for path in folder.glob(f"{TEMPORARY}*"):
        with contextlib.suppress(FileNotFoundError):
            if "lock-" not in path.name or time.time() - path.stat().st_mtime > 3600:
                path.unlink()


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Strict JSON: numbers that are not finite, which JSON lacks, become null."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False, ensure_ascii=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
