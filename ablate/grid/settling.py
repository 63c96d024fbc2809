"""`seeds=auto`: a grid in stages, in which the rows whose verdict is settled get no more seeds.

Each stage is a grid of its own, and what is settled follows from the records alone. The same command therefore
continues an interrupted study, one whose runs are on a cluster, and one that began as a plain grid.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pandas import DataFrame

from ablate.base.errors import ConfigError
from ablate.base.terminal import say
from ablate.config.schema import Config
from ablate.report import records, sequential
from ablate.report.aggregate import cells
from ablate.report.comparison import IDENTITY, bases
from ablate.report.predictions import read_wrong
from ablate.report.settled import OPEN
from ablate.runs.record import Record

AGAIN = "the same command, once they have ended, continues with the rows that are not settled"


def until_settled(rows: Sequence[Config], train: Callable[[list[Config], dict[str, Any]], bool]) -> None:
    """Train seeds 0, 1, ... of the cells `rows` until each verdict is settled; `train` returns whether all are done.

    Raises ConfigError if the grid has no name or no baseline, or was begun with other rows, another `most_seeds` or
    tuning.
    """
    experiment, most, results = rows[0].experiment, rows[0].most_seeds, Path(rows[0].results)
    if not experiment:
        raise ConfigError("seeds=auto compares the rows of a named grid: add name=NAME")
    left = {Record(config).cell: config for config in rows}
    if all(base in (None, row) for row, base in enumerate(bases([*map(asdict, left.values())], IDENTITY))):
        raise ConfigError(
            "seeds=auto compares rows with shortcut=identity, all other settings equal: add it to the grid, where no "
            "row has one"
        )
    _check_begun(results, experiment, left, most)
    before = 0
    for n in sequential.looks(most):
        stage = [
            replace(config, seed=seed, tracker=replace(config.tracker))  # each run has a name of its own
            for config in left.values()
            for seed in range(before, n)
        ]
        if not train(stage, {"most_seeds": most}):
            asked = "would be asked for" if rows[0].dry_run else "were asked for"
            say(f"{experiment}: up to {n} of at most {most} seeds {asked}; {AGAIN}")
            return
        study = _study(results, experiment, most)
        unsettled = study[study.settled == OPEN]
        left = {cell: left[cell] for cell in dict.fromkeys([*unsettled.cell, *unsettled.baseline_cell])}
        before = n
        say(_progress(study, n, len(unsettled)))
        if not left:
            return


def _check_begun(results: Path, experiment: str, asked: Mapping[str, Config], most: int) -> None:
    """Raise ConfigError if the experiment was tuned or begun with another `most`, or has cells not `asked` for.

    A cell of custom code that gave no result, and was edited since, is left out: nobody has looked at it.
    """
    found = records.begun(results, experiment)
    if found is None:
        return
    if "tuning" in found.design:
        raise ConfigError(
            f"{experiment} is a study with tune.trials, whose seeds are fixed: give seeds=auto another name"
        )
    begun = found.design.get("most_seeds", most)
    if begun != most:
        raise ConfigError(f"{experiment} was begun with most_seeds={begun}: give that, or another name")
    requests = {records.request(asdict(config)) for config in asked.values()}
    rows = records.rows_of(found.runs)
    seen = {row.cell for row in rows if row.state in records.WORTH or records.request(row.config) not in requests}
    if others := seen - asked.keys():
        raise ConfigError(
            f"{experiment} has {len(others)} row{'s' * (len(others) > 1)} that this command leaves out, and a verdict "
            "depends on how many there are: ask for all rows, or give another name"
        )


def _study(results: Path, experiment: str, most: int) -> DataFrame:
    """The rows of a study as the report compares them."""
    runs, _ = records.without_superseded(records.read(results, experiment).runs)
    return cells(runs, wrong=read_wrong(runs)[0], most=most)


def _progress(study: DataFrame, n: int, left: int) -> str:
    """A sentence after each stage."""
    others = study[~study.is_baseline]
    compared = int((others.settled != "").sum())
    sentence = f"{compared - left} of {compared} rows are settled with up to {n} seeds"
    if left:
        sentence += f"; {left} get{'s' * (left == 1)} more"
    if alone := len(others) - compared:
        sentence += f"; {alone} cannot be compared: see the report's verdict{'s' * (alone > 1)}"
    return sentence
