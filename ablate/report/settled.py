"""Which rows of a study with seeds=auto are settled, by its records alone: the grid and the report ask the same.

A row is compared with its baseline at the numbers of seeds that `sequential.looks` names, with the first so many seeds.
It is settled when it is separable, when all of its seeds or all of its baseline's diverged, or at the most. What was
looked at in between, or before seeds=auto was asked for, changes neither the looks nor their levels.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy

from ablate.report import sequential, stats

OPEN, SEPARABLE, MOST, DIVERGED = "more seeds needed", "separable", "most seeds", "all diverged"


class Look(NamedTuple):
    """A row at one look: p of its comparison, NaN if it has none; whether all its or its baseline's seeds diverged."""

    p: float
    diverged: bool


class Settled(NamedTuple):
    """The look at which a row stopped, or the last that it reached, 0 if none; p there, corrected for rows and looks;
    and why it stopped.
    """

    seeds: int
    p: float
    why: str


def settle(rows: Sequence[Callable[[int], Look | None]], most: int) -> list[Settled]:
    """The state of each row, which gives its `Look` at n seeds, or None if it or its baseline lacks one of them."""
    steps = sequential.looks(most)
    looks = [[row(n) for n in steps] for row in rows]
    reached = [next((at for at, look in enumerate(row) if look is None), len(steps)) for row in looks]
    diverged = [bool(row[0] and row[0].diverged) for row in looks]
    compared = [place for place, gone in enumerate(diverged) if not gone]
    p = [[look.p if look else math.nan for look in looks[place]] for place in compared]
    corrected = dict(zip(compared, sequential.corrected(numpy.array(p).T, most).T.tolist(), strict=True)) if p else {}
    found = []
    for place, count in enumerate(reached):
        if diverged[place]:
            found.append(Settled(steps[0], math.nan, DIVERGED))
            continue
        at = [look for look in range(count) if corrected[place][look] < 1 - stats.CONFIDENCE][:1]
        why = SEPARABLE if at else MOST if count == len(steps) else OPEN
        last = at[0] if at else count - 1
        found.append(Settled(steps[last], corrected[place][last], why) if count else Settled(0, math.nan, why))
    return found
