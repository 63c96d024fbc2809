"""One run from its configuration to its record: skipped, resumed or trained."""

import shlex
import socket
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

import torch

from ablate.config import Config
from ablate.data.load import load
from ablate.data.pictures import Pictures
from ablate.errors import AblateError, one_line
from ablate.files import write_whole
from ablate.machine import cores
from ablate.models import build
from ablate.models.cost import multiply_adds, parameters
from ablate.models.resnet import ResNet
from ablate.runs.holder import Holder, Lost, living
from ablate.runs.observer import Observer, line
from ablate.runs.progress import Progress
from ablate.runs.provenance import git, git_diff, versions
from ablate.runs.record import Record, wanted
from ablate.runs.signature import SCHEMA, signature
from ablate.runs.stopping import Interrupted, Stopping
from ablate.tracking.follower import follower
from ablate.training import checkpoint
from ablate.training.device import compile_units, keep_memory, make_deterministic, pick_device, pick_precision
from ablate.training.loop import Ending, Evaluation, total_steps, train
from ablate.training.probes import Probes

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
        tracker = follower(config)  # it may have been trained without one
        tracker.follow(record.folder)
        tracker.ended(record.folder)
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
    keep_memory()
    if config.deterministic:
        make_deterministic(device)
    pictures = load(config.data)
    stopping.answer(0)
    steps = total_steps(config.recipe, len(pictures.train_y))
    net = build(config, channels=pictures.channels, classes=len(pictures.classes))
    shape = (pictures.channels, *pictures.train_x.shape[2:])
    try:
        cost = {"parameters": parameters(net), "multiply_adds": multiply_adds(net, shape)}
    except (Exception, SystemExit) as error:  # somebody's own shortcut, on its first picture
        name = config.shortcut["name"]
        raise AblateError(f"shortcut {name} fails on a picture of {shape}: {one_line(error)}") from error
    try:
        checkpoint.check(net)
    except Exception as error:
        raise AblateError(
            f"the state of shortcut {config.shortcut['name']} cannot be kept in a checkpoint: {one_line(error)}; "
            "let its buffers and get_extra_state be tensors, numbers and words"
        ) from error
    while True:
        if wanted(record) == "afresh":
            _set_aside(record)
        record.make_folder()
        observer = Observer(record, progress, stopping, steps)
        try:
            other = observer.holder.take()
            break
        except FileNotFoundError:  # set aside by another process between the two lines above
            continue
    if other:
        return progress.busy(record, other)
    with observer.holder:
        if record.finished():  # by another process, while this one was getting ready
            return progress.skipped(record)
        return _carry_out(record, observer, net, pictures, device, cost, workers)


def _set_aside(record: Record) -> None:
    """Move an old record away while nobody is at it."""
    holder = Holder(record.folder)
    try:
        if holder.take():
            return
        if wanted(record) != "afresh":
            holder.release()
            return
        aside = record.set_aside()
    except FileNotFoundError:  # another process was faster
        return
    for path in aside.glob("holder-*.json"):
        path.unlink(missing_ok=True)


def _carry_out(
    record: Record,
    observer: Observer,
    net: ResNet,
    pictures: Pictures,
    device: torch.device,
    cost: dict[str, int],
    workers: int,
) -> None:
    config, progress = record.config, observer.progress
    threads = config.threads or max(1, cores() // workers)
    precision = pick_precision(config.precision, device, pictures)
    resume = _resume(record, observer, device, precision)
    if resume:  # the same bits need the same sums: as it began, so it goes on
        observer.sittings, threads = resume["sittings"], resume["sittings"][0]["threads"]
        precision = getattr(torch, resume["sittings"][0]["precision"])
    torch.set_num_threads(threads)
    start = resume["step"] if resume else 0
    observer.sittings = [*observer.sittings, _sitting(start, device, precision, threads)]
    observer.begin(start, resume["seconds"] if resume else 0.0)
    observer.evaluations = [Evaluation(**line) for line in resume["evaluations"]] if resume else []
    facts = {
        "schema": SCHEMA,
        "signature": signature(record.tree),
        **cost,
        "seed": config.seed,
        "evaluated_on": pictures.evaluated_on,
        "train_pictures": len(pictures.train_y),
        "test_pictures": len(pictures.test_y),
        "steps": observer.steps,
        **{key: observer.sittings[-1][key] for key in ("device", "precision", "threads", "host", "versions", "git")},
        "runs_at_once": workers,
        "deterministic": config.deterministic or device.type == "cpu",
        "started": observer.sittings[0]["started"],
        "command": shlex.join([sys.executable, *sys.argv]),
        "resumed": len(observer.sittings) - 1,
        "sittings": observer.sittings,
        "config": record.tree,
    }
    record.start([line(evaluation) for evaluation in observer.evaluations])
    record.log(progress.started(record, observer.steps, facts, start))
    tracker = follower(config)
    tracker.follow(record.folder)
    _save_diff(record, observer)

    def end(status: str, ending: Ending | None, **more: Any) -> None:
        observer.holder.check()
        numbers = _numbers(observer.evaluations, ending)
        record.result({**facts, **numbers, "status": status, "seconds": observer.seconds(), "ended": _utc(), **more})

    if config.graph and device.type != "cuda":
        observer.warn(f"graph=true is for a GPU: on {device.type} steps are taken as they are")
    try:
        net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if config.compile:
            compile_units(net)
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
            probes=Probes(net) if config.probes else None,
            accelerate=observer.accelerate if config.graph and device.type == "cuda" else None,
        )
        if ending.diverged_at is None:
            checkpoint.save_weights(record.folder, net)
            end("finished", ending, weights_sha256=checkpoint.weights_sha256(net))
        else:
            end("diverged", ending, reason=f"the loss was not finite at step {ending.diverged_at}")
    except (Interrupted, KeyboardInterrupt) as error:
        record.log(f"interrupted: {error}")
        end("interrupted", None, reason=str(error) or "stopped in the middle of a step")
        raise
    except Lost:
        raise
    except (Exception, SystemExit) as error:
        memory = isinstance(error, torch.OutOfMemoryError) or "ALLOC_FAILED" in str(error)
        reason = OUT_OF_MEMORY if memory else str(error) if isinstance(error, AblateError) else one_line(error)
        record.log(traceback.format_exc())
        end("failed", None, reason=reason)
        if memory or isinstance(error, SystemExit):
            raise AblateError(reason) from error
        raise
    finally:
        tracker.ended(record.folder)
    checkpoint.remove(record.folder)
    record.log(progress.ended(record, record.read_result() or {}))


def _resume(record: Record, observer: Observer, device: torch.device, precision: torch.dtype) -> dict[str, Any] | None:
    """The checkpoint to go on from, if there is one.

    Raises AblateError where the run was begun on another kind of device or in another precision: half of each is
    neither's result.
    """
    state, warnings = checkpoint.load(record.folder)
    for sentence in warnings:
        observer.warn(sentence)
    if state is None:
        return None
    began = state["sittings"][0]
    now = {"device_type": device.type}
    if record.config.precision != "auto":  # where it was left to the machine, the first one has decided
        now["precision"] = _name(precision)
    for key, value in now.items():
        if began[key] != value:
            raise AblateError(
                f"{record.folder} was begun with {key.partition('_')[0]} {began[key]} and would go on with {value}: "
                f"go on where it was begun, or remove that folder to train it afresh"
            )
    return state


def _sitting(step: int, device: torch.device, precision: torch.dtype, threads: int) -> dict[str, Any]:
    """What computes from `step` on, as plain values that a checkpoint can hold."""
    return {
        "step": step,
        "started": _utc(),
        "host": socket.gethostname(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "device_type": device.type,
        "precision": _name(precision),
        "threads": threads,
        "graph": False,  # until one is made
        "versions": versions(),
        "git": git(),
    }


def _save_diff(record: Record, observer: Observer) -> None:
    """Keep beside the record what the source has that its commit has not, for each sitting."""
    number = len(observer.sittings)
    if diff := git_diff():
        try:
            name = "source.diff" if number == 1 else f"source-{number}.diff"
            write_whole(record.folder / name, diff.encode())
        except OSError as error:
            observer.warn(f"what the source has that its commit has not was not saved: {error.strerror}")


def _name(precision: torch.dtype) -> str:
    return str(precision).removeprefix("torch.")


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


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
