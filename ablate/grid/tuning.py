"""`tune.trials=N`: values of its own for each row of a grid, chosen with the same number of trials.

Three grids, one after another: the trials, on training images that are held out; every row at the common values; every
row at its own, both on the test set. What is chosen follows from the records of the trials, so the same command
continues an interrupted study and one on a cluster.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from ablate.base.errors import AblateError, ConfigError
from ablate.base.files import to_json
from ablate.base.terminal import say
from ablate.config.schema import Config, Tune
from ablate.data.facts import facts
from ablate.grid import cells
from ablate.grid.sampling import Interval
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

    Raises ConfigError if the grid has no name or no interval, tunes what is not of a row or what another key depends
    on, sets the drawing itself, holds out images itself, or was begun with seeds=auto.
    """
    asked = _Asked(words, folders, grid)
    asked.check()
    first = grid.configs[0]
    experiment = first.experiment
    studies = [asked.trials(study) for study in range(first.tune.studies)]
    trials = [trial for study in studies for row in study.values() for trial in row]
    if not train(trials, {}):
        runs = len(grid.configs)
        say(f"{experiment}: {len(trials)} trials come first; the same command continues with {runs} runs at the common "
            f"values and {runs} at each row's own")  # fmt: skip
        return
    found = records.read(Path(first.results), f"{experiment}{SUFFIX}").runs
    design, own = [], []
    for row, configs in asked.rows(grid.configs).items():
        names = [[Record(trial).name for trial in study[row]] for study in studies]
        errors, losses = results(found, names)
        if any(map(math.isnan, chain(*errors))):
            raise AblateError(
                f"a trial of {label(configs[0].shortcut)} cannot be read: ablate report --experiment "
                f"{experiment}{SUFFIX} says why"
            )
        at = choose(errors, losses)
        values = {key: flatten(asdict(studies[at[0]][row][at[1]]))[key] for key in asked.keys}
        theirs = asked.at(values, row)
        own += theirs
        lost = "; all of its trials diverged" if {*chain.from_iterable(errors)} == {math.inf} else ""
        say(f"{label(configs[0].shortcut)}: " + ", ".join(f"{key}={value:g}" for key, value in values.items()) + lost)
        cell = {"common": Record(configs[0]).cell, "own": Record(theirs[0]).cell}
        design.append({**cell, "values": values, "studies": names, "chosen": list(at)})
    intervals = {key: [one.start, one.end, one.log] for key, one in asked.intervals.items()}
    plan = {"trials": f"{experiment}{SUFFIX}", "intervals": intervals, "rows": design}
    train([replace(config, tune=Tune()) for config in [*grid.configs, *own]], {"tuning": plan})


@dataclass(frozen=True)
class _Asked:
    """A grid with intervals, and the words that ask for it, from which its trials are composed."""

    words: Sequence[str]
    folders: Sequence[Path]
    grid: cells.Grid

    @property
    def keys(self) -> list[str]:
        """Those that are tuned."""
        return [*self.intervals]

    @property
    def intervals(self) -> dict[str, Interval]:
        return {key.lstrip("+"): interval for key, interval in self.grid.intervals.items()}

    def check(self) -> None:
        """Raise ConfigError if the grid cannot be tuned."""
        first = self.grid.configs[0]
        if not first.experiment:
            raise ConfigError("tune.trials is for a named grid: add name=NAME")
        if not self.keys:
            raise ConfigError(cells.NO_INTERVAL.format("tune.trials"))
        if fixed := [key for key in self.keys if within(key, NOT_OF_A_ROW)]:
            raise ConfigError(f"{fixed[0]} cannot be tuned: give one value, or a list as in seed=0,1,2")
        sweeper = self.grid.composed.hydra.sweeper
        if sweeper.samples is not None or sweeper.seed != 0:
            raise ConfigError(
                "hydra.sweeper.samples and hydra.sweeper.seed are set by tune.trials and tune.studies: leave them out"
            )
        if any(config.data.validation for config in self.grid.configs):
            raise ConfigError("data.validation is set for the trials alone: give tune.held_out=N instead")
        if len({_held_out(config) for config in self.grid.configs}) > 1:
            raise ConfigError("a fifth of the training images is another number for each dataset: add tune.held_out=N")
        begun = records.begun(Path(first.results), first.experiment)
        if begun and "most_seeds" in begun.design:
            raise ConfigError(f"{first.experiment} was begun with seeds=auto: give tune.trials another name")

    def trials(self, study: int) -> dict[str, list[Config]]:
        """The trials of a study by row, in the order in which they were drawn. All rows have the same draws."""
        first = self.grid.configs[0]
        draw = [f"hydra.sweeper.samples={first.tune.trials}", f"hydra.sweeper.seed={study}"]
        place = [f"data.validation={_held_out(first)}", f"seed={study}"]
        found = self._compose(*draw, *place)
        rows = self.rows([replace(config, experiment=f"{first.experiment}{SUFFIX}") for config in found])
        if rows.keys() != self.rows(self.grid.configs).keys():
            raise ConfigError(
                f"another key depends on {' or '.join(self.keys)}: trials of a row may differ in what is tuned alone"
            )
        return rows

    def at(self, values: Mapping[str, Any], row: str) -> list[Config]:
        """The runs of one row at these values of the keys."""
        words = (f"{key}={value!r}" for key, value in zip(self.grid.intervals, values.values(), strict=True))
        return self.rows(self._compose(*words))[row]

    def rows(self, configs: Sequence[Config]) -> dict[str, list[Config]]:
        """The runs or trials of each row, by what they have in common."""
        found: dict[str, list[Config]] = {}
        for config in configs:
            found.setdefault(self._common(config), []).append(config)
        return found

    def _common(self, config: Config) -> str:
        flat, apart = flatten(asdict(config)), (*self.keys, *NOT_OF_A_ROW)
        return to_json({key: value for key, value in flat.items() if not within(key, apart)})

    def _compose(self, *words: str) -> list[Config]:
        return cells.compose([*self.words, *UNTUNED, *words], self.folders).configs


def _held_out(config: Config) -> int:
    if config.tune.held_out is not None:
        return config.tune.held_out
    known = facts(config.data)
    if known is None:
        raise ConfigError("how many images there are is not known yet: add tune.held_out=N, about a fifth of them")
    return known.train // 5
