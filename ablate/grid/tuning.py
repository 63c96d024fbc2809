"""`tune.trials=N`: values of its own for each row of a grid, chosen with the same number of trials.

Three grids, one after another: the trials, on training images that are held out; every row at the common values; every
row at its own, both on the test set. What is chosen follows from the records of the trials, so the same command
continues an interrupted study and one on a cluster.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

from ablate.base.errors import ConfigError
from ablate.base.files import to_json
from ablate.base.terminal import say
from ablate.config.schema import Config, Tune
from ablate.data.facts import facts
from ablate.grid import cells
from ablate.report import records
from ablate.report.tuning import choose, results
from ablate.runs.naming import flatten, label, within
from ablate.runs.record import Record

Train = Callable[[list[Config], dict[str, Any]], bool]
SUFFIX = "-trials"
"""Of the name under which the trials are recorded."""
UNTUNED = ("tune.trials=null", "tune.studies=1", "tune.held_out=null")
"""Words that compose the same grid as a plain one."""
NOT_OF_A_ROW = ("seed", "experiment", "tune", "data.validation", "tracker.run")
"""Keys in which the runs of a row and its trials differ, besides those that are tuned."""


def tuned(words: Sequence[str], folders: Sequence[Path], grid: cells.Grid, train: Train) -> None:
    """Train the trials, choose, and train the rows of `grid`, which `words` ask for, at common values and their own.

    Raises ConfigError if the grid has no name, no interval or no rows to compare, or holds out images itself.
    """
    first, keys = grid.configs[0], [key.lstrip("+") for key in grid.intervals]
    experiment, tune = first.experiment, first.tune
    if not experiment:
        raise ConfigError("tune.trials is for a named grid: add name=NAME")
    if not keys:
        raise ConfigError(
            "tune.trials draws values in intervals, and the grid has none: add one, as in "
            "'recipe.learning_rate=tag(log,interval(0.003,0.3))'"
        )
    if fixed := [key for key in keys if within(key, NOT_OF_A_ROW)]:
        raise ConfigError(f"{fixed[0]} cannot be tuned: give one value, or a list as in seed=0,1,2")
    sweeper = grid.composed.hydra.sweeper
    if sweeper.samples is not None or sweeper.seed != 0:
        raise ConfigError(
            "hydra.sweeper.samples and hydra.sweeper.seed are set by tune.trials and tune.studies: leave them out"
        )
    if any(config.data.validation for config in grid.configs):
        raise ConfigError("data.validation is set for the trials alone: give tune.held_out=N instead")
    rows: dict[str, list[Config]] = {}
    for config in grid.configs:
        rows.setdefault(_row(config, keys), []).append(config)
    studies = [_trials(words, folders, first, study, experiment, keys, rows) for study in range(tune.studies)]
    trials = [trial for study in studies for row in study.values() for trial in row]
    if not train(trials, {}):
        runs = len(grid.configs)
        say(f"{experiment}: {len(trials)} trials come first; the same command continues with {runs} runs at the common "
            f"values and {runs} at each row's own")  # fmt: skip
        return
    found = records.read(Path(first.results), f"{experiment}{SUFFIX}").runs
    design, own = [], []
    for row, configs in rows.items():
        names = [[Record(trial).name for trial in study[row]] for study in studies]
        errors, losses = results(found, names)
        at = choose(errors, losses)
        values = {key: flatten(asdict(studies[at[0]][row][at[1]]))[key] for key in keys}
        theirs = _at(words, folders, dict(zip(grid.intervals, values.values(), strict=True)), row, keys)
        own += theirs
        lost = "; all of its trials diverged" if {*chain.from_iterable(errors)} == {math.inf} else ""
        say(f"{label(configs[0].shortcut)}: " + ", ".join(f"{key}={value:g}" for key, value in values.items()) + lost)
        cell = {"common": Record(configs[0]).cell, "own": Record(theirs[0]).cell}
        design.append({**cell, "values": values, "studies": names, "chosen": list(at)})
    intervals = {key: [one.start, one.end, one.log] for key, one in zip(keys, grid.intervals.values(), strict=True)}
    plan = {"trials": f"{experiment}{SUFFIX}", "intervals": intervals, "rows": design}
    train([replace(config, tune=Tune()) for config in [*grid.configs, *own]], {"tuning": plan})


def _trials(
    words: Sequence[str],
    folders: Sequence[Path],
    first: Config,
    study: int,
    experiment: str,
    keys: Sequence[str],
    rows: Mapping[str, list[Config]],
) -> dict[str, list[Config]]:
    """The trials of a study by row, in the order in which they were drawn. All rows have the same draws."""
    draw = [f"hydra.sweeper.samples={first.tune.trials}", f"hydra.sweeper.seed={study}"]
    place = [f"data.validation={_held_out(first)}", f"seed={study}"]
    found: dict[str, list[Config]] = {row: [] for row in rows}
    for config in cells.compose([*words, *draw, *UNTUNED, *place], folders).configs:
        found[_row(config, keys)].append(replace(config, experiment=f"{experiment}{SUFFIX}"))
    return found


def _at(
    words: Sequence[str], folders: Sequence[Path], values: Mapping[str, Any], row: str, keys: Sequence[str]
) -> list[Config]:
    """The runs of one row at these values."""
    given = [f"{key}={value!r}" for key, value in values.items()]
    found = cells.compose([*words, *UNTUNED, *given], folders).configs
    return [config for config in found if _row(config, keys) == row]


def _row(config: Config, keys: Sequence[str]) -> str:
    """What the runs and trials of a row have in common."""
    flat = flatten(asdict(config))
    return to_json({key: value for key, value in flat.items() if not _left_out(key, keys)})


def _left_out(key: str, keys: Sequence[str]) -> bool:
    return key in keys or within(key, NOT_OF_A_ROW)


def _held_out(config: Config) -> int:
    if config.tune.held_out is not None:
        return config.tune.held_out
    known = facts(config.data)
    if known is None:
        raise ConfigError("how many images there are is not known yet: add tune.held_out=N, about a fifth of them")
    return known.train // 5
