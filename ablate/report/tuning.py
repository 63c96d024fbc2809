"""A study in which each row has values of its own, chosen on held-out images with the same number of trials.

The plan of such a grid says which trials each row had, and which of them was chosen; errors are those of the trials'
records. Two tables come of it: every row at the common values, and each row at its own.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas
from pandas import DataFrame

from ablate.base.errors import AblateError
from ablate.report import tables, wording
from ablate.report.records import read_all, rows_of
from ablate.runs.naming import flatten

if TYPE_CHECKING:
    from ablate.report.figures.drawing import Drawing

Place = tuple[int, int]
"""A study and a trial in it."""


@dataclass(frozen=True)
class Row:
    """A row: the cells of its runs at the common values and at its own; `values` are its own, by key; the folders of
    its trials, by study; the chosen one's place.
    """

    common: str
    own: str
    values: dict[str, float]
    studies: list[list[str]]
    chosen: Place


@dataclass(frozen=True)
class Tuning:
    """`trials` are the runs of the trials. `intervals`: start, end, and whether trials are even on a log scale."""

    trials: DataFrame
    intervals: dict[str, tuple[float, float, bool]]
    rows: list[Row]

    @staticmethod
    def read(design: Mapping[str, Any], folders: Sequence[Path]) -> "Tuning | None":
        """What an experiment's plan says, with the trials in `folders`; None if its rows have no values of their own.

        Raises AblateError if the plan is damaged, or a trial is not there.
        """
        if "tuning" not in design:
            return None
        try:
            said = design["tuning"]
            intervals = {str(key): (float(a), float(b), bool(log)) for key, (a, b, log) in said["intervals"].items()}
            rows = [
                Row(
                    str(row["common"]),
                    str(row["own"]),
                    {str(key): float(value) for key, value in row["values"].items()},
                    [[str(name) for name in study] for study in row["studies"]],
                    (int(row["chosen"][0]), int(row["chosen"][1])),
                )
                for row in said["rows"]
            ]
            trials = str(said["trials"])
        except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
            raise AblateError(f"a plan of this experiment is damaged ({error}): run its command again") from error
        runs = read_all(folders, trials).runs
        if lost := {name for row in rows for study in row.studies for name in study} - {*runs.folder}:
            raise AblateError(f"{len(lost)} trials of {trials} are not there: run the experiment's command again")
        return Tuning(runs, intervals, rows)


def choose(errors: Sequence[Sequence[float]], losses: Sequence[Sequence[float]]) -> Place:
    """The chosen trial of a row, from held-out errors and training losses (studies, trials), inf of diverged trials.

    In each study the lowest error counts, of equal ones the lower loss, of equal ones the first. Of several studies it
    is the one whose best error is the median, of an even number the lower one (after AlgoPerf,
    arXiv:2306.07179, which scores the median study).
    """
    best = [
        min((error, loss, trial) for trial, (error, loss) in enumerate(zip(*study, strict=True)))
        for study in zip(errors, losses, strict=True)
    ]
    order = sorted((*one[:2], study) for study, one in enumerate(best))
    study = order[(len(order) - 1) // 2][2]
    return study, best[study][2]


def results(runs: DataFrame, studies: Sequence[Sequence[str]]) -> tuple[list[list[float]], list[list[float]]]:
    """Held-out errors and training losses of trials by folder, (studies, trials); inf of diverged, NaN of missing."""
    found = {run.folder: run for run in rows_of(runs)}

    def of(name: str, key: str) -> float:
        run = found.get(name)
        if run is None or run.state == "missing":
            return math.nan
        return math.inf if run.state == "diverged" else float(getattr(run, key))

    return (
        [[of(name, "test_error") for name in study] for study in studies],
        [[of(name, "train_loss") for name in study] for study in studies],
    )


def at_common(runs: DataFrame, tuning: Tuning) -> DataFrame:
    """The runs at the common values. Raises AblateError if there are none."""
    common = runs[runs.cell.isin([row.common for row in tuning.rows])].reset_index(drop=True)
    if common.empty:
        raise AblateError("no run at the common values is left: run the experiment's command again, or change --where")
    return common


def at_own(runs: DataFrame, tuning: Tuning) -> DataFrame:
    """The runs of each row at its own values. The values are those of `common` in their configurations, so that rows
    differ in what is compared alone.
    """
    parts = []
    for row in tuning.rows:
        own, common = runs[runs.cell == row.own], runs[runs.cell == row.common]
        if len(own) and len(common):
            config = common.config.iloc[0]
            configs = pandas.Series([{**config, "seed": seed} for seed in own.seed], own.index)
            parts.append(own.assign(cell=row.common, config=configs, label=common.label.iloc[0]))
    if not parts:
        raise AblateError("no run at a row's own values is left: run the experiment's command again, or change --where")
    return pandas.concat(parts, ignore_index=True)


def own_words(own: DataFrame, tuning: Tuning, chosen: Sequence[str] = ()) -> tuple[DataFrame, str]:
    """The table of rows at their own values, as `tables.words`, and its caption."""
    own = own.assign(same_setting=False, from_published=math.nan)  # the papers have one value for all rows
    table, values = tables.words(own, chosen), {row.common: row.values for row in tuning.rows}
    for at, key in enumerate(tuning.intervals, 1):
        table.insert(at, f"own {key}", [f"{values[cell][key]:g}" for cell in own.cell])
    return table, "\n".join(["Each row at its own values.", *tables.notes(own)])


def words(tuning: Tuning, names: Mapping[str, str]) -> tuple[DataFrame, str]:
    """The chosen values as a table of text, and the caption that says how they were chosen. `names` of rows by cell."""
    lines, edges = [], []
    for row in _shown(tuning, names):
        errors, _ = results(tuning.trials, row.studies)
        every = [error for study in errors for error in study]
        line = {"shortcut": names[row.common]}
        lost = all(error == math.inf for error in every)
        for key, value in row.values.items():
            tried = _tried(tuning, row, key)
            edge = "smallest" if value <= min(tried) else "largest" if value >= max(tried) else ""
            line[key] = f"{value:g}" + (" (all trials diverged)" if lost else f" (the {edge} tried)" if edge else "")
            edges += [line["shortcut"]] if edge and not lost else []
        study, trial = row.chosen
        line["held-out error"] = wording.number(errors[study][trial])
        line["median of the trials"] = wording.number(float(pandas.Series(every).median()))
        line["trials"] = str(len(every))
        line["diverged"] = str(sum(error == math.inf for error in every))
        lines.append(line)
    studies = max(len(row.studies) for row in tuning.rows)
    rule = "The values of the trial with the lowest error on held-out training images, of equal ones the lower loss"
    if studies > 1:
        rule += f", in the one of {studies} studies whose best trial is the median"
    caption = [f"{rule}. No trial saw a test image, and every row had the same trials."]
    if edges:
        caption.append(f"At the edge of what was tried, a wider interval may have a better value: {'; '.join(edges)}.")
    return DataFrame(lines), "\n".join(caption)


def draw(
    tuning: Tuning, cells: DataFrame, names: Mapping[str, str], width: float | None
) -> "Iterator[tuple[str, Drawing]]":
    """Held-out error by each key's value, and by the number of trials. `cells`: the rows at the common values."""
    from ablate.report.figures.tuning import Panel, by_trials, by_value  # matplotlib

    common = {cell.cell: flatten(cell.config) for cell in rows_of(cells)}
    panels: list[Panel] = []
    for key, (_, _, log) in tuning.intervals.items():
        panels = [
            Panel(
                names[row.common],
                _tried(tuning, row, key),
                [error for study in results(tuning.trials, row.studies)[0] for error in study],
                row.values[key],
                common.get(row.common, {}).get(key),
            )
            for row in _shown(tuning, names)
        ]
        yield f"tuning-{key.replace('.', '_')}", by_value(panels, key, log=log, width=width)
    yield "tuning", by_trials(panels, width=width)


def _shown(tuning: Tuning, names: Mapping[str, str]) -> list[Row]:
    """The rows that have a name: without those that --where leaves out."""
    return [row for row in tuning.rows if row.common in names]


def _tried(tuning: Tuning, row: Row, key: str) -> list[float]:
    """The value of a key in each trial of a row."""
    found = {run.folder: run.config for run in rows_of(tuning.trials)}
    return [float(flatten(found[name])[key]) for study in row.studies for name in study]
