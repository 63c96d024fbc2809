"""What stands between the loop and the record, the screen and the signals."""

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ablate.runs.holder import Holder
from ablate.runs.progress import Progress
from ablate.runs.record import Record
from ablate.runs.stopping import Stopping
from ablate.training import checkpoint
from ablate.training.graph import graphed
from ablate.training.loop import Evaluation
from ablate.training.step import Step


class Observer:
    """Writes what the loop says into the record, shows it, and asks for checkpoints when they are due."""

    def __init__(self, record: Record, progress: Progress, stopping: Stopping, steps: int) -> None:
        self.record, self.progress, self.stopping = record, progress, stopping
        self.holder = Holder(record.folder, self.news)
        self.evaluations: list[Evaluation] = []
        self.sittings: list[dict[str, Any]] = []  # where and by what each part of the run was computed
        self.now = self.start = 0
        self.seconds_before = 0.0
        self.steps = steps
        self.began = self.saved = time.monotonic()
        self.saved_step = -1

    def news(self) -> dict[str, Any]:
        """What the heartbeat says beside who it is."""
        speed = (self.now - self.start) * self.record.config.recipe.batch / max(1e-9, time.monotonic() - self.began)
        return {"step": self.now, "steps": self.steps, "images_per_second": speed}

    def begin(self, step: int, seconds: float) -> None:
        self.now = self.start = self.saved_step = step
        self.began = self.saved = time.monotonic()
        self.seconds_before = seconds

    def seconds(self) -> float:
        """Wall clock of training and evaluating, all sittings together."""
        return self.seconds_before + time.monotonic() - self.began

    def step(self, step: int) -> None:
        self.now = step
        self.progress.step(step)

    def evaluation(self, evaluation: Evaluation) -> None:
        self.holder.check()
        self.evaluations.append(evaluation)
        self.record.metric(line(evaluation))
        self.record.log(self.progress.evaluation(evaluation))

    def wants_checkpoint(self) -> bool:
        if self.stopping.signum is not None:
            return True
        every = self.record.config.checkpoint
        if every.steps and self.now % every.steps == 0 and self.now != self.saved_step:
            return True
        return every.minutes is not None and time.monotonic() - self.saved >= 60 * every.minutes

    def checkpoint(self, state: dict[str, Any]) -> None:
        self.holder.check()
        self.saved, self.saved_step = time.monotonic(), self.now
        kept = True
        try:
            kept_too = {"sittings": self.sittings, "evaluations": [asdict(e) for e in self.evaluations]}
            checkpoint.save(self.record.folder, {**state, **kept_too})
        except OSError as error:
            kept = False
            self.warn(f"no checkpoint at step {self.now}: {error.strerror}; the one before stays, the next try follows")
        self.stopping.answer(self.now, kept=kept)

    def accelerate(self, step: Step) -> Callable[[], None]:
        """The step as a graph, if it is to be had; which it is stands in the record."""
        taken = graphed(step, self.warn)
        self.sittings[-1]["graph"] = taken is not step
        return taken

    def warn(self, sentence: str) -> None:
        self.progress.warn(sentence)
        self.record.log(f"warning: {sentence}")


def line(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as a line of metrics.jsonl."""
    return {key: value for key, value in asdict(evaluation).items() if value is not None}
