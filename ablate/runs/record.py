"""A run's folder, results/runs/NAME-SIGNATURE/, and nothing of how a run is carried out.

result.json appears only when a run has ended, or has been interrupted in good order; it goes when the run is resumed.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from ablate.config import Config
from ablate.errors import AblateError
from ablate.files import sweep_temporaries, to_json, write_whole
from ablate.runs.signature import folder_name

DONE = ("finished", "diverged")
ASIDE = "_aside"


class Record:
    """Reads and writes one run's folder. Making one touches nothing on disk."""

    def __init__(self, config: Config) -> None:
        self.config, self.tree = config, asdict(config)
        self.folder = Path(config.results) / folder_name(self.tree)

    def read_result(self) -> dict[str, Any] | None:
        """What result.json says, or None where there is none that can be read."""
        try:
            result = json.loads((self.folder / "result.json").read_text())
        except (OSError, ValueError):
            return None
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
        """Raises AblateError where it cannot be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(self.folder / "config.yaml", yaml.safe_dump(self.tree, sort_keys=False).encode())
        except OSError as error:
            raise self.unwritable(error) from error

    def start(self, step: int) -> list[dict[str, Any]]:
        """Make the record say what it said when the run was at `step`, and give the metrics that stand.

        An evaluation at `step` itself is made anew, because a checkpoint is written before it. Call as the holder.
        """
        sweep_temporaries(self.folder)
        kept = [line for line in self._metrics() if line["step"] < step]
        try:
            write_whole(self.folder / "metrics.jsonl", "".join(to_json(line) + "\n" for line in kept).encode())
            (self.folder / "result.json").unlink(missing_ok=True)
        except OSError as error:
            raise self.unwritable(error) from error
        return kept

    def metric(self, line: dict[str, Any]) -> None:
        """Add one evaluation, on disk when this returns. Raises OSError with the file as it was."""
        path = self.folder / "metrics.jsonl"
        with open(path, "ab") as file:
            whole = file.tell()
            try:
                file.write((to_json(line) + "\n").encode())
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.truncate(path, whole)
                raise

    def log(self, line: str) -> None:
        try:
            with open(self.folder / "run.log", "a") as file:
                file.write(line + "\n")
        except OSError:
            pass  # what a person would have seen is no reason to lose a run

    def result(self, result: dict[str, Any]) -> None:
        """Say how the run has ended. Raises AblateError where the disk refuses, with nothing half-written."""
        try:
            write_whole(self.folder / "result.json", (to_json(result, indent=1) + "\n").encode())
        except OSError as error:
            raise AblateError(
                f"{self.folder / 'result.json'} cannot be written: {error.strerror}; free some space and give the same "
                "command again, which goes on from the last checkpoint"
            ) from error

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

    def _metrics(self) -> list[dict[str, Any]]:
        """The whole lines of metrics.jsonl; a last one that was cut by a kill is left out."""
        try:
            text = (self.folder / "metrics.jsonl").read_text()
        except OSError:
            return []
        lines = []
        for line in text.splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                break
        return lines


def wanted(record: Record) -> str:
    """What is to be done with a run: 'skip' it, train it 'afresh' with the old folder set aside, or go 'on'."""
    result = record.read_result()
    if result is None:
        return "on"
    rerun = record.config.rerun
    if rerun == "all" or (rerun == "failed" and result.get("status") == "failed"):
        return "afresh"
    return "skip" if record.finished() else "on"
