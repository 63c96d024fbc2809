"""Connects the training loop to the record, the console and the signals."""

import time
from dataclasses import asdict
from typing import Any

from ablate.runs import layout
from ablate.runs.lock import Lock
from ablate.runs.progress import Progress
from ablate.runs.record import Record
from ablate.runs.stopping import Stopping
from ablate.training import checkpoint
from ablate.training.loop import Evaluation, NullObserver
from ablate.training.setup import Training


class Observer(NullObserver):
    """Writes evaluations into the record, shows them, and asks for checkpoints when they are due."""

    def __init__(self, record: Record, progress: Progress, stopping: Stopping, steps: int) -> None:
        self.record, self.progress, self.stopping, self.steps = record, progress, stopping, steps
        self.lock = Lock(record.folder, self.status)
        self.evaluations: list[Evaluation] = []
        self.signals: list[dict[str, Any]] = []  # lines of signal.jsonl
        self.sessions: list[dict[str, Any]] = []  # see ablate.runs.provenance.session
        self.training: Training | None = None
        self.begin(0, 0.0)

    def begin(self, step: int, seconds: float) -> None:
        """Training starts at `step`, after `seconds` in earlier sessions."""
        self.now = self.start = self.saved_step = step
        self.began = self.saved = time.monotonic()
        self.seconds_before = seconds

    def status(self) -> dict[str, Any]:
        """The progress, for the lock file."""
        speed = (self.now - self.start) * self.record.config.recipe.batch / max(1e-9, time.monotonic() - self.began)
        return {"step": self.now, "steps": self.steps, "images_per_second": speed}

    def seconds(self) -> float:
        """Wall-clock seconds of training and evaluation in all sessions."""
        return self.seconds_before + time.monotonic() - self.began

    def all_sessions(self) -> list[dict[str, Any]]:
        """Every session as plain values. Whether a session uses a CUDA graph is known only once it trains."""
        if self.training is not None:
            self.sessions[-1]["graph"] = self.training.graphed
        return self.sessions

    def step(self, step: int) -> None:
        self.now = step
        self.progress.step(step)

    def evaluation(self, evaluation: Evaluation) -> None:
        self.lock.check()
        self.evaluations.append(evaluation)
        self.record.write_metrics(map(as_line, self.evaluations))
        if self.signals:
            self.record.write_signal(self.signals)
        self.record.log(self.progress.evaluation(evaluation))

    def signal(self, line: dict[str, Any]) -> None:
        self.signals.append(line)

    def wants_checkpoint(self) -> bool:
        if self.stopping.signum is not None:
            return True
        every = self.record.config.checkpoint
        if every.steps and self.now % every.steps == 0 and self.now != self.saved_step:
            return True
        return every.minutes is not None and time.monotonic() - self.saved >= 60 * every.minutes

    def checkpoint(self, state: dict[str, Any]) -> None:
        self.lock.check()
        self.saved, self.saved_step = time.monotonic(), self.now
        kept = True
        more = {
            "sessions": self.all_sessions(),
            "evaluations": [asdict(e) for e in self.evaluations],
            "signals": self.signals,
        }
        try:
            folder = self.record.folder
            checkpoint.save(folder / layout.CHECKPOINT, folder / layout.OLD_CHECKPOINT, {**state, **more})
        except OSError as error:
            kept = False
            self.warn(f"no checkpoint at step {self.now}: {error.strerror}; the previous one is kept")
        self.stopping.answer(self.now, kept=kept)

    def warn(self, sentence: str) -> None:
        self.progress.warn(sentence)
        self.record.log(f"warning: {sentence}")


def as_line(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as a line of metrics.jsonl."""
    return {key: value for key, value in asdict(evaluation).items() if value is not None}
