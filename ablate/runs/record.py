"""A run's folder, results/runs/NAME-SIGNATURE/, and nothing of how a run is carried out.

result.json appears only when a run has ended, or has been interrupted in good order; it goes when the run is resumed.
"""

import errno
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from ablate.config import Config
from ablate.errors import AblateError
from ablate.files import sweep_temporaries, to_json, write_whole
from ablate.runs.signature import folder_name

DONE = ("finished", "diverged")
AGAIN = {"failed": ("failed",), "all": (*DONE, "failed")}
"""What `rerun` trains afresh: never a run under way, which goes on."""
ASIDE = "_aside"


class Record:
    """Reads and writes one run's folder. Making one touches nothing on disk."""

    def __init__(self, config: Config) -> None:
        self.config, self.tree = config, asdict(config)
        self.folder = Path(config.results) / folder_name(self.tree)

    def read_result(self) -> dict[str, Any] | None:
        """What result.json says, or None where there is none, or none that makes sense.

        Raises AblateError where there is one that the system does not let us read: it may say that the run is done.
        """
        path = self.folder / "result.json"
        try:
            result = json.loads(path.read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        except OSError as error:
            raise AblateError(f"{path} cannot be read: {error.strerror}") from error
        return result if isinstance(result, dict) else None

    def finished(self) -> bool:
        """Whether this very run has been trained to its end: finished or diverged."""
        result = self.read_result()
        return result is not None and result.get("status") in DONE

    def status(self) -> str:
        """What result.json says of the run, or 'unfinished' where there is none."""
        result = self.read_result()
        return str(result.get("status")) if result else "unfinished"

    def make_folder(self) -> None:
        """Raises AblateError where it cannot be made. What is in it is its holder's alone to write."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.folder).close()
        except OSError as error:
            raise self.unwritable(error) from error

    def start(self, kept: list[dict[str, Any]]) -> None:
        """Make the record one of a run under way, with `kept` for its metrics. Call as the holder."""
        sweep_temporaries(self.folder)
        result = self.folder / "result.json"
        try:
            write_whole(self.folder / "config.yaml", yaml.safe_dump(self.tree, sort_keys=False).encode())
            write_whole(self.folder / "metrics.jsonl", "".join(to_json(line) + "\n" for line in kept).encode())
            if result.exists() and self.read_result() is None:
                result.replace(self.folder / "result.json.broken")
            result.unlink(missing_ok=True)
        except OSError as error:
            raise self.unwritable(error) from error

    def metric(self, line: dict[str, Any]) -> None:
        """Add one evaluation, on disk when this returns. Raises AblateError with the file as it was."""
        handle = os.open(self.folder / "metrics.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        whole, content = os.fstat(handle).st_size, (to_json(line) + "\n").encode()
        try:
            if os.write(handle, content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(handle)
        except OSError as error:
            os.ftruncate(handle, whole)
            raise self._full("metrics.jsonl", error) from error
        finally:
            os.close(handle)

    def log(self, line: str) -> None:
        try:
            with open(self.folder / "run.log", "a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(line + "\n")
        except OSError:
            pass  # what a person would have seen is no reason to lose a run

    def result(self, result: dict[str, Any]) -> None:
        """Say how the run has ended. Raises AblateError where the disk refuses, with nothing half-written."""
        try:
            write_whole(self.folder / "result.json", (to_json(result, indent=1) + "\n").encode())
        except OSError as error:
            raise self._full("result.json", error) from error

    def set_aside(self) -> Path:
        """Move the folder out of the way, whole, and give where it lies now."""
        aside = self.folder.parent / ASIDE
        aside.mkdir(parents=True, exist_ok=True)
        number = 1
        while (target := aside / f"{self.folder.name}.{number}").exists():
            number += 1
        self.folder.rename(target)
        return target

    def unwritable(self, error: OSError) -> AblateError:
        return AblateError(f"results={self.config.results} cannot be written: {error.strerror}; use results=FOLDER")

    def _full(self, name: str, error: OSError) -> AblateError:
        return AblateError(
            f"{self.folder / name} cannot be written: {error.strerror}; free some space and give the same command "
            "again, which goes on from the last checkpoint"
        )


def wanted(record: Record) -> str:
    """What is to be done with a run: 'skip' it, train it 'afresh' with the old folder set aside, or go 'on'."""
    result = record.read_result()
    status = result.get("status") if result else None
    if status in AGAIN.get(record.config.rerun or "", ()):
        return "afresh"
    return "skip" if status in DONE else "on"
