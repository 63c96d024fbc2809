"""The console output of a run: a progress bar on a terminal, lines elsewhere."""

import time
from typing import Any

from rich.progress import Progress as Bar
from rich.progress import TextColumn

from ablate.base.terminal import console, say
from ablate.runs.naming import describe
from ablate.runs.record import Record
from ablate.training.loop import Evaluation


class Progress:
    """Shows one run. Each line begins with `label`.

    `bar` draws a progress bar on the error stream, which must be a terminal. Otherwise evaluations are printed, at most
    one in `every` seconds.
    """

    def __init__(self, label: str = "", *, bar: bool = False, every: float = 0.0) -> None:
        self.label, self.every, self.printed = label, every, time.monotonic()
        columns = (*Bar.get_default_columns(), TextColumn("{task.fields[last]}"))
        self.bar = Bar(*columns, console=console(error=True), refresh_per_second=4) if bar else None

    def started(self, record: Record, steps: int, facts: dict[str, Any], start: int, threads: str) -> str:
        """Print that the run begins or resumes, and return the line; `threads` says why there are so many."""
        threads = f"{facts['threads']} thread{'s' * (facts['threads'] > 1)}{threads and f' ({threads})'}"
        several = f"{facts['processes']} × " if facts["processes"] > 1 else ""
        line = (
            f"{describe(record.tree)}: {facts['parameters']:,} parameters, {facts['train_images']:,} training images, "
            f"{steps:,} steps, {facts['precision']} on {several}{facts['device']}, {threads}"
        )
        if start:
            line += f", resumed at step {start:,}"
        self._print(line)
        if self.bar:
            self.task = self.bar.add_task(record.config.shortcut["name"], total=steps, completed=start, last="")
            self.bar.start()
        return line

    def step(self, step: int) -> None:
        if self.bar:
            self.bar.update(self.task, completed=step)

    def evaluation(self, evaluation: Evaluation) -> str:
        """Show an evaluation, and return its line."""
        e = evaluation
        line = (
            f"epoch {e.epoch} step {e.step}: lr {e.lr:g}, train loss {e.train_loss:.4f}, "
            f"train error {e.train_error:.2f} %, test loss {e.test_loss:.4f}, "
            f"test error {e.test_error:.2f} %, {e.seconds:.1f} s"
        )
        if self.bar:
            self.bar.update(self.task, last=f"loss {e.train_loss:.3f}  test error {e.test_error:.2f} %")
        elif time.monotonic() - self.printed >= self.every:
            self._print(line)
        return line

    def ended(self, record: Record, result: dict[str, Any]) -> str:
        """Print how the run ended, and return the line."""
        error = result["test_error"]
        outcomes = [f"{result['status']}: {result['reason']}"] if result["status"] != "finished" else []
        outcomes += [f"test error {error:.2f} %"] if error is not None else []
        outcome = ", ".join(outcomes)
        line = f"{describe(record.tree)}: {outcome} in {result['seconds']:.0f} s -> {record.folder}"
        self._print(line)
        return line

    def skipped(self, record: Record) -> None:
        self._print(f"{describe(record.tree)}: already trained -> {record.folder}")

    def busy(self, record: Record, other: dict[str, Any]) -> None:
        who = f"process {other.get('pid', '?')} on {other.get('host', 'another host')}"
        self._print(f"{describe(record.tree)}: is being trained by {who} -> {record.folder}")

    def warn(self, sentence: str) -> None:
        say(f"ablate: warning: {self.label}{sentence}", error=True)

    def close(self) -> None:
        if self.bar:
            self.bar.stop()

    def _print(self, line: str) -> None:
        say(self.label + line)
        self.printed = time.monotonic()
