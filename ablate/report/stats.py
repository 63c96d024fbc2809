"""Intervals, paired tests, their correction, power, and rank correlation: pure functions on arrays.

Student's interval and test are over seeds, on one fixed test set. The crossed ones are over seeds and test images, from
each seed's result on each image. A result is NaN if there are fewer seeds than `STUDENT_FROM` or if nothing varies.
results/statistics.md has coverage and false alarms, by simulation.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

Array = NDArray[numpy.float64]
Values = NDArray[Any]

CONFIDENCE = 0.95
STUDENT_FROM = 3
"""Seeds for Student's t. With 2 its interval is 12.7 standard errors either way: correct, but of no use."""
GRAIN = 1e-9
"""Percent. Errors are counts, so a smaller difference is rounding."""


def student_interval(values: Array, lowest: float = 0.0) -> tuple[Array, Array]:
    """Student's 95 % interval of the mean of percentages (..., n), cut at `lowest` and 100: low, high, each (...)."""
    mean = values.mean(-1)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, values.shape[-1] - 1) * _standard_error(values)
    return numpy.maximum(mean - half, lowest), numpy.minimum(mean + half, 100.0)


def paired_difference(values: Array, baseline: Array) -> tuple[Array, Array, Array, Array]:
    """Student's paired t-test of values (..., n) minus baseline (..., n): mean, its 95 % interval, two-sided p.

    If all differences are zero, p is 1; if they are all equal but not zero, they show no spread and there is no p.
    """
    difference = values - baseline
    n, mean = difference.shape[-1], difference.mean(-1)
    p = 2 * stats.t.sf(numpy.abs(mean) / _standard_error(difference), n - 1)
    equal = (numpy.abs(difference) < GRAIN).all(-1) & (n >= STUDENT_FROM)
    return mean, *student_interval(difference, -100.0), numpy.where(equal, 1.0, p)


def crossed_interval(wrong: Values) -> tuple[Array, Array]:
    """95 % interval of the mean error over seeds and test images, in percent: low and high, each (...).

    wrong (..., n seeds, m images) is 1 where a seed misclassifies an image, else 0. The interval is symmetric in the
    log-odds of the error, so it is within 0 and 100, and short on the side of the nearer one.
    """
    mean, seeds, images = _crossed(wrong)
    slope = mean * (1 - mean)  # of the error as a function of its log-odds
    half = _half_width(seeds, images, wrong.shape[-2], 1 - CONFIDENCE) / numpy.where(slope > 0, slope, numpy.nan)
    return 100 * special.expit(special.logit(mean) - half), 100 * special.expit(special.logit(mean) + half)


def crossed_difference(difference: Values) -> tuple[Array, Array, Array, Array]:
    """The mean difference over seeds and test images: in percent, with its 95 % interval, and its two-sided p.

    difference (..., n seeds, m images) is the row's wrong minus the baseline's: -1, 0 or 1. p is the level at which the
    interval ends at 0; 1 if all differences are zero.
    """
    mean, seeds, images = _crossed(difference)
    n = difference.shape[-2]
    half = _half_width(seeds, images, n, 1 - CONFIDENCE)
    low, high = numpy.full(mean.shape, -230.0), numpy.zeros(mean.shape)  # log p; e^-230 is 1e-100
    for _ in range(50):
        middle = (low + high) / 2
        wider = _half_width(seeds, images, n, numpy.exp(middle)) > numpy.abs(mean)
        low, high = numpy.where(wider, middle, low), numpy.where(wider, high, middle)
    p = numpy.where(numpy.isnan(half), numpy.where(mean == 0, 1.0, numpy.nan), numpy.exp(high))
    return 100 * mean, 100 * numpy.maximum(mean - half, -1), 100 * numpy.minimum(mean + half, 1), p


def seed_noise_share(values: Values) -> float:
    """The share, 0 to 1, of the variance over seeds that comes from the finite test set (Jordan, arXiv:2304.01910).

    values (n seeds, m images), as for the crossed interval. Seeds of equal expected error still differ by
    residual / m; the share is this over the variance of the seeds' errors on these images.
    """
    seeds, _, residual = _mean_squares(values)
    return float(numpy.minimum(residual / seeds, 1.0)) if seeds > 0 else numpy.nan


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


def false_alarms_of_looks(looks: Sequence[int]) -> float:
    """The chance that a paired t-test at 5 % is significant at one look or more although the rows do not differ.

    A look is a number of seeds at which the verdict is read; a later look has the earlier seeds too. 100,000 simulated
    studies of normal differences, the same in each call: within 0.002.
    """
    rng, studies = numpy.random.default_rng(0), 100_000
    n, total, squares = 0, numpy.zeros(studies), numpy.zeros(studies)
    significant = []
    for look in sorted(look for look in set(looks) if look >= STUDENT_FROM):
        added, n = look - n, look
        gained = numpy.sqrt(added) * rng.standard_normal(studies)
        total += gained
        squares += gained**2 / added + 2 * rng.standard_gamma((added - 1) / 2, studies)
        error = numpy.sqrt((squares - total**2 / n) / (n - 1) / n)
        significant.append(numpy.abs(total / n) > stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * error)
    # The first look's chance is known.
    later = numpy.any(significant, 0) & ~significant[0] if significant else numpy.zeros(1)
    return (1 - CONFIDENCE) * bool(significant) + float(later.mean())


def rank_correlation(a: Array, b: Array) -> tuple[float, float, float]:
    """Spearman's rank correlation of a (rows,) and b (rows,), and its 95 % interval (Bonett and Wright 2000).

    Equal values, also infinite ones, share their mean rank. NaN if all of a or all of b are equal, and
    an interval of NaN below 4 rows.
    """
    n, ranks = len(a), stats.rankdata([a, b], axis=-1)
    if (numpy.ptp(ranks, -1) == 0).any():
        return numpy.nan, numpy.nan, numpy.nan
    rho = float(numpy.corrcoef(ranks[0], ranks[1])[0, 1])
    if n < 4:
        return rho, numpy.nan, numpy.nan
    most = 1 - 6 / (n**3 - n)  # half the smallest step below 1, where Fisher's z would be infinite
    z = numpy.arctanh(numpy.clip(rho, -most, most))
    half = stats.norm.ppf((1 + CONFIDENCE) / 2) * numpy.sqrt((1 + rho**2 / 2) / (n - 3))
    return rho, min(rho, float(numpy.tanh(z - half))), max(rho, float(numpy.tanh(z + half)))


def _mean_squares(values: Values) -> tuple[Array, Array, Array]:
    """Of the analysis of variance of values (..., n seeds, m images): seeds, images, residual; each (...)."""
    n, m = values.shape[-2:]
    mean = values.mean((-2, -1))
    if n < STUDENT_FROM or m < 2:
        return mean + numpy.nan, mean + numpy.nan, mean + numpy.nan
    seeds, images = m * values.mean(-1).var(-1, ddof=1), n * values.mean(-2).var(-1, ddof=1)
    total = n * m * ((values * values).mean((-2, -1)) - mean**2)
    residual = total - (n - 1) * seeds - (m - 1) * images
    return seeds, images, numpy.maximum(residual, 0) / ((n - 1) * (m - 1))


def _crossed(values: Values) -> tuple[Array, Array, Array]:
    """The mean of values (..., n seeds, m images), and its variance from seeds and from images; each (...).

    The model is value = mean + seed + image + residual, all random. The variance from seeds includes the residual's.
    Seeds that are equal by chance get the residual's alone, the least that is expected.
    """
    n, m = values.shape[-2:]
    seeds, images, residual = _mean_squares(values)
    equal = numpy.ptp(values.mean(-1), -1) < GRAIN / 100
    variances = numpy.where(equal, residual, seeds) / (n * m), numpy.maximum(images - residual, 0) / (n * m)
    return values.mean((-2, -1)), *variances


def _half_width(seeds: Array, images: Array, n: int, level: ArrayLike) -> Array:
    """Half the interval of a mean whose variance from n seeds and from images is estimated, at 1 - level.

    Seeds alone need Student's t, images alone the normal z. Squares of both add for many seeds; with few, t is so large
    that they cover too often. The exponent holds the coverage in 94.8 to 95.8 % for any share of seeds and images.
    """
    exponent = 2 + 10 / max(n - 1, 1) ** 2
    tail = numpy.divide(level, 2)
    t, z = -special.stdtrit(n - 1, tail), -special.ndtri(tail)  # as stats.t.isf, and 200 times faster
    half = ((t * numpy.sqrt(seeds)) ** exponent + (z * numpy.sqrt(images)) ** exponent) ** (1 / exponent)
    return numpy.where(seeds + images > 0, half, numpy.nan)


def _standard_error(values: Array) -> Array:
    """Of the mean, (...); NaN if there are too few seeds, or if all gave the same."""
    n = values.shape[-1]
    error = values.std(-1, ddof=min(n - 1, 1)) / numpy.sqrt(n)
    return numpy.where((numpy.ptp(values, -1) > GRAIN) & (n >= STUDENT_FROM), error, numpy.nan)
