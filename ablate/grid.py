"""A grid: every cell is composed and checked before the first one trains, and finished cells are left alone.

Hydra's sweeper decides what to run and hands it to a launcher, which decides where.
"""

import copy
import hashlib
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
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

from ablate.cluster.launcher import SlurmLauncher
from ablate.config import Config, known, resolve, sites_folder, stay_put
from ablate.errors import AblateError, ConfigError
from ablate.files import to_json, write_whole
from ablate.launch import ProcessLauncher, RecordLauncher, SerialLauncher
from ablate.runs.attempt import Outcome
from ablate.runs.naming import names
from ablate.runs.planning import dry_run
from ablate.runs.reading import PLANS
from ablate.runs.record import Record, wanted
from ablate.runs.signature import SCHEMA
from ablate.terminal import say

SET = ("seed", "depth")
"""Keys whose value changes no other: they are set on a composed configuration."""


class GridError(AblateError):
    """Not every run of a grid came to its end; `exit_status` is that of the run it speaks for."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class GridSweeper(Sweeper):
    """Runs every cell of the product of the sweep's lists that is not finished; `params` are an experiment's lists."""

    __module__ = "hydra_plugins.ablate"  # see `register`

    def __init__(self, params: dict[str, str] | None = None, max_batch_size: int | None = None) -> None:
        self.params, self.max_batch_size = dict(params or {}), max_batch_size
        self.composed: dict[tuple[str, ...], DictConfig] = {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        stay_put(config.hydra.job.chdir)
        self.grid, self.loader = config, hydra_context.config_loader
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        if not isinstance(launcher, RecordLauncher):
            raise ConfigError(
                f"hydra/launcher={config.hydra.runtime.choices['hydra/launcher']} is not one of ablate's: "
                f"use {', '.join(known('hydra/launcher'))}"
            )
        self.place = launcher

    def sweep(self, arguments: list[str]) -> None:
        started = time.monotonic()
        asked = [f"{key}={value}" for key, value in self.params.items()] + arguments
        parser = OverridesParser.create(config_loader=self.loader)
        records: dict[Path, Record] = {}  # cells that say the same thing are one run
        configs = [self._compose(cell) for cell in expand(parser.parse_overrides(asked))]
        for config, name in zip(configs, names([asdict(config) for config in configs]), strict=True):
            config.tracker.run = config.tracker.run or name
            record = Record(config)
            records.setdefault(record.folder, record)
        if any(record.config.dry_run for record in records.values()):
            dry_run(list(records.values()))
            return
        _write_plans(records.values())
        waiting = []
        for record in records.values():
            if wanted(record) == "skip":
                say(f"{record.folder.name}: already {record.status()}")
            else:
                waiting.append(record)
        say(f"{len(records)} runs in the grid, {len(waiting)} to train")
        if waiting:
            outcomes = self._place(waiting[0].config).carry_out([record.config for record in waiting])
            if outcomes is None:  # it goes on without this process
                return
            _report(waiting, outcomes, time.monotonic() - started)

    def _place(self, config: Config) -> RecordLauncher:
        """The launcher, or processes where runs are to be packed. Raises ConfigError where they go elsewhere."""
        if config.pack is None or isinstance(self.place, ProcessLauncher):
            return self.place
        if isinstance(self.place, SerialLauncher):
            return ProcessLauncher()
        raise ConfigError("pack is for the runs of one machine: on SLURM, use hydra.launcher.side_by_side=N")

    def _compose(self, cell: list[str]) -> Config:
        """A cell's configuration. Hydra takes 50 ms to compose one; cells that differ in SET alone share that."""
        choices = tuple(word for word in cell if word.partition("=")[0] not in SET)
        if choices not in self.composed:
            base = self.loader.load_sweep_config(self.grid, list(choices))
            with open_dict(base):
                del base["hydra"]
            self.composed[choices] = base
        composed = copy.deepcopy(self.composed[choices])
        for key, _, value in (word.partition("=") for word in cell):
            if key in SET:
                OmegaConf.update(composed, key, value)
        try:
            return resolve(composed)
        except ConfigError as error:
            raise ConfigError(f"{error} (in the cell {' '.join(cell)})") from error


def _report(records: list[Record], outcomes: list[Outcome], seconds: float) -> None:
    """Say how a grid went. Raises GridError where a run failed or was cut short."""
    trained = sum(outcome.status == 0 for outcome in outcomes)
    say(f"{trained} of {len(records)} runs done in {seconds:.0f} s")
    failed: dict[str, list[Record]] = {}
    for record, outcome in zip(records, outcomes, strict=True):
        if outcome.status and not outcome.interrupted:
            failed.setdefault(outcome.message, []).append(record)
    for reason, which in failed.items():
        more = f" and {len(which) - 1} more" if len(which) > 1 else ""
        log = f"; its log: {which[0].folder / 'run.log'}" if which[0].folder.exists() else ""
        say(f"ablate: {which[0].folder.name}{more} failed: {reason}{log}", error=True)
    # With rerun=all the same command trains anew what has been trained by now.
    same = "the same command" + (" without rerun=all" if records[0].config.rerun == "all" else " again")
    if stopped := [outcome for outcome in outcomes if outcome.interrupted]:
        sentence = f"interrupted with {len(stopped)} runs to go; {same} goes on"
        raise GridError(sentence, stopped[0].status)
    if failed:
        count = sum(map(len, failed.values()))
        status = max(outcome.status for outcome in outcomes)
        raise GridError(f"{count} of {len(records)} runs failed; {same} runs what is left", status)


def expand(overrides: list[Override]) -> list[list[str]]:
    """The cells of a grid, the first key slowest; the last word on a key counts, so a command line beats a file."""
    values: dict[str, list[str]] = {}
    for override in overrides:
        if not override.is_sweep_override():
            given = [override.get_value_element_as_str()]
        elif override.is_discrete_sweep():
            given = list(override.sweep_string_iterator())
        else:
            raise ConfigError(f"{override.input_line} is no list: give the values, as in KEY=1,2,3 or KEY=range(1,4)")
        values[override.get_key_element()] = given
    return [[f"{key}={value}" for key, value in zip(values, cell, strict=True)] for cell in product(*values.values())]


class Sites(SearchPathPlugin):
    """Lets `cluster=NAME` find its file in slurm/, which is for people first and keeps out of conf/."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("ablate-sites", f"file://{sites_folder()}")


def register() -> None:
    """Make the sweeper, the launchers and the sites known to Hydra, for the names in conf/.

    Hydra takes plugins from the namespace package `hydra_plugins` alone, which other packages share; they go there
    under a second name instead of a file being installed into it.
    """
    sys.modules.setdefault("hydra_plugins", ModuleType("hydra_plugins"))
    here = sys.modules["hydra_plugins.ablate"] = ModuleType("hydra_plugins.ablate")
    for plugin in (GridSweeper, SerialLauncher, ProcessLauncher, SlurmLauncher, Sites):
        setattr(here, plugin.__name__, plugin)
        Plugins.instance().register(plugin)


def _write_plans(records: Iterable[Record]) -> None:
    """What each experiment asks for, beside the runs, so that a report can say what is missing.

    A file a request, named by what it asks for: two that start at once cannot lose each other's.
    """
    plans: dict[Path, dict[str, dict[str, Any]]] = {}
    for record in records:
        if record.config.experiment:
            folder = Path(record.config.results) / PLANS / record.config.experiment
            plans.setdefault(folder, {})[record.folder.name] = record.tree
    for folder, asked in plans.items():
        content = to_json({"schema": SCHEMA, "runs": asked}).encode()
        name = hashlib.sha256("\n".join(asked).encode()).hexdigest()[:16]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / f"{name}.json", content)
        except OSError as error:
            raise AblateError(f"{folder} cannot be written: {error.strerror}; use results=FOLDER") from error
