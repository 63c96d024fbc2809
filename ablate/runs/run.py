"""One run from its configuration to its record: skipped, resumed or trained."""

import shlex
import socket
import sys
import time
import traceback
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import torch
from torch import nn

from ablate.config import Config
from ablate.data.load import load
from ablate.data.pictures import Pictures
from ablate.errors import AblateError
from ablate.files import write_whole
from ablate.machine import cores
from ablate.models import build
from ablate.models.cost import multiply_adds, parameters
from ablate.runs.holder import Holder, Lost, living
from ablate.runs.progress import Progress
from ablate.runs.provenance import git, git_diff, versions
from ablate.runs.record import Record, wanted
from ablate.runs.signature import SCHEMA, signature
from ablate.runs.stopping import Interrupted, Stopping
from ablate.training import checkpoint
from ablate.training.device import make_deterministic, pick_device, pick_precision
from ablate.training.loop import Ending, Evaluation, total_steps, train

OUT_OF_MEMORY = (
    "the GPU's memory ran out: put fewer runs on it at once, or use precision=bfloat16 or a smaller recipe.batch"
)


def run(config: Config, progress: Progress, *, workers: int = 1) -> Record:
    """Train what `config` asks for and give its record, unless it is trained already or is being trained.

    `workers` is how many runs share this machine's cores. Raises AblateError before any folder is made where the
    data, the net or the device cannot be had; a failure after that is written into the record and raised. Raises
    Interrupted where a signal stopped the run, its checkpoint written.
    """
    record = Record(config)
    if wanted(record) == "skip":
        progress.skipped(record)
        return record
    if other := living(record.folder):
        progress.busy(record, other)
        return record
    with Stopping() as stopping:
        _start(record, progress, stopping, workers)
    return record


def _start(record: Record, progress: Progress, stopping: Stopping, workers: int) -> None:
    config = record.config
    device = pick_device(config.device)
    if config.deterministic:
        make_deterministic(device)
    pictures = load(config.data)
    steps = total_steps(config.recipe, len(pictures.train_y))
    net = build(config, channels=pictures.channels, classes=len(pictures.classes))
    if wanted(record) == "afresh" and not _set_aside(record):
        return progress.busy(record, living(record.folder) or {})
    record.make_folder()
    observer = _Observer(record, progress, stopping, steps)
    if other := observer.holder.take():
        return progress.busy(record, other)
    with observer.holder:
        if record.finished():  # by another process, while this one was getting ready
            return progress.skipped(record)
        threads = config.threads or max(1, cores() // workers)
        return _carry_out(config, record, observer, net, pictures, device, threads)


def _set_aside(record: Record) -> bool:
    """Move an old record away while nobody else can start on it; False where somebody else is at it."""
    holder = Holder(record.folder)
    if holder.take():
        return False
    aside = record.set_aside()
    for path in aside.glob("holder-*.json"):
        path.unlink(missing_ok=True)
    return True


class _Observer:
    """Writes what the loop says into the record, shows it, and asks for checkpoints when they are due."""

    def __init__(self, record: Record, progress: Progress, stopping: Stopping, steps: int) -> None:
        self.record, self.progress, self.stopping = record, progress, stopping
        self.holder = Holder(record.folder, self.news)
        self.evaluations: list[Evaluation] = []
        self.facts: dict[str, Any] = {}  # what a resumed run must know of the one before
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
        self.evaluations.append(evaluation)
        try:
            self.record.metric(asdict(evaluation))
        except OSError as error:
            raise self.record.unwritable(error) from error
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
        try:
            checkpoint.save(self.record.folder, {**state, "facts": self.facts})
        except OSError as error:
            self.warn(f"no checkpoint at step {self.now}: {error.strerror}; the one before stays, the next try follows")
        if self.stopping.signum is not None:
            raise Interrupted(self.stopping.signum, self.now)

    def warn(self, sentence: str) -> None:
        self.progress.warn(sentence)
        self.record.log(f"warning: {sentence}")


def _carry_out(
    config: Config,
    record: Record,
    observer: _Observer,
    net: nn.Module,
    pictures: Pictures,
    device: torch.device,
    threads: int,
) -> None:
    resume, warnings = checkpoint.load(record.folder)
    before = resume["facts"] if resume else {}
    precision = pick_precision(config.precision, device)
    if before.get("device_type") == device.type:  # the same bits need the same sums: as it began, so it goes on
        threads, precision = before["threads"], getattr(torch, before["precision"])
    torch.set_num_threads(threads)
    observer.facts = {
        "device_type": device.type,
        "threads": threads,
        "precision": str(precision).removeprefix("torch."),
        "started": before.get("started", _utc()),
        "resumed": before.get("resumed", -1) + 1,
    }
    shape = (pictures.channels, *pictures.train_x.shape[2:])
    facts = {
        "schema": SCHEMA,
        "signature": signature(record.tree),
        "parameters": parameters(net),
        "multiply_adds": multiply_adds(net, shape),
        "seed": config.seed,
        "evaluated_on": pictures.evaluated_on,
        "train_pictures": len(pictures.train_y),
        "test_pictures": len(pictures.test_y),
        "steps": observer.steps,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        **{key: observer.facts[key] for key in ("threads", "precision", "started", "resumed")},
        "deterministic": config.deterministic or device.type == "cpu",
        "host": socket.gethostname(),
        "command": shlex.join([sys.executable, *sys.argv]),
        "versions": versions(),
        "git": git(),
        "config": record.tree,
    }
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    start = resume["step"] if resume else 0
    observer.begin(start, resume["seconds"] if resume else 0.0)
    observer.evaluations = [Evaluation(**line) for line in record.start(start)]
    record.log(observer.progress.started(record, observer.steps, facts, start))
    for sentence in warnings:
        observer.warn(sentence)
    if diff := git_diff():
        try:
            write_whole(record.folder / "source.diff", diff.encode())
        except OSError as error:
            observer.warn(f"what the source has that its commit has not was not saved: {error.strerror}")

    def end(status: str, ending: Ending | None, **more: Any) -> None:
        numbers = _numbers(observer.evaluations, ending)
        record.result({**facts, **numbers, "status": status, "seconds": observer.seconds(), "ended": _utc(), **more})

    try:
        ending = train(
            net,
            pictures.to(device),
            config.recipe,
            seed=config.seed,
            shift=config.data.shift,
            flip=config.data.flip,
            precision=precision,
            observer=observer,
            resume=resume,
        )
        observer.holder.check()
    except (Interrupted, KeyboardInterrupt) as error:
        end("interrupted", None, reason=str(error) or "stopped in the middle of a step")
        record.log(f"interrupted: {error}")
        raise
    except Lost:
        raise
    except Exception as error:
        memory = isinstance(error, torch.OutOfMemoryError)
        reason = OUT_OF_MEMORY if memory else str(error) if isinstance(error, AblateError) else _one_line(error)
        record.log(traceback.format_exc())
        end("failed", None, reason=reason)
        if memory:
            raise AblateError(OUT_OF_MEMORY) from error
        raise
    if ending.diverged_at is None:
        checkpoint.save_weights(record.folder, net)
        end("finished", ending, weights_sha256=checkpoint.weights_sha256(net))
    else:
        end("diverged", ending, reason=f"the loss was not finite at step {ending.diverged_at}")
    checkpoint.remove(record.folder)
    record.log(observer.progress.ended(record, record.read_result() or {}))


def _numbers(evaluations: list[Evaluation], ending: Ending | None) -> dict[str, float | None]:
    """The numbers of a result. A run that did not reach its last epoch has no last epoch's error."""
    whole = ending is not None and ending.diverged_at is None
    return {
        "test_error": evaluations[-1].test_error if whole else None,
        "best_test_error": min((e.test_error for e in evaluations), default=None),
        "train_loss": ending.train_loss if ending else None,
        "train_error": ending.train_error if ending else None,
        "images_per_second": ending.images_per_second if ending else None,
    }


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
