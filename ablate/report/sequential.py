"""More seeds until each row is separable from its baseline: the looks, and p-values corrected for them.

A look is a number of seeds at which the verdicts are read. Rows that are separable at a look get no more seeds; the
others go on to the next look, up to `most` seeds. p_k is the row's paired p-value at look k, over its first seeds.

    corrected p at look k = Holm's correction, over the rows, of q_k = min(p_1 / w_1, ..., p_k / w_k)

The share of rows that are found to differ although they do not, in any look, is at most 5 % (family-wise error):
1. sum of w_k = 1, so a row that does not differ has P(q_k <= a at any look) <= sum of P(p_k <= a w_k) <= a.
2. So q is a valid p-value, and Holm's method (1979) holds 5 % for valid p-values, whatever their dependence.
3. q only falls with more looks. So a separable row stays so, and stopping it changes no other row's verdict.

results/statistics.md has the error, the power and the number of runs, by simulation, and compares other methods.
"""

import numpy
from numpy.typing import NDArray

from ablate.report import stats
from ablate.report.stats import Array

LAST = 1 / 3
"""Weight of the last look."""
DECAY = 2 / 3
"""Weight of a look over that of the look before it, except the last."""


def looks(most: int) -> tuple[int, ...]:
    """Numbers of seeds at which the verdicts are read: `most` and, at steps of the square root of 2, down to 3.

    For 10: 3, 4, 5, 7, 10. `most` must be at least 3, and chosen before the first look: raising it later adds false
    alarms.
    """
    if most < stats.STUDENT_FROM:
        raise ValueError(f"most must be at least {stats.STUDENT_FROM}, not {most}")
    steps = range(2 * most.bit_length())
    return tuple(sorted({max(stats.STUDENT_FROM, round(most / 2 ** (step / 2))) for step in steps}))


def weights(most: int) -> Array:
    """The share of the 5 % that each look gets: w (looks,), of sum 1."""
    earlier = DECAY ** numpy.arange(len(looks(most)) - 1)
    return numpy.append(earlier / earlier.sum() * (1 - LAST), LAST) if len(earlier) else numpy.ones(1)


def corrected(p: Array, most: int) -> Array:
    """p-values (looks so far, ..., rows) corrected for looks and rows, of the same shape; it only falls from look to
    look. A row is separable at the first look at which it is below 5 %.

    Rows are all that are compared, also the separable ones: without p at their later looks. NaN is a look without p,
    because it was skipped or the row had stopped. A row without any is corrected for, and gets 1: leave out rows that
    diverged.
    """
    over_looks = p / weights(most)[: len(p)].reshape(-1, *[1] * (p.ndim - 1))
    return stats.holm(numpy.minimum(numpy.fmin.accumulate(numpy.nan_to_num(over_looks, nan=1.0)), 1.0))


def separable_at(p: Array, most: int) -> NDArray[numpy.int64]:
    """The seeds at which each row became separable, (..., rows), from p as for `corrected`; 0 if it did not."""
    separable = corrected(p, most) < 1 - stats.CONFIDENCE
    return numpy.where(separable.any(0), numpy.array(looks(most))[separable.argmax(0)], 0)
