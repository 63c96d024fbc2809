"""The files of an image folder, and a fingerprint of them for signatures. Imports no torch."""

import contextlib
import functools
import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ablate.base.errors import AblateError, printable
from ablate.base.files import cache_folder, write_whole

SPLITS = ("train", "test")
LITTER = ("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir")
"""What desktops, archives and servers add, in lower case."""


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Turns an OSError into a sentence."""
    try:
        yield
    except OSError as error:
        raise AblateError(f"{printable(error.filename)} cannot be read: {error.strerror}") from error


@_reading()
def listing(root: Path, splits: Sequence[str] = SPLITS) -> list[Path]:
    """The images of two splits, ROOT/SPLIT/CLASS/.../FILE, in the order of torchvision's ImageFolder.

    As there, a class has all files below its folder. Hidden files and LITTER are skipped. Raises AblateError that names
    anything else that is not a file of a class, or a class that is empty or in one split only.
    """
    found: list[Path] = []
    classes: dict[str, list[str]] = {}
    for split in splits:
        for entry in _entries(root / split):
            folder = Path(entry.path)
            if not entry.is_dir():
                raise AblateError(
                    f"{printable(folder)} is not the folder of a class: move images to {root / split}/CLASS/"
                )
            if os.fsencode(folder.name).decode(errors="replace") != folder.name:  # a record could not name the class
                raise AblateError(f"{printable(folder)}: the name of the class is not UTF-8: rename the folder")
            files = sorted(_files(folder), key=lambda path: (str(path.parent), path.name))
            if not files:
                raise AblateError(f"{printable(folder)} has no images: add some, or remove the folder")
            found += files
            classes.setdefault(folder.name, []).append(split)
    for name, having in sorted(classes.items()):
        if len(having) < len(splits):
            needed = " and ".join(f"{split}/" for split in splits)
            raise AblateError(f"{root}: class {name!r} has images in {having[0]}/ only: it needs both {needed}")
    if len(classes) < 2:
        raise AblateError(f"{root} has {len(classes)} class folders with images: it needs two or more")
    return found


def class_of(root: Path, path: Path) -> str:
    """The class of a file in `listing(root)`."""
    return path.relative_to(root).parts[1]


def _files(folder: Path, above: tuple[tuple[int, int], ...] = ()) -> Iterator[Path]:
    stat = folder.stat()
    if (stat.st_dev, stat.st_ino) in above:
        raise AblateError(f"{printable(folder)} links to a folder that it is in: remove the link")
    for entry in _entries(folder):
        if entry.is_dir():
            yield from _files(Path(entry.path), (*above, (stat.st_dev, stat.st_ino)))
        elif entry.is_file():
            yield Path(entry.path)
        else:
            name = printable(entry.path)
            raise AblateError(f"{name} is neither a file nor a folder, or links to a missing one: remove it")


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:  # which says what a file is without asking the disk for each
        kept = [entry for entry in entries if entry.name[0] != "." and entry.name.lower() not in LITTER]
    return sorted(kept, key=lambda entry: entry.name)


def evaluation_split(root: Path) -> str:
    """Where the images are that a streamed dataset is evaluated on: ImageNet's test images have no labels."""
    return "val" if (root / "val").is_dir() else "test"


@functools.cache
@_reading()
def names_fingerprint(root: Path) -> str:
    """A hash of every image's split, class, name and size: the bytes of a million images are not read for it."""
    digest = hashlib.sha256()
    for path in listing(root, ("train", evaluation_split(root))):
        digest.update(os.fsencode(f"{path.relative_to(root)}\0{path.stat().st_size}\n"))
    return digest.hexdigest()[:16]


@_reading()
def listing_key(root: Path) -> str:
    """A hash of the folder's path and of every file's class, name, size and time. It changes with any file."""
    digest = hashlib.sha256(os.fsencode(root.resolve()))
    for path in listing(root):
        stat = path.stat()
        digest.update(os.fsencode(f"{path.relative_to(root)}\0{stat.st_size}\0{stat.st_mtime_ns}\n"))
    return digest.hexdigest()[:24]


@_reading()
def fingerprint(root: Path) -> str:
    """A hash of every image's split, class, name and bytes; the folder's own path is not in it.

    Cached on disk until the `listing_key` changes. Raises AblateError as `listing`, and for a file that cannot be read.
    """
    cached = cache_folder() / f"fingerprint-{listing_key(root)}"
    with contextlib.suppress(OSError):
        return cached.read_text()
    files, digest = listing(root), hashlib.sha256()
    with ThreadPoolExecutor() as pool:
        hashes = pool.map(lambda path: hashlib.sha256(path.read_bytes()).digest(), files)
        for path, content in zip(files, hashes, strict=True):
            digest.update(os.fsencode(f"{path.relative_to(root)}\0") + content)
    result = digest.hexdigest()[:16]
    with contextlib.suppress(OSError):
        cached.parent.mkdir(parents=True, exist_ok=True)
        write_whole(cached, result.encode())
    return result
