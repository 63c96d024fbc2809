"""A grid: the sweeper composes, checks and builds every cell before the first one trains, and skips finished runs.

A launcher then decides where the runs are carried out.
"""

import copy
import hashlib
import sys
import time
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from ablate.base.errors import AblateError, ConfigError
from ablate.base.files import to_json, write_whole, writing
from ablate.base.terminal import say
from ablate.config import compose
from ablate.config.resolve import resolve
from ablate.config.schema import Config
from ablate.grid.launcher import RecordLauncher, SerialLauncher
from ablate.grid.local import ProcessLauncher
from ablate.grid.planning import dry_run
from ablate.grid.slurm.launcher import SlurmLauncher
from ablate.runs import layout
from ablate.runs.attempt import Outcome
from ablate.runs.identity import SCHEMA
from ablate.runs.naming import names
from ablate.runs.record import OtherCode, Record

SET = ("seed", "depth")
"""Keys that no other value depends on, so that they can be set on a composed configuration."""


class GridError(AblateError):
    """Some runs of a grid failed or were interrupted; `exit_status` is that of one of them."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class GridSweeper(Sweeper):
    """Runs every unfinished cell of the product of the sweep's lists; `params` are an experiment's lists."""

    __module__ = "hydra_plugins.ablate"  # see `register`

    def __init__(self, params: dict[str, str] | None = None, max_batch_size: int | None = None) -> None:
        self.params = dict(params or {})  # max_batch_size is a key of Hydra's own sweeper, and has no effect here
        self.composed: dict[tuple[str, ...], tuple[DictConfig, compose.Origin]] = {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        compose.refuse_chdir(config.hydra.job.chdir)
        self.grid, self.loader = config, hydra_context.config_loader
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        if not isinstance(launcher, RecordLauncher):
            raise ConfigError(
                f"hydra/launcher={config.hydra.runtime.choices['hydra/launcher']} is not one of ablate's: "
                f"use {', '.join(compose.options('hydra/launcher'))}"
            )
        self.launcher: RecordLauncher = launcher

    def sweep(self, arguments: list[str]) -> None:
        started = time.monotonic()
        asked = [f"{key}={value}" for key, value in self.params.items()] + arguments
        parser = OverridesParser.create(config_loader=self.loader)
        cells = [Record(self._compose(cell)) for cell in expand(parser.parse_overrides(asked))]
        for record, name in zip(cells, names([record.tree for record in cells]), strict=True):
            record.config.tracker.run = record.tree["tracker"]["run"] = record.config.tracker.run or name
        records = list({record.folder: record for record in cells}.values())  # cells may ask for the same run
        if any(record.config.dry_run for record in records):
            dry_run(records)
            return
        waiting, refused = [], []
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
            _check_buildable(waiting)
        _write_plans(records)
        say(f"{len(records)} runs in the grid, {len(waiting)} to train")
        if waiting:
            outcomes = self._launcher_for(waiting[0].config).carry_out(waiting)
            if outcomes is not None:  # None if the runs continue without this process
                _report(waiting, outcomes, time.monotonic() - started)

    def _launcher_for(self, config: Config) -> RecordLauncher:
        """The chosen launcher, or processes if runs are to be packed. Raises ConfigError for `pack` on SLURM."""
        if config.pack is None or isinstance(self.launcher, ProcessLauncher):
            return self.launcher
        if isinstance(self.launcher, SerialLauncher):
            return ProcessLauncher(-1)
        raise ConfigError("pack is for the runs of one machine: on SLURM, use hydra.launcher.side_by_side=N")

    def _compose(self, cell: list[str]) -> Config:
        """A cell's configuration. Hydra takes 50 ms to compose one, so cells that differ only in SET share it."""
        choices = tuple(word for word in cell if word.partition("=")[0] not in SET)
        if choices not in self.composed:
            base = self.loader.load_sweep_config(self.grid, list(choices))
            with open_dict(base):
                hydra = base.pop("hydra")
            self.composed[choices] = base, compose.Origin.of(hydra)
        base, origin = self.composed[choices]
        composed = copy.deepcopy(base)
        for key, _, value in (word.partition("=") for word in cell):
            if key in SET:
                OmegaConf.update(composed, key, value)
        try:
            return resolve(composed, origin)
        except ConfigError as error:
            raise ConfigError(f"{error} (in the cell {' '.join(cell)})") from error


def _check_buildable(records: Iterable[Record]) -> None:
    """Build each combination of shortcut and unit once, so that a mistake in the last cell costs no training."""
    from ablate.models.build import check_buildable  # torch

    different = {to_json([record.tree["shortcut"], record.tree["unit"]]): record.config for record in records}
    for config in different.values():
        check_buildable(config)


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
    same = "the same command" + (" without rerun=all" if records[0].config.rerun == "all" else " again")
    if stopped := [outcome for outcome in outcomes if outcome.interrupted]:
        raise GridError(f"interrupted with {len(stopped)} runs to go; {same} resumes", stopped[0].status)
    if failed:
        count = sum(map(len, failed.values()))
        status = max(outcome.status for outcome in outcomes)
        raise GridError(f"{count} of {len(records)} runs failed; {same} trains the rest", status)


def expand(overrides: list[Override]) -> list[list[str]]:
    """The cells of a grid; the first key varies slowest. The last value given for a key counts: the command line's."""
    values: dict[str, list[str]] = {}
    for override in overrides:
        if not override.is_sweep_override():
            given = [override.get_value_element_as_str()]
        elif override.is_discrete_sweep():
            given = list(override.sweep_string_iterator())
        else:
            raise ConfigError(f"{override.input_line} is not a list: give values, as in KEY=1,2,3 or KEY=range(1,4)")
        values[override.get_key_element()] = given
    return [[f"{key}={value}" for key, value in zip(values, cell, strict=True)] for cell in product(*values.values())]


class Sites(SearchPathPlugin):
    """Adds slurm/ to Hydra's search path, where `cluster=NAME` finds its file."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("ablate-sites", f"file://{compose.sites_folder()}")


def register() -> None:
    """Register the sweeper, the launchers and the sites with Hydra, under the names that conf/ uses.

    Hydra takes plugins only from the namespace package `hydra_plugins`, which other packages share. A module is added
    to it here, so that no file has to be installed into it.
    """
    sys.modules.setdefault("hydra_plugins", ModuleType("hydra_plugins"))
    here = sys.modules["hydra_plugins.ablate"] = ModuleType("hydra_plugins.ablate")
    for plugin in (GridSweeper, SerialLauncher, ProcessLauncher, SlurmLauncher, Sites):
        setattr(here, plugin.__name__, plugin)
        Plugins.instance().register(plugin)


def _write_plans(records: Iterable[Record]) -> None:
    """Write what each experiment asks for next to the runs, so that a report can name what is missing.

    Each request has a file of its own, named by its content, so that two that start at once do not overwrite another.
    """
    plans: dict[Path, dict[str, dict[str, Any]]] = {}
    for record in records:
        if record.config.experiment:
            folder = Path(record.config.results) / layout.PLANS / record.config.experiment
            plans.setdefault(folder, {})[record.name] = record.tree
    for folder, asked in plans.items():
        name = hashlib.sha256("\n".join(asked).encode()).hexdigest()[:16]
        with writing(folder, "use results=FOLDER"):
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / f"{name}.json", to_json({"schema": SCHEMA, "runs": asked}).encode())
