"""The files of an image folder, and a fingerprint of them for signatures. Imports no torch."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ablate.base.files import cache_folder, write_whole

SPLITS = ("train", "test")
LITTER = {"Thumbs.db", "desktop.ini"}  # files that desktops add


def listing(root: Path) -> Iterator[Path]:
    """The images of both splits, ROOT/SPLIT/CLASS/FILE in order of names, without hidden files and LITTER."""
    for split in SPLITS:
        for folder in sorted((root / split).iterdir()):
            if folder.is_dir() and not folder.name.startswith("."):
                for path in sorted(folder.iterdir()):
                    if path.is_file() and not path.name.startswith(".") and path.name not in LITTER:
                        yield path


def listing_key(root: Path) -> str:
    """A hash of the folder's path and of every file's class, name, size and time. It changes with any file."""
    digest = hashlib.sha256(os.fsencode(root.resolve()))
    for path in listing(root):
        stat = path.stat()
        digest.update(os.fsencode(f"{path.relative_to(root)}\0{stat.st_size}\0{stat.st_mtime_ns}\n"))
    return digest.hexdigest()[:24]


def fingerprint(root: Path) -> str:
    """A hash of every image's split, class, name and bytes; the folder's own path is not in it.

    Cached on disk until the `listing_key` changes. Raises OSError if a file cannot be read.
    """
    cached = cache_folder() / f"fingerprint-{listing_key(root)}"
    with contextlib.suppress(OSError):
        return cached.read_text()
    files, digest = list(listing(root)), hashlib.sha256()
    with ThreadPoolExecutor() as pool:
        hashes = pool.map(lambda path: hashlib.sha256(path.read_bytes()).digest(), files)
        for path, content in zip(files, hashes, strict=True):
            digest.update(os.fsencode(f"{path.relative_to(root)}\0") + content)
    result = digest.hexdigest()[:16]
    with contextlib.suppress(OSError):
        cached.parent.mkdir(parents=True, exist_ok=True)
        write_whole(cached, result.encode())
    return result
