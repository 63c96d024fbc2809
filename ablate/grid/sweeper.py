"""A grid: the sweeper composes, checks and builds every cell before the first one trains, and skips finished runs.

A launcher then decides where the runs are carried out.
"""

import hashlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ablate.base.errors import AblateError, ConfigError
from ablate.base.files import to_json, write_whole, writing
from ablate.base.place import place
from ablate.base.source import load
from ablate.base.terminal import say
from ablate.config.check import CIFAR
from ablate.config.compose import as_job
from ablate.config.schema import CUSTOM, Config
from ablate.data import facts
from ablate.grid import cells
from ablate.grid.launcher import RecordLauncher, SerialLauncher
from ablate.grid.local import ProcessLauncher
from ablate.grid.planning import dry_run
from ablate.runs import layout
from ablate.runs.attempt import Outcome
from ablate.runs.identity import SCHEMA
from ablate.runs.naming import names
from ablate.runs.record import OtherCode, Record

NETWORK = (*CUSTOM, "depth", "width", "data", "init_fingerprint")
"""Keys that decide whether initial weights fit."""


class GridError(AblateError):
    """Some runs of a grid failed or were interrupted; `exit_status` is that of one of them."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


def sweep(words: Sequence[str], folders: Sequence[Path]) -> None:
    """Run every unfinished cell of the grid that a command line asks for, with configuration files of `folders` too.

    Raises AblateError, and GridError if a run failed.
    """
    started = time.monotonic()
    grid = cells.compose(words, folders)
    composed, configs = grid.composed, grid.configs
    with as_job(composed):
        launcher = _launcher(OmegaConf.to_container(composed.hydra.launcher, resolve=True))  # type: ignore[arg-type]

        def train(stage: Sequence[Config], design: dict[str, Any]) -> bool:
            nonlocal started
            done = _carry_out([Record(config) for config in stage], launcher, started, design)
            started = time.monotonic()
            return done

        if configs[0].tune.trials is not None:
            from ablate.grid.tuning import tuned  # pandas

            tuned(words, folders, grid, train)
        elif configs[0].seeds is not None:
            from ablate.grid.settling import until_settled  # pandas

            until_settled(configs, train)
        else:
            train(configs, {})


def _launcher(settings: dict[str, Any]) -> RecordLauncher:
    """The launcher of a file in conf/hydra/launcher and its keys."""
    made = load(settings.pop("_target_"))(**settings)
    if not isinstance(made, RecordLauncher):
        raise ConfigError(f"hydra.launcher._target_={type(made).__name__} is not a launcher of ablate's")
    made.setup()
    return made


def _carry_out(
    asked: list[Record], launcher: RecordLauncher, started: float, design: dict[str, Any] | None = None
) -> bool:
    """Carry out what is unfinished of the runs that were `asked` for, at the time `started`.

    Returns whether all of them are now done. Their plans say what the study's `design` is.
    """
    records = _different(asked)
    for record, name in zip(records, names([record.tree for record in records]), strict=True):
        record.config.tracker.run = record.tree["tracker"]["run"] = record.config.tracker.run or name
    if any(record.config.dry_run for record in records):
        dry_run(records)
        return all(record.finished() for record in records)
    waiting, refused = [], []
    for record in records:
        facts.check(record.config)
    for record in records:
        try:
            if record.action() == "skip":
                say(f"{record.name}: already {record.status()}")
            else:
                waiting.append(record)
        except OtherCode as error:
            refused.append(error)
    if refused:
        changed = sorted({name for error in refused for name in error.changed})
        raise OtherCode(f"{len(refused)} of {len(records)} runs were trained", changed)
    if waiting:
        launcher = _packed(launcher, {record.config.pack for record in records})
        if not (here := place()).alone and not isinstance(launcher, SerialLauncher):
            raise ConfigError(
                f"{here.size} processes train one run after another together: leave out pack and hydra/launcher, or "
                "start one process"
            )
        launcher.check(waiting)
        _check_buildable(waiting)
        _prepare_data(waiting)
        _check_initial(waiting)
    _write_plans(records, design or {})
    say(f"{len(records)} runs in the grid, {len(waiting)} to train")
    if waiting:
        outcomes = launcher.carry_out(waiting)
        if outcomes is None:  # the runs continue without this process
            return False
        _report(waiting, outcomes, time.monotonic() - started)
    return all(record.finished() for record in records)


def _different(asked: list[Record]) -> list[Record]:
    """Each run once. Raises ConfigError if a list of values does not make different runs, as that of `pack`."""
    records: dict[Path, Record] = {}
    for record in asked:
        other = records.setdefault(record.folder, record)
        for key, value in record.tree.items():
            if value != other.tree[key]:
                raise ConfigError(f"{key} has several values in this grid, which do not make different runs: give one")
    return list(records.values())


def _packed(launcher: RecordLauncher, packs: set[str | None]) -> RecordLauncher:
    """The chosen launcher, or processes if runs are to be packed.

    Raises ConfigError for `pack` on SLURM, and if `packs`, the values in the grid's cells, are several.
    """
    if len(packs) > 1:
        raise ConfigError("pack differs between the runs of this grid: give one value")
    if packs == {None} or isinstance(launcher, ProcessLauncher):
        return launcher
    if isinstance(launcher, SerialLauncher):
        return ProcessLauncher(-1)
    raise ConfigError("pack is for the runs of one machine: on SLURM, use hydra.launcher.side_by_side=N")


REFUSABLE = ("depth", "compile", "probes", "activation_checkpointing")
"""Keys besides its own that a network may refuse."""


def _check_buildable(records: Iterable[Record]) -> None:
    """Build each combination of network, unit and shortcut once: a mistake in the last cell costs no training."""
    from ablate.data.load import shape  # torch
    from ablate.models.build import check_buildable

    different: dict[str, Config] = {}
    for record in records:
        tree = record.tree
        own = tree["net"]["_target_"] != CIFAR  # which takes all of them, and whose depths are checked already
        keys = (*CUSTOM, "data", "width", *(REFUSABLE if own else ()))
        different.setdefault(to_json([tree[key] for key in keys]), record.config)
    for config in different.values():
        check_buildable(config, shape(config.data))


def _prepare_data(records: Iterable[Record]) -> None:
    """Fetch or decode each dataset once, before several processes do, and check the sizes of a folder's images."""
    from ablate.data.load import load, prepare  # torch

    every = {to_json(record.tree["data"]): record.config.data for record in records}.values()
    for data in (data for data in every if data.name == "folder"):
        load(data)
    for data in {(data.name, data.root): data for data in every if data.name != "folder"}.values():
        prepare(data)


def _check_initial(records: Iterable[Record]) -> None:
    """Load the initial weights of each kind of network once, so that a file that does not fit costs no training."""
    different = {
        to_json([record.tree[key] for key in NETWORK]): record.config for record in records if record.config.init_from
    }
    for config in different.values():
        from ablate.data.load import load as load_data  # torch
        from ablate.models.build import build
        from ablate.training.initial import initialise

        known = facts.facts(config.data)  # its images may be on another machine only
        if known:
            shape, classes = known.shape, known.classes
        else:
            dataset = load_data(config.data)
            shape, classes = dataset.shape, len(dataset.classes)
        initialise(build(config, shape=shape, classes=classes), config)


def _report(records: list[Record], outcomes: list[Outcome], seconds: float) -> None:
    """Print how a grid went. Raises GridError if a run failed or was interrupted."""
    done = sum(outcome.status == 0 and not outcome.busy for outcome in outcomes)
    busy = sum(outcome.busy for outcome in outcomes)
    others = f"; other processes are training {busy}" if busy else ""
    say(f"{done} of {len(records)} runs done in {seconds:.0f} s{others}")
    failed: dict[str, list[Record]] = {}
    for record, outcome in zip(records, outcomes, strict=True):
        if outcome.status and not outcome.interrupted:
            failed.setdefault(outcome.message, []).append(record)
    for reason, which in failed.items():
        more = f" and {len(which) - 1} more" if len(which) > 1 else ""
        log = f"; its log: {which[0].folder / layout.LOG}" if which[0].folder.exists() else ""
        say(f"ablate: {which[0].name}{more} failed: {reason}{log}", error=True)
    # With rerun=all the same command would train the finished runs again.
    again = "run the same command " + ("without rerun=all" if records[0].config.rerun == "all" else "again")
    stopped = [outcome for outcome in outcomes if outcome.interrupted]
    if stopped and failed and any(record.config.fail_fast for record in records):
        name = next(iter(failed.values()))[0].name
        raise GridError(f"fail_fast=true: {name} failed, with {len(stopped)} runs to go; {again} to resume", 1)
    if stopped:
        raise GridError(f"interrupted with {len(stopped)} runs to go; {again} to resume", stopped[0].status)
    if failed:
        count = sum(map(len, failed.values()))
        status = max(outcome.status for outcome in outcomes)
        raise GridError(f"{count} of {len(records)} runs failed; {again} to train the rest", status)


def _write_plans(records: Iterable[Record], design: dict[str, Any]) -> None:
    """Write what each experiment asks for next to the runs, so that a report can name what is missing.

    Each request has a file of its own, named by its content, so that two that start at once do not overwrite another.
    """
    plans: dict[Path, dict[str, dict[str, Any]]] = {}
    for record in records:
        if record.config.experiment:
            folder = Path(record.config.results) / layout.PLANS / record.config.experiment
            plans.setdefault(folder, {})[record.name] = record.tree
    for folder, asked in plans.items():
        content = [*asked, to_json(design)] if design else [*asked]  # a later request without a design keeps it
        name = hashlib.sha256("\n".join(content).encode()).hexdigest()[:16]
        with writing(folder, "use results=FOLDER"):
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / f"{name}.json", to_json({"schema": SCHEMA, "runs": asked, "design": design}).encode())
