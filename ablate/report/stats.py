"""Statistics over seeds: intervals, paired differences, correction for several rows, and power.

Pure functions on arrays whose last axis is the seeds. A result is NaN if there are fewer seeds than `STUDENT_FROM`, or
if all seeds gave the same number and show no spread. results/statistics.md has the coverage, by simulation.
"""

from bisect import bisect_left

import numpy
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[numpy.float64]

CONFIDENCE = 0.95
STUDENT_FROM = 3
"""Seeds for Student's t. With 2 its interval is 12.7 standard errors either way: correct, but of no use."""
GRAIN = 1e-9
"""Percent. Errors are counts, so a smaller difference is rounding."""


def student_interval(values: Array) -> tuple[Array, Array]:
    """Student's 95 % interval of the mean of values (..., n): low and high, each (...)."""
    mean = values.mean(-1)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, values.shape[-1] - 1) * _standard_error(values)
    return mean - half, mean + half


def paired_difference(values: Array, baseline: Array) -> tuple[Array, Array, Array, Array]:
    """Student's paired t-test of values (..., n) minus baseline (..., n): mean, its 95 % interval, two-sided p.

    If all differences are zero, p is 1; if they are all equal but not zero, they show no spread and there is no p.
    """
    difference = values - baseline
    n, mean = difference.shape[-1], difference.mean(-1)
    p = 2 * stats.t.sf(numpy.abs(mean) / _standard_error(difference), n - 1)
    equal = (numpy.abs(difference) < GRAIN).all(-1) & (n >= STUDENT_FROM)
    return mean, *student_interval(difference), numpy.where(equal, 1.0, p)


def holm(p: Array) -> Array:
    """p-values (..., m) corrected for m tests (Holm 1979); NaN stays NaN and is not counted."""
    order = numpy.argsort(p, -1)  # NaN last
    counted = (~numpy.isnan(p)).sum(-1, keepdims=True)
    factor = counted - numpy.arange(p.shape[-1])
    ordered = numpy.take_along_axis(p, order, -1) * factor
    adjusted = numpy.minimum(numpy.maximum.accumulate(ordered, -1), 1.0)
    out = numpy.empty_like(p)
    numpy.put_along_axis(out, order, adjusted, -1)
    return numpy.where(numpy.isnan(p), numpy.nan, out)


def power(difference: float, spread: float, seeds: int, rows: int = 1) -> float:
    """The power of a paired t-test over `seeds` seeds, at 5 % corrected for `rows` rows, for a true difference.

    `spread` is the standard deviation over seeds of each of the two rows, which are taken as independent: their
    difference has sqrt(2) times it. Noncentral t. The level is that of Holm's first step, so the power is this or
    higher.
    """
    df = seeds - 1
    shift = abs(difference) / (spread * numpy.sqrt(2)) * numpy.sqrt(seeds)
    critical = stats.t.ppf(1 - (1 - CONFIDENCE) / rows / 2, df)
    upper = stats.nct.sf(critical, df, shift)
    # scipy's noncentral t is NaN only far out, where the probability is 0 or 1; the lower tail underflows to NaN.
    upper = float(shift > critical) if numpy.isnan(upper) else upper
    return float(upper + numpy.nan_to_num(stats.nct.cdf(-critical, df, shift)))


def seeds_needed(difference: float, spread: float, chance: float = 0.8, rows: int = 1, most: int = 100_000) -> int:
    """The fewest seeds, at least `STUDENT_FROM`, whose `power` is at least `chance`; `most` + 1 if more than `most`."""
    candidates = range(STUDENT_FROM, most + 1)
    return STUDENT_FROM + bisect_left(
        candidates, True, key=lambda seeds: power(difference, spread, seeds, rows) >= chance
    )


def _standard_error(values: Array) -> Array:
    """Of the mean, (...); NaN if there are too few seeds, or if all gave the same."""
    n = values.shape[-1]
    error = values.std(-1, ddof=min(n - 1, 1)) / numpy.sqrt(n)
    return numpy.where((numpy.ptp(values, -1) > GRAIN) & (n >= STUDENT_FROM), error, numpy.nan)
