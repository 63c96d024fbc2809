"""Writes a run's folder and reads its state.

result.json exists only after a run has ended or was interrupted by a signal; it is removed when the run resumes.
"""

import itertools
import json
import math
import os
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import yaml

from ablate.base.errors import AblateError, ConfigError
from ablate.base.files import read_json, sweep_temporaries, to_json, write_whole, writing
from ablate.config.schema import Config
from ablate.runs import layout
from ablate.runs.code import changes
from ablate.runs.identity import cell, folder_name

DONE = ("finished", "stopped", "diverged")
RERUN = {"failed": ("failed",), "all": (*DONE, "failed")}
"""The statuses that rerun= trains again, whatever the code: never an unfinished run, which resumes."""
RESUMES = "free some space and run the same command again, which resumes from the last checkpoint"
"""Advice to a user whose disk is full."""

Action = Literal["skip", "train again", "train"]


class OtherCode(ConfigError):
    """A run was begun or finished by other code; `changed` names what differs."""

    def __init__(self, what: str, changed: list[str]) -> None:
        self.changed = changed
        super().__init__(
            f"{what} by other code ({', '.join(changed)} differ): add rerun=changed to train again, or "
            "accept_code=true to keep the old results"
        )


class Record:
    """A run: its configuration, typed and as plain values (`tree`), and its folder. Creating one touches no file."""

    def __init__(self, config: Config) -> None:
        self.config, self.tree = config, asdict(config)
        self.name = folder_name(self.tree)
        self.cell = cell(self.tree)
        self.folder = Path(config.results) / self.name

    @property
    def signature(self) -> str:
        return self.name.rpartition("-")[2]

    def read_result(self) -> dict[str, Any] | None:
        """The content of result.json, or None if there is none or it is not valid JSON.

        Raises AblateError if it cannot be read for another reason: it may say that the run is done.
        """
        path = self.folder / layout.RESULT
        try:
            return read_json(path)
        except OSError as error:
            raise AblateError(f"{path} cannot be read: {error.strerror}") from error

    def status(self) -> str:
        """The status in result.json, or 'unfinished'."""
        result = self.read_result()
        return str(result.get("status")) if result else "unfinished"

    def finished(self) -> bool:
        """Whether nothing is left to train: finished, stopped at chance or diverged."""
        return self.status() in DONE

    def action(self) -> Action:
        """What a request for this run has to do. 'train' resumes if there is a checkpoint.

        Raises OtherCode if the run was finished by other code, and the configuration does not say what to do then.
        """
        result = self.read_result() or {}
        status = str(result.get("status"))
        if status in RERUN.get(self.config.rerun or "", ()):
            return "train again"
        if status not in DONE:
            return "train"
        if self.config.accept_code or not (changed := changes(self.tree, result.get("code") or {})):
            return "skip"
        if self.config.rerun == "changed":
            return "train again"
        raise OtherCode(f"{self.folder} was trained", changed)

    def make_folder(self) -> None:
        """Raises AblateError if it cannot be made. Only the process that holds the lock writes into the folder."""
        with writing(self.folder, "use results=FOLDER"):
            self.folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.folder).close()

    def start(self, evaluations: Iterable[dict[str, Any]]) -> None:
        """Turn the folder into that of an unfinished run with these evaluations. Requires the lock."""
        sweep_temporaries(self.folder)
        self._write(layout.CONFIG, yaml.safe_dump(self.tree, sort_keys=False))
        self.write_metrics(evaluations)
        (self.folder / layout.RESULT).unlink(missing_ok=True)

    def write_metrics(self, evaluations: Iterable[dict[str, Any]]) -> None:
        self._write(layout.METRICS, "".join(to_json(line) + "\n" for line in evaluations))

    def write_signal(self, lines: Iterable[dict[str, Any]]) -> None:
        self._write(layout.SIGNAL, "".join(to_json(line) + "\n" for line in lines))

    def write_result(self, result: dict[str, Any]) -> None:
        self._write(layout.RESULT, to_json(result, indent=1) + "\n")

    def _write(self, name: str, content: str) -> None:
        """Replace a file at once. Raises AblateError, with the file as it was, if the disk refuses."""
        with writing(self.folder / name, RESUMES):
            write_whole(self.folder / name, content.encode())

    def log(self, line: str) -> None:
        try:
            with open(self.folder / layout.LOG, "a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(line + "\n")
        except OSError:
            pass  # a full disk must not end the run

    def archive(self) -> Path:
        """Move the folder to _archived and return its new path."""
        archived = self.folder.parent / layout.ARCHIVED
        archived.mkdir(parents=True, exist_ok=True)
        number = next(n for n in itertools.count(1) if not (archived / f"{self.name}.{n}").exists())
        return self.folder.rename(archived / f"{self.name}.{number}")


MEASURED = (
    *("epoch", "lr", "train_loss", "train_error", "test_loss", "test_error"),
    *("seconds", "images_per_second"),
)
ERRORS = ("train_error", "test_error")
TAIL = 1 << 16
"""Bytes in which the last line of metrics.jsonl is looked for."""


def read_metrics(folder: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """The evaluations in a run's metrics.jsonl, and the 1-based numbers of the lines that are none.

    What follows the last newline is still being written and counts as neither. Raises OSError other than for a
    missing file.
    """
    try:
        *lines, _ = (folder / layout.METRICS).read_bytes().split(b"\n")
    except FileNotFoundError:
        return [], []
    found, bad = [], []
    for number, line in enumerate(lines, 1):
        try:
            found.append(_evaluation(line))
        except ValueError:
            bad.append(number)
    return found, bad


def last_evaluation(folder: Path) -> dict[str, Any] | None:
    """The evaluation in the last whole line of metrics.jsonl; None if there is none. Raises OSError as `read_metrics`.

    Reads only the end of the file.
    """
    try:
        with open(folder / layout.METRICS, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            *lines, _ = file.read().split(b"\n")
        return _evaluation(lines[-1])
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _evaluation(line: bytes) -> dict[str, Any]:
    """A line of metrics.jsonl. Raises ValueError for one that no evaluation wrote."""
    try:
        row = json.loads(line)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(row, dict) or type(row.get("step")) is not int or row["step"] < 0:
        raise ValueError("no step")
    probes = row.get("probes") or {}
    if not isinstance(probes, dict):
        raise ValueError("no probes")
    if not all(map(_is_number, [row["step"], *map(row.get, MEASURED), *probes.values()])):
        raise ValueError("not a number")
    if not all(0 <= row[key] <= 100 for key in ERRORS if row.get(key) is not None):
        raise ValueError("not a percentage")
    return row


def _is_number(value: Any) -> bool:
    """Whether JSON's value is a number that a float can hold, or null, which stands for others."""
    return value is None or (type(value) in (int, float) and abs(value) < (2**53 if type(value) is int else math.inf))
