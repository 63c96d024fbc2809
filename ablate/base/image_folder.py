"""What lies in a folder of images. Needs no torch: a signature is made from it."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from ablate.base.files import cache_folder, write_whole

SPLITS = ("train", "test")
LITTER = {"Thumbs.db", "desktop.ini"}
LENGTH = 16


def listing(root: Path, split: str) -> Iterator[tuple[str, Path, int, int]]:
    """(class, file, bytes, mtime in ns) in a fixed order; hidden files and a desktop's litter are passed over."""
    for folder in sorted((entry for entry in os.scandir(root / split) if entry.is_dir()), key=lambda entry: entry.name):
        if folder.name.startswith("."):
            continue
        for entry in sorted(os.scandir(folder.path), key=lambda entry: entry.name):
            if entry.is_file() and not entry.name.startswith(".") and entry.name not in LITTER:
                stat = entry.stat()
                yield folder.name, Path(entry.path), stat.st_size, stat.st_mtime_ns


def listing_key(root: Path) -> str:
    """A hash of where the folder lies and of every file's class, name, size and time: changed files have another."""
    digest = hashlib.sha256(os.fsencode(root.resolve()))
    for split in SPLITS:
        for name, path, size, changed in listing(root, split):
            digest.update(os.fsencode(f"{split}/{name}/{path.name}\0{size}\0{changed}\n"))
    return digest.hexdigest()[:24]


@lru_cache(maxsize=8)
def fingerprint(root: Path) -> str:
    """What is in the folder, wherever it lies: a hash of every image's class, name and bytes.

    Read once; as long as no file's size or time changes it is remembered.
    """
    memory = cache_folder() / f"fingerprint-{listing_key(root)}"
    with contextlib.suppress(OSError):
        known = memory.read_text()
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
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_whole(memory, result.encode())
    return result
