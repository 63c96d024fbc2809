"""The result of a study in words, made from its verdicts: the first paragraph of the page."""

from collections.abc import Iterable

from pandas import DataFrame

from ablate.report import settled, stats
from ablate.report.keys import labels
from ablate.report.wording import number

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
MOST_NAMES = 3
"""Rows that are named; more are counted."""


def summary(cells: DataFrame) -> list[str]:
    """Sentences: which rows are worse, better or not separable, how many have no verdict, and the range of errors."""
    cells = cells.assign(name=labels(cells, settings=True))
    return [*_verdicts(cells), *_errors(cells)]


def _verdicts(cells: DataFrame) -> list[str]:
    others = cells[~cells.is_baseline & (cells.verdict != "")]
    tested = others[others.p_holm.notna()]
    bases = cells[cells.cell.isin(others.baseline_cell)]
    base = bases.name.iloc[0] if len(bases) == 1 else "their baselines"
    if not len(tested):
        why = f"differences are tested from {stats.STUDENT_FROM} seeds per row; the column verdict says what is missing"
        return [f"No row has been tested against {base}: {why}."] if len(bases) else []
    undecided = tested.p_holm >= 1 - stats.CONFIDENCE
    equal, more = (
        tested[undecided & (tested.settled != settled.OPEN)],
        tested[undecided & (tested.settled == settled.OPEN)],
    )
    parts = [
        f"{_named(rows.name)} {verb.format(base)}"
        for rows, one, several in (
            (equal, "cannot be separated from {}", "cannot be separated from {}"),
            (tested[tested.verdict == "worse"], "is worse than {}", "are worse than {}"),
            (tested[tested.verdict == "better"], "is better than {}", "are better than {}"),
            (more, "needs more seeds to be compared with {}", "need more seeds to be compared with {}"),
        )
        if len(rows)
        for verb in [one if len(rows) == 1 else several]
    ]
    few, most = tested.common.min(), tested.common.max()
    lines = [f"With {few if few == most else f'{few} to {most}'} seeds, {'; '.join(parts)}."]
    if left := len(others) - len(tested):
        lines.append(f"{_count(left).capitalize()} without a verdict: the column says why.")
    return lines


def _errors(cells: DataFrame) -> list[str]:
    known = cells[cells["mean"].notna()].sort_values("mean")
    if len(known) < 2:
        return []
    low, high = (f"{number(row['mean'])}\u00a0% ({row['name']})" for row in (known.iloc[0], known.iloc[-1]))
    return [f"Mean errors are from {low} to {high}."]


def _named(rows: Iterable[str]) -> str:
    """Up to MOST_NAMES names in one phrase, or how many rows they are."""
    names = list(rows)
    if len(names) > MOST_NAMES:
        return _count(len(names))
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _count(rows: int) -> str:
    return f"{NUMBERS[rows] if rows < len(NUMBERS) else rows} row{'s' * (rows > 1)}"
