"""Carries out one run: skips it, resumes it or trains it, and writes its record."""

import traceback
from contextlib import suppress
from typing import Any

import torch

from ablate.base.errors import AblateError, one_line
from ablate.base.files import write_whole
from ablate.base.machine import threads
from ablate.runs import layout, trained
from ablate.runs.code import changes, code, copy_source
from ablate.runs.follow import Order
from ablate.runs.identity import SCHEMA
from ablate.runs.lock import Lock, LockLost, active_lock
from ablate.runs.observer import Observer, as_line
from ablate.runs.prepare import prepare
from ablate.runs.progress import Progress
from ablate.runs.provenance import command, cpu, custom_git, git_diff, session, utc, versions
from ablate.runs.reading import EVALUATED
from ablate.runs.record import OtherCode, Record
from ablate.runs.stopping import Interrupted, Stopping
from ablate.runs.tracker import NullTracker
from ablate.training import checkpoint
from ablate.training.group import group
from ablate.training.loop import Ending, Evaluation
from ablate.training.setup import Setup
from ablate.training.sgd import Group, groups
from ablate.training.synchronise import normalised_over

FACTS = ("device", "device_type", "cpu", "precision", "threads", "processes", "host", "versions", "code", "git")
"""The parts of the last session that the result repeats."""
OUT_OF_MEMORY = (
    "the GPU ran out of memory: run fewer at once, or use activation_checkpointing=true, precision=bfloat16 or "
    "a smaller recipe.batch"
)


def run(record: Record, progress: Progress, tracker: NullTracker, *, workers: int = 1) -> bool:
    """Train a run, unless it is finished. Returns False, at once, if another process is training it.

    `workers` is how many runs share this machine's cores. Raises AblateError before any folder is made if the data,
    the network or the device is not available; a failure while training is recorded and raised. Raises Interrupted if
    a signal stopped the run, after its checkpoint was written.
    """
    group().check()
    if record.action() == "skip":
        return _skip(record, progress, tracker)
    if other := active_lock(record.folder):
        progress.busy(record, other)
        return False
    with Stopping() as stopping:
        setup, cost = prepare(record, lambda: stopping.answer(0))
        observer = Observer(record, progress, stopping, setup.steps)
        if other := _acquire(record, observer.lock):
            progress.busy(record, other)
            return False
        with observer.lock:
            if record.finished():  # by another process, while this one was setting up
                return _skip(record, progress, tracker)
            _carry_out(setup, observer, tracker, cost, workers)
    return True


def _skip(record: Record, progress: Progress, tracker: NullTracker) -> bool:
    progress.skipped(record)
    tracker.follow(record.folder)  # the run may have been trained without this tracker
    tracker.ended(record.folder)
    return True


def _acquire(record: Record, lock: Lock) -> dict[str, Any] | None:
    """Make the folder, archive an old record if rerun= asks for it, and take the lock; or return the active one."""
    while True:
        if record.action() == "train again":
            _archive(record)
        record.make_folder()
        try:
            return lock.acquire()
        except FileNotFoundError:  # archived by another process between the two lines above
            continue


def _archive(record: Record) -> None:
    """Archive an old record, unless another process holds its lock."""
    lock = Lock(record.folder)
    with suppress(FileNotFoundError):  # another process was faster
        if lock.acquire() is None:
            if record.action() == "train again":
                lock.folder = record.archive()  # the lock file is moved with it
            lock.release()


def _carry_out(setup: Setup, observer: Observer, tracker: NullTracker, cost: dict[str, int], workers: int) -> None:
    """Train with the lock held, and record how it ended."""
    record = observer.record
    resume = _resume(setup, observer)
    count, why = (record.config.threads, "") if record.config.threads else threads(workers)
    precision, start = setup.precision, 0
    if resume:  # another precision or number of threads would change the bits of the result
        observer.sessions = resume["sessions"]
        observer.evaluations = [Evaluation(**line) for line in resume["evaluations"]]
        observer.signals = resume["signals"]
        count, why = observer.sessions[0]["threads"], ""
        precision = getattr(torch, observer.sessions[0]["precision"])
        start = resume["step"]
    torch.set_num_threads(count)
    size, sources = setup.group.place.size, code(record.tree)
    now = session(start, setup.device, precision, threads=count, processes=size, code=sources)
    observer.sessions = [*observer.sessions, now]
    observer.begin(start, resume["seconds"] if resume else 0.0)
    facts = _facts(setup, observer, cost, workers)

    def end(status: str, ending: Ending | None = None, **more: Any) -> None:
        observer.lock.check()
        errors = [evaluation.test_error for evaluation in observer.evaluations]
        numbers = {
            "test_error": errors[-1] if status in EVALUATED else None,
            "best_test_error": min(errors, default=None),
            **{key: getattr(ending, key, None) for key in ("train_loss", "train_error", "images_per_second")},
            "seconds": observer.seconds(),
        }
        sessions = observer.all_sessions()
        record.write_result({**facts, **numbers, "sessions": sessions, "status": status, "ended": utc(), **more})

    record.start(map(as_line, observer.evaluations))
    tracker.follow(record.folder)
    _save_source(observer)
    try:
        record.log(observer.progress.started(record, observer.steps, facts, start, why))
        with setup.group.in_step():
            setup.group.send(Order(record.tree, sources, precision, count, resume))
            with setup.group.together():
                observer.training = setup.start(warn=observer.warn, precision=precision)
            ending = observer.training.train(observer, resume)
        if ending.diverged_at is None:
            trained.save(record.folder, observer.training, ending, setup.dataset.test_y)  # if it fails, it can resume
            made = {"predictions": True, "weights_sha256": checkpoint.weights_sha256(setup.network)}
            if ending.stopped_at is None:
                end("finished", ending, **made)
            else:
                end("stopped", ending, **made, stopped_at=ending.stopped_at, reason=_at_chance(setup, ending))
        else:
            if observer.signals:  # there was no evaluation after the last of them
                record.write_signal(observer.signals)
            end("diverged", ending, reason=f"the loss was not finite at step {ending.diverged_at}")
    except (Interrupted, KeyboardInterrupt) as error:
        record.log(f"interrupted: {error}")
        end("interrupted", reason=str(error) or "stopped in the middle of a step")
        raise
    except LockLost:
        raise
    except (Exception, SystemExit) as error:
        memory = isinstance(error, torch.OutOfMemoryError) or "ALLOC_FAILED" in str(error)
        reason = OUT_OF_MEMORY if memory else str(error) if isinstance(error, AblateError) else one_line(error)
        record.log(traceback.format_exc())
        end("failed", reason=reason)
        if memory or isinstance(error, SystemExit):
            raise AblateError(reason) from error
        raise
    finally:
        observer.progress.close()
        tracker.ended(record.folder)
    for name in (layout.CHECKPOINT, layout.OLD_CHECKPOINT):
        (record.folder / name).unlink(missing_ok=True)
    record.log(observer.progress.ended(record, record.read_result() or {}))


def _at_chance(setup: Setup, ending: Ending) -> str:
    """Why a run was stopped."""
    return (
        f"at chance after {ending.stopped_at:,} of {setup.steps:,} steps: training loss {ending.train_loss:.4f}, and "
        f"{setup.chance.loss:.4f} by guessing"
    )


def _resume(setup: Setup, observer: Observer) -> dict[str, Any] | None:
    """The checkpoint to resume from, or None.

    Raises AblateError if the run began on another kind of device, with another version of torch or by other code: its
    result would be of neither. Code is accepted with accept_code=true; with rerun=changed the run begins again.
    """
    record, folder = observer.record, observer.record.folder
    paths = [folder / name for name in (layout.CHECKPOINT, layout.OLD_CHECKPOINT)]
    state, warnings = checkpoint.load(paths)
    for sentence in warnings:
        observer.warn(sentence)
    if state is None:
        return None
    last = state["sessions"][-1]
    began, now = last["device_type"], setup.device.type
    if began != now:
        raise AblateError(
            f"{folder} began with device={began} and cannot resume with device={now}: resume it where it began, "
            "or remove the folder to train it again"
        )
    changed = changes(record.tree, last["code"])
    before, here = last["versions"]["torch"], versions()["torch"]
    if before != here:
        changed.append(f"torch {before} and {here}")
    if changed and record.config.rerun == "changed":
        observer.warn(f"training begins again: it began by other code ({', '.join(changed)} differ)")
        return None
    if changed and not record.config.accept_code:
        raise OtherCode(f"{folder} began", changed)
    if last["processes"] != setup.group.place.size:
        observer.warn(_regrouped(setup, last["processes"]))
    if last["cpu"] != cpu():
        observer.warn(f"resumed on another CPU ({last['cpu']} before, now {cpu()}): the result's last bits may differ")
    return state


def _regrouped(setup: Setup, before: int) -> str:
    """What another number of processes changes."""
    now = setup.group.place.size
    ours, theirs = (normalised_over(setup.network, setup.config, size) for size in (now, before))
    norm = "sums are in another order"
    if ours != theirs:
        norm = f"batch normalisation sees {ours} images at a time, and {theirs} before"
    return (
        f"resumed by {now} process{'es' * (now > 1)}, and begun by {before}: {norm}, and what units drop at random "
        "differs; batches, schedule and augmentation are the same"
    )


def _facts(setup: Setup, observer: Observer, cost: dict[str, int], workers: int) -> dict[str, Any]:
    """The part of result.json that does not depend on how the run ends."""
    record, now, dataset = observer.record, observer.sessions[-1], setup.dataset
    return {
        "schema": SCHEMA,
        "signature": record.signature,
        **cost,
        "seed": record.config.seed,
        "evaluated_on": dataset.evaluated_on,
        "images": {"shape": list(dataset.shape), "classes": list(dataset.classes)},
        "train_images": len(dataset.train_y),
        "chance": setup.chance._asdict(),
        "test_images": len(dataset.test_y),
        "steps": observer.steps,
        **({"parameter_groups": own} if (own := _parameter_groups(setup)) else {}),
        "normalised_over": normalised_over(setup.network, record.config, now["processes"]),
        **({"custom": custom} if (custom := custom_git(record.tree)) else {}),
        **{key: now[key] for key in FACTS},
        "runs_at_once": workers,
        "deterministic": setup.device.type == "cpu" or (record.config.deterministic and setup.device.type == "cuda"),
        "started": observer.sessions[0]["started"],
        "command": command(),
        "resumed": len(observer.sessions) - 1,
        "config": record.tree,
    }


def _parameter_groups(setup: Setup) -> dict[str, dict[str, float]]:
    """What a parameter has other than the recipe's learning rate and weight decay, by its name."""
    recipe = setup.config.recipe
    usual = Group(1.0, recipe.weight_decay)
    return {name: own._asdict() for name, own in groups(setup.network, recipe).items() if own != usual}


def _save_source(observer: Observer) -> None:
    """Save the package's uncommitted changes, for each session, and the modules of custom code in the run's folder."""
    folder = observer.record.folder
    try:
        if diff := git_diff():
            write_whole(folder / layout.source_diff(len(observer.sessions)), diff.encode())
        copy_source(observer.record.tree, folder)
    except OSError as error:
        observer.warn(f"the source was not saved: {error.strerror}")
