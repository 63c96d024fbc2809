"""A grid: every cell is composed and checked before the first one trains, and finished cells are left alone.

Hydra's sweeper decides what to run and hands it to a launcher, which decides where.
"""

import copy
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from ablate.config import Config, resolve
from ablate.errors import AblateError, ConfigError
from ablate.files import to_json, write_whole
from ablate.runs.record import Record
from ablate.runs.signature import SCHEMA

WORKERS = "ABLATE_WORKERS"
"""How many runs of a grid share this machine's cores: set here, read by each run for its number of threads."""


class GridSweeper(Sweeper):
    """Runs every cell of the product of the sweep's lists that is not finished; `params` are an experiment's lists."""

    __module__ = "hydra_plugins.ablate"  # see `register`

    def __init__(self, params: dict[str, str] | None = None, max_batch_size: int | None = None) -> None:
        self.params, self.max_batch_size = dict(params or {}), max_batch_size

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.grid, self.loader = config, hydra_context.config_loader
        self.runner = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        started = time.monotonic()
        asked = [f"{key}={value}" for key, value in self.params.items()] + arguments
        parser = OverridesParser.create(config_loader=self.loader)
        cells = expand(parser.parse_overrides(asked))
        records: dict[Path, tuple[list[str], Record]] = {}  # cells that say the same thing are one run
        for cell in cells:
            record = Record(self._compose(cell))
            records.setdefault(record.folder, (cell, record))
        _write_plans(record for _, record in records.values())
        waiting = [(cell, record) for cell, record in records.values() if not record.finished()]
        print(f"{len(records)} runs in the grid, {len(records) - len(waiting)} already trained", flush=True)
        if not waiting:
            return []
        results = self._launch([cell for cell, _ in waiting])
        failed = [
            (record, result)
            for (_, record), result in zip(waiting, results, strict=True)
            if result.status != JobStatus.COMPLETED
        ]
        print(f"{len(results) - len(failed)} runs trained in {time.monotonic() - started:.0f} s", flush=True)
        reasons: dict[str, list[str]] = {}
        for record, result in failed:
            error = result._return_value  # the property would print the overrides and raise
            reason = (
                str(error) if isinstance(error, AblateError) else f"{type(error).__name__}: {error} (see its run.log)"
            )
            reasons.setdefault(reason, []).append(record.folder.name)
        for reason, names in reasons.items():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            print(f"ablate: {names[0]}{more} failed: {reason}", file=sys.stderr)
        if failed:
            raise AblateError(f"{len(failed)} of {len(records)} runs failed; the same command again runs what is left")
        return [results]

    def _compose(self, cell: list[str]) -> Config:
        composed = self.loader.load_sweep_config(self.grid, cell)
        composed = copy.copy(composed)
        with open_dict(composed):
            del composed["hydra"]
        try:
            return resolve(composed)
        except ConfigError as error:
            raise ConfigError(f"{error} (in the cell {' '.join(cell)})") from error

    def _launch(self, cells: list[list[str]]) -> Sequence[JobReturn]:
        joblib = getattr(self.runner, "joblib", None)  # the one launcher here whose runs share a machine
        if joblib is not None:
            from ablate.machine import cores

            jobs = joblib.get("n_jobs", -1)
            joblib["n_jobs"] = min(len(cells), cores() if jobs in (-1, None) else jobs)
            os.environ[WORKERS] = str(joblib["n_jobs"])
        return self.runner.launch(cells, initial_job_idx=0)


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


def register() -> None:
    """Make the sweeper known to Hydra, for `hydra.sweeper._target_` in conf/config.yaml.

    Hydra takes plugins from the namespace package `hydra_plugins` alone, which other packages share; this module goes
    there under a second name instead of installing a file into it.
    """
    sys.modules["hydra_plugins.ablate"] = sys.modules[__name__]
    Plugins.instance().register(GridSweeper)


def _write_plans(records: Iterable[Record]) -> None:
    """What each experiment asks for, beside the runs, so that a report can say what is missing."""
    plans: dict[Path, dict[str, dict[str, Any]]] = {}
    for record in records:
        if record.config.experiment:
            path = Path(record.config.results) / "_grids" / f"{record.config.experiment}.json"
            plans.setdefault(path, {})[record.folder.name] = record.tree
    for path, asked in plans.items():
        try:
            before = json.loads(path.read_text())["runs"]
        except (OSError, ValueError, KeyError, TypeError):
            before = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, to_json({"schema": SCHEMA, "runs": {**before, **asked}}).encode())
        except OSError as error:
            raise AblateError(
                f"results={path.parent.parent} cannot be written: {error.strerror}; use results=FOLDER"
            ) from error
