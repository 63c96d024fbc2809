"""Statistics over seeds: intervals, paired differences, and what can be told apart with how many seeds.

Pure functions on arrays whose last axis is the seeds; randomness comes in as a Generator. A quantity that would not
keep its promise is NaN: fewer seeds than `STUDENT_FROM` or `BOOTSTRAP_FROM`, or seeds that all gave the same number
and so show no spread. results/statistics.md has what the promises are worth, by simulation.
"""

import numpy
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[numpy.float64]

CONFIDENCE = 0.95
STUDENT_FROM = 3
"""Seeds for Student's t. At 2 its interval is 12.7 standard errors either way: true, and of no use."""
BOOTSTRAP_FROM = 5
"""Seeds for the bootstrap: with fewer, too few different resamples exist for a 95 % interval."""
RESAMPLES = 2000
GRAIN = 1e-9
"""Percent: errors are counts, so what differs by less differs by rounding alone."""


def student_interval(values: Array) -> tuple[Array, Array]:
    """Student's 95 % interval of the mean of values (..., n): low and high, each (...)."""
    n = values.shape[-1]
    mean = values.mean(-1)
    if n < STUDENT_FROM:
        return _none(mean), _none(mean)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * _standard_error(values)
    return mean - half, mean + half


def bootstrap_interval(values: Array, rng: numpy.random.Generator) -> tuple[Array, Array]:
    """The bootstrap-t 95 % interval of the mean of values (..., n), resampling seeds alone: low and high, each (...).

    The studentised bootstrap (Efron 1979; Hall 1988) and not the percentile or BCa interval, which at 5 seeds cover
    the truth 84 times in 100 and need 50 to come near 95 (results/statistics.md).
    """
    n, mean = values.shape[-1], values.mean(-1)
    low, high = _none(mean), _none(mean)
    if n < BOOTSTRAP_FROM:
        return low, high
    error = _standard_error(values)
    for at in numpy.ndindex(mean.shape):  # one study at a time: each has resamples of its own
        drawn = values[at][rng.integers(0, n, (RESAMPLES, n))]
        centred = drawn.mean(-1) - mean[at]
        centred = numpy.where(numpy.abs(centred) > GRAIN, centred, 0.0)
        with numpy.errstate(divide="ignore", invalid="ignore"):  # one value n times shows no spread: t is infinite
            t = centred / numpy.nan_to_num(_standard_error(drawn))
        t = numpy.sort(numpy.where(numpy.isnan(t), 0.0, t))
        tail = int(RESAMPLES * (1 - CONFIDENCE) / 2)
        ends = mean[at] - t[RESAMPLES - 1 - tail] * error[at], mean[at] - t[tail] * error[at]
        if numpy.isfinite(ends).all():
            low[at], high[at] = ends
    return low, high


def paired_difference(values: Array, baseline: Array) -> tuple[Array, Array, Array, Array]:
    """Of values (..., n) less baseline (..., n), seed by seed: mean difference, its 95 % interval, two-sided p.

    Student's paired t-test. Differences that are all zero have p = 1; all alike and not zero, they show no spread
    and have no p.
    """
    difference = values - baseline
    low, high = student_interval(difference)
    mean = difference.mean(-1)
    if difference.shape[-1] < STUDENT_FROM:
        return mean, low, high, _none(mean)
    with numpy.errstate(divide="ignore", invalid="ignore"):
        t = numpy.abs(mean) / _standard_error(difference)
    p = 2 * stats.t.sf(t, difference.shape[-1] - 1)
    return mean, low, high, numpy.where((numpy.abs(difference) < GRAIN).all(-1), 1.0, p)


def holm(p: Array) -> Array:
    """p-values (..., m) corrected for being m of them (Holm 1979); NaN stays NaN and does not count."""
    order = numpy.argsort(p, -1)  # NaN last
    counted = (~numpy.isnan(p)).sum(-1, keepdims=True)
    factor = counted - numpy.arange(p.shape[-1])
    ordered = numpy.take_along_axis(p, order, -1) * factor
    adjusted = numpy.minimum(numpy.maximum.accumulate(ordered, -1), 1.0)
    out = numpy.empty_like(p)
    numpy.put_along_axis(out, order, adjusted, -1)
    return numpy.where(numpy.isnan(p), numpy.nan, out)


def power(difference: float, spread: float, seeds: int, rows: int = 1) -> float:
    """The chance that a paired t-test over `seeds` seeds, at 5 % corrected for `rows` rows, tells a true difference.

    `spread` is the standard deviation over seeds of each of the two rows, which are taken to be independent: their
    difference has sqrt(2) times it. Noncentral t. Of `rows` rows Holm's most demanding step is taken, so the chance
    is that or better.
    """
    df = seeds - 1
    shift = abs(difference) / (spread * numpy.sqrt(2)) * numpy.sqrt(seeds)
    critical = stats.t.ppf(1 - (1 - CONFIDENCE) / rows / 2, df)
    told = stats.nct.sf(critical, df, shift)
    # scipy's noncentral t gives NaN far out alone, where the chance is 0 or 1; the other side's tail underflows to it.
    told = float(shift > critical) if numpy.isnan(told) else told
    return float(told + numpy.nan_to_num(stats.nct.cdf(-critical, df, shift)))


def seeds_needed(difference: float, spread: float, chance: float = 0.8, rows: int = 1, most: int = 100_000) -> int:
    """The fewest seeds, `STUDENT_FROM` or more, with which `power` is `chance` or more; `most` + 1 if beyond it."""
    low, high = STUDENT_FROM - 1, STUDENT_FROM
    while power(difference, spread, high, rows) < chance:
        low, high = high, 2 * high
        if low > most:
            return most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(difference, spread, middle, rows) >= chance else (middle, high)
    return high


def _standard_error(values: Array) -> Array:
    """Of the mean, (...); NaN where all seeds gave the same."""
    n = values.shape[-1]
    error = values.std(-1, ddof=1) / numpy.sqrt(n)
    return numpy.where(numpy.ptp(values, -1) > GRAIN, error, numpy.nan)


def _none(like: Array) -> Array:
    return numpy.full(numpy.shape(like), numpy.nan)
