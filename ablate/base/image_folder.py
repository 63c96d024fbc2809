"""The files of an image folder, and a fingerprint of them for signatures. Imports no torch."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ablate.base.files import cache_folder, write_whole

SPLITS = ("train", "test")
LITTER = {"Thumbs.db", "desktop.ini"}
"""Files that desktops add."""
LENGTH = 16
"""Characters of a fingerprint."""


def listing(root: Path, split: str) -> Iterator[tuple[str, Path, int, int]]:
    """(class, file, bytes, mtime in ns) of each image, in order of names, without hidden files and LITTER."""
    for folder in sorted((entry for entry in os.scandir(root / split) if entry.is_dir()), key=lambda entry: entry.name):
        if folder.name.startswith("."):
            continue
        for entry in sorted(os.scandir(folder.path), key=lambda entry: entry.name):
            if entry.is_file() and not entry.name.startswith(".") and entry.name not in LITTER:
                stat = entry.stat()
                yield folder.name, Path(entry.path), stat.st_size, stat.st_mtime_ns


def listing_key(root: Path) -> str:
    """A hash of the folder's path and of every file's class, name, size and time. It changes with any file."""
    digest = hashlib.sha256(os.fsencode(root.resolve()))
    for split in SPLITS:
        for name, path, size, changed in listing(root, split):
            digest.update(os.fsencode(f"{split}/{name}/{path.name}\0{size}\0{changed}\n"))
    return digest.hexdigest()[:24]


def fingerprint(root: Path) -> str:
    """A hash of every image's split, class, name and bytes; the folder's own path is not in it.

    Cached on disk until the `listing_key` changes. Raises OSError if a file cannot be read.
    """
    cached = cache_folder() / f"fingerprint-{listing_key(root)}"
    with contextlib.suppress(OSError):
        known = cached.read_text()
        if len(known) == LENGTH:
            return known
    digest = hashlib.sha256()
    for split in SPLITS:
        entries = list(listing(root, split))
        with ThreadPoolExecutor() as pool:
            hashes = pool.map(lambda path: hashlib.sha256(path.read_bytes()).digest(), [entry[1] for entry in entries])
            for (name, path, _, _), content in zip(entries, hashes, strict=True):
                digest.update(os.fsencode(f"{split}/{name}/{path.name}\0") + content)
    result = digest.hexdigest()[:LENGTH]
    with contextlib.suppress(OSError):
        cached.parent.mkdir(parents=True, exist_ok=True)
        write_whole(cached, result.encode())
    return result
