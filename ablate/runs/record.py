"""A run's folder, results/runs/NAME-SIGNATURE/: config.yaml, metrics.jsonl, result.json, run.log.

result.json appears only when the run has ended, so a folder without one is a run under way or one that died.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from ablate.config import Config
from ablate.errors import AblateError
from ablate.files import to_json, write_whole
from ablate.runs.signature import folder_name


class Record:
    """Writes one run's folder. Nothing is on disk before `open`."""

    def __init__(self, config: Config) -> None:
        self.config, self.tree = config, asdict(config)
        self.folder = Path(config.results) / folder_name(self.tree)

    def finished(self) -> dict[str, Any] | None:
        """The result of this very run, if it has been trained before: finished or diverged, never a failure."""
        try:
            result = json.loads((self.folder / "result.json").read_text())
        except (OSError, ValueError):
            return None
        done = isinstance(result, dict) and result.get("status") in ("finished", "diverged")
        return result if done else None

    def open(self) -> None:
        """Make the folder and empty what a run that did not end has left. Raises AblateError where it cannot."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "result.json").unlink(missing_ok=True)
            write_whole(self.folder / "config.yaml", yaml.safe_dump(self.tree, sort_keys=False).encode())
            for name in ("metrics.jsonl", "run.log"):
                write_whole(self.folder / name, b"")
        except OSError as error:
            raise AblateError(
                f"results={self.config.results} cannot be written: {error.strerror}; use results=FOLDER"
            ) from error

    def metric(self, line: dict[str, Any]) -> None:
        """Add one evaluation, on disk when this returns."""
        with open(self.folder / "metrics.jsonl", "a") as file:
            file.write(to_json(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def log(self, line: str) -> None:
        with open(self.folder / "run.log", "a") as file:
            file.write(line + "\n")

    def result(self, result: dict[str, Any]) -> None:
        """The run has ended."""
        write_whole(self.folder / "result.json", (to_json(result, indent=1) + "\n").encode())
