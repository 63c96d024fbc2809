"""More seeds until each row is separable from its baseline: the looks, and p-values corrected for looks and rows.

A look is a number of seeds at which the verdicts are read. Rows that are separable at a look get no more seeds; the
others go on to the next look, up to `most` seeds. p_k is a row's paired p-value at look k, over its first seeds.

Rows are found one after another, as in Holm's method (1979): with s rows left, a row is separable if
p_k < 5 % w_k(s) / s at any look so far, where the weights w_k(s) have the sum 1 over all looks. The chance that a
row is found to differ although it is equal to the baseline (family-wise error) is at most 5 %:

1. When the first of e equal rows is found, s >= e. w_k(s) / s falls with s, so p_k < 5 % w_k(e) / e at some look.
2. The chance of this is at most the sum over the e rows and all looks, e * sum of 5 % w_k(e) / e = 5 %, whatever the
   dependence of rows and looks.
3. More looks only add rows that are found. So a separable row stays so, and stopping it changes no verdict.

results/statistics.md has the error, the power and the number of runs, by simulation, and other rules for comparison.
"""

import numpy

from ablate.report import stats
from ablate.report.stats import Array

DECAY = 2 / 3
"""Weight of a look over that of the look before it, except the last."""
LAST = 1.5
"""With s rows left, the last look has the weight LAST / (s + LAST): few rows gain most from all seeds."""


def looks(most: int) -> tuple[int, ...]:
    """Numbers of seeds at which the verdicts are read: `most` and, at steps of the square root of 2, down to 3.

    For 10: 3, 4, 5, 7, 10. `most` must be at least 3, and chosen before the first look: raising it later adds false
    alarms.
    """
    if most < stats.STUDENT_FROM:
        raise ValueError(f"most must be at least {stats.STUDENT_FROM}, not {most}")
    steps = range(2 * most.bit_length())
    return tuple(sorted({max(stats.STUDENT_FROM, round(most / 2 ** (step / 2))) for step in steps}))


def weights(most: int, rows: int) -> Array:
    """The share of the 5 % that each look gets with this number of rows left: w (looks,), of sum 1."""
    earlier = DECAY ** numpy.arange(len(looks(most)) - 1)
    if not len(earlier):
        return numpy.ones(1)
    last = LAST / (rows + LAST)
    return numpy.append((1 - last) * earlier / earlier.sum(), last)


def corrected(p: Array, most: int) -> Array:
    """p-values (looks so far, ..., rows) corrected for looks and rows, of the same shape.

    A row is separable from the first look at which its corrected p is below 5 %; from look to look it only falls.
    Rows are all that are compared, with NaN for a look that was skipped or that came after the row had stopped. A row
    without any p counts as a row, and gets 1: leave out rows that diverged.
    """
    rows = p.shape[-1]
    p = numpy.nan_to_num(p, nan=1.0)
    out, left, highest = numpy.empty_like(p), numpy.ones(p.shape, bool), numpy.zeros((*p.shape[:-1], 1))
    for s in range(rows, 0, -1):
        of_look = p / weights(most, s)[: len(p)].reshape(-1, *[1] * (p.ndim - 1))
        of_row = numpy.where(left, s * numpy.minimum.accumulate(of_look), numpy.inf)
        lowest = of_row.argmin(-1, keepdims=True)
        highest = numpy.maximum(highest, numpy.take_along_axis(of_row, lowest, -1))
        numpy.put_along_axis(out, lowest, numpy.minimum(highest, 1.0), -1)
        numpy.put_along_axis(left, lowest, False, -1)
    return out
