"""What was read of finished records before, so that thousands are not parsed again: a cache, never a source.

A record counts as read only while its result.json has the same time, size and inode; `write_whole` gives each new
result another inode. Losing the file costs time alone.
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import ablate
from ablate.files import cache_folder, write_whole
from ablate.runs.signature import SCHEMA

Stamp = tuple[int, int, int]
WORTHWHILE = 500
"""Records below which nothing is kept: reading them anew takes no longer."""
FORM = [2, SCHEMA, ablate.__version__]


def stamp(file: Path) -> Stamp:
    """What changes when a file does."""
    found = os.stat(file)
    return found.st_mtime_ns, found.st_size, found.st_ino


class Memory:
    """What is remembered of the records of one folder."""

    def __init__(self, runs: Path) -> None:
        where = hashlib.sha256(os.fsencode(runs.resolve())).hexdigest()[:24]
        self.file = cache_folder() / f"records-{where}.json"
        self.runs = runs
        self.known: dict[str, list[Any]] = {}
        self.configs: dict[str, Any] = {}
        self.fresh: dict[str, list[Any]] = {}
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            kept = json.loads(self.file.read_bytes())
            if kept["form"] == FORM:
                self.known, self.configs = dict(kept["runs"]), dict(kept["configs"])

    def get(self, name: str, now: Stamp | None) -> tuple[str, dict[str, Any], str, dict[str, Any]] | None:
        """State, configuration, cell and result of the record `name`, if its result.json is what it was."""
        try:
            before, state, cell, seed, result = self.known[name]
            if now is None or before != list(now):
                return None
            return state, {**self.configs[cell], "seed": seed}, cell, dict(result)
        except (KeyError, TypeError, ValueError):
            return None

    def put(self, name: str, now: Stamp | None, state: str, config: dict[str, Any], cell: str, result: Any) -> None:
        """Remember a record; one that is under way has no stamp, and is not."""
        if now is not None:
            self.configs.setdefault(cell, config)
            self.fresh[name] = [list(now), state, cell, config["seed"], result]

    def save(self) -> None:
        """Write down what is new, where that saves time."""
        if not self.fresh or len(self.known) + len(self.fresh) < WORTHWHILE:
            return
        there = set(os.listdir(self.runs))
        whole = {name: entry for name, entry in {**self.known, **self.fresh}.items() if name in there}
        content = json.dumps({"form": FORM, "configs": self.configs, "runs": whole}).encode()
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.file, content, durable=False)
