"""`seeds=auto`: a grid in stages, in which the rows whose verdict is settled get no more seeds.

Each stage is a grid of its own, and what is settled follows from the records alone. The same command therefore
continues an interrupted study, one whose runs are on a cluster, and one that began as a plain grid.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pandas import DataFrame

from ablate.base.errors import ConfigError
from ablate.base.terminal import say
from ablate.config.schema import Config
from ablate.report import sequential
from ablate.report.settled import OPEN
from ablate.runs.record import Record

AGAIN = "the same command, once they have ended, continues with the rows that are not settled"


def until_settled(rows: Sequence[Config], train: Callable[[list[Record]], bool]) -> None:
    """Train seeds 0, 1, ... of the cells `rows` until each verdict is settled; `train` returns whether all are done.

    Raises ConfigError if the grid has no name or no baseline, or was begun with another `most_seeds`.
    """
    experiment, most = rows[0].experiment, rows[0].most_seeds
    if not experiment:
        raise ConfigError("seeds=auto compares the rows of a named grid: add name=NAME")
    if len(rows) < 2 or not any(config.shortcut["name"] == "identity" for config in rows):
        raise ConfigError("seeds=auto compares rows with shortcut=identity: add it to the grid")
    wanted = {Record(config).cell: config for config in rows}
    before = 0
    for n in sequential.looks(most):
        records = [Record(replace(config, seed=seed)) for config in wanted.values() for seed in range(before, n)]
        if not train(records):
            if not rows[0].dry_run:
                say(f"{experiment}: up to {n} seeds were asked for; {AGAIN}")
            return
        study = _study(Path(rows[0].results), experiment, {Record(config).cell for config in rows}, most)
        unsettled = study[study.stopped == OPEN]
        wanted = {cell: wanted[cell] for cell in [*unsettled.cell, *unsettled.baseline_cell.unique()]}
        before = n
        say(_progress(study, n, len(unsettled)))
        if not wanted:
            return


def _study(results: Path, experiment: str, cells_asked: set[str], most: int) -> DataFrame:
    """The rows of a study as the report compares them."""
    from ablate.report import records
    from ablate.report.aggregate import cells
    from ablate.report.predictions import read_wrong

    found = records.read(results, experiment)
    if found.design.get("most_seeds", most) != most:
        raise ConfigError(
            f"{experiment} was begun with most_seeds={found.design['most_seeds']}: give that, or another name"
        )
    runs = found.runs[found.runs.cell.isin(cells_asked)].reset_index(drop=True)
    return cells(runs, wrong=read_wrong(runs)[0], most=most)


def _progress(study: DataFrame, n: int, left: int) -> str:
    """A sentence after each stage."""
    others = study[~study.is_baseline]
    settled = f"{len(others) - left} of {len(others)} rows are settled with up to {n} seeds"
    return f"{settled}; {left} get more" if left else settled
