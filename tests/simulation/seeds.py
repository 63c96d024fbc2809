"""Coverage of intervals, false alarms and power of tests over seeds, from their errors on one test set.

Errors over seeds are drawn as normal, as counts on few images, or skewed. The coverage of the 95 % interval has to be
in `COVERAGE` unless errors are skewed: then it has to be at least `SKEWED`, and the report's notes say so.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy

from ablate.report import stats

SEEDS = (3, 4, 5, 7, 10, 20)
ROWS = 10
SPREAD = 0.16  # over seeds, of ResNet-110 ([A] Table 6: 6.61 +- 0.16)
TRUTH = 6.61
COVERAGE = (0.94, 0.96)
SKEWED = 0.925
POWER = 0.8

Errors = Callable[[numpy.random.Generator, tuple[int, ...]], numpy.ndarray]


def normal(rng: numpy.random.Generator, shape: tuple[int, ...]) -> numpy.ndarray:
    return rng.normal(TRUTH, SPREAD, shape)


def counted(rng: numpy.random.Generator, shape: tuple[int, ...]) -> numpy.ndarray:
    """Normal, four times as wide, and counted on 500 images, as for digits: many seeds give the same error."""
    return TRUTH + numpy.round(rng.normal(0, 4 * SPREAD, shape) / 0.2) * 0.2


def skewed(rng: numpy.random.Generator, shape: tuple[int, ...]) -> numpy.ndarray:
    """A gamma distribution of shape 4, whose skewness is 1, as if some runs went badly."""
    return TRUTH + SPREAD * (rng.gamma(4, 1, shape) - 4) / 2


@dataclass(frozen=True)
class Coverage:
    """The share of studies with an interval; of these, the share whose interval holds the truth, and its width."""

    given: float
    holds: float
    width: float

    def __str__(self) -> str:
        return f"{100 * self.holds:.1f} ({self.width:.2f}" + (f"; {self.percent_given})" if self.given < 1 else ")")

    @property
    def percent_given(self) -> str:
        return f"{100 * self.given:.1f} % have one"


def coverage(low: numpy.ndarray, high: numpy.ndarray) -> Coverage:
    """Of the intervals of many studies; a study of equal seeds has none, and is not counted as covered or missed."""
    given = ~numpy.isnan(low)
    holds = ((low <= TRUTH) & (high >= TRUTH))[given]
    return Coverage(given.mean(), holds.mean(), float(numpy.median((high - low)[given])))


def percentile_bootstrap(values: numpy.ndarray, rng: numpy.random.Generator) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The interval that the report does not use, for comparison."""
    drawn = numpy.take_along_axis(
        values[:, None, :], rng.integers(0, values.shape[-1], (len(values), 1000, values.shape[-1])), -1
    ).mean(-1)
    low, high = numpy.quantile(drawn, [0.025, 0.975], axis=-1)
    return low, high


def too_low_or_high(errors: Errors, n: int, found: Coverage) -> bool:
    """Whether the coverage is out of its bounds. Below 5 seeds it may be too high: counts are coarse."""
    low = SKEWED if errors is skewed else COVERAGE[0]
    return not low <= found.holds <= (COVERAGE[1] if n >= 5 else 1.0)


def false_alarms(
    errors: Errors, n: int, studies: int, rng: numpy.random.Generator, shared: float
) -> tuple[float, float]:
    """The share of studies of ten rows that do not differ from the baseline in which a row is found to differ.

    With Holm's correction and without. `shared`: the correlation of a seed's errors over rows.
    """
    common = errors(rng, (studies, 1, n)) - TRUTH
    own = errors(rng, (studies, ROWS + 1, n)) - TRUTH
    values = TRUTH + numpy.sqrt(shared) * common + numpy.sqrt(1 - shared) * own
    *_, p = stats.paired_difference(values[:, 1:], values[:, :1])
    return float((stats.holm(p) < 0.05).any(-1).mean()), float((p < 0.05).any(-1).mean())


def simulated_power(difference: float, n: int, studies: int, rng: numpy.random.Generator) -> float:
    """The share of studies that separate two rows whose errors differ by `difference`."""
    a, b = rng.normal(TRUTH, SPREAD, (studies, n)), rng.normal(TRUTH + difference, SPREAD, (studies, n))
    *_, p = stats.paired_difference(b, a)
    return float((p < 0.05).mean())


def intervals_section(studies: int, rng: numpy.random.Generator, broken: list[str]) -> Iterator[str]:
    yield from (
        "## Coverage of the 95 % interval of the mean over seeds, percent",
        "",
        f"The true mean is {TRUTH}, the spread over seeds {SPREAD}, four times that for counted errors. Errors are "
        "normal, counted on 500 images, so that seeds often have equal errors, or skewed (gamma, skewness 1), as if "
        "some runs went badly. In brackets: the median width of the interval, in points of error, and the share of "
        "studies with an interval, if some have equal seeds. The report uses Student's t; the percentile bootstrap "
        f"({studies // 4:,} studies) is shown for comparison.",
        "",
        "| errors over seeds | seeds | Student's t | percentile bootstrap |",
        "|---|---|---|---|",
    )
    for errors in (normal, counted, skewed):
        for n in SEEDS:
            values = errors(rng, (studies, n))
            student = coverage(*stats.student_interval(values))
            bootstrap = coverage(*percentile_bootstrap(values[: studies // 4], rng))
            yield f"| {errors.__name__} | {n} | {student} | {bootstrap} |"
            if too_low_or_high(errors, n, student):
                broken.append(f"the interval of {n} {errors.__name__} seeds covers {100 * student.holds:.1f} %")
    yield from (
        "",
        f"The report gives an interval from {stats.STUDENT_FROM} seeds. `make simulate` fails if the coverage is below "
        f"{100 * COVERAGE[0]:g} % or, from 5 seeds, above {100 * COVERAGE[1]:g} %; below {100 * SKEWED:g} % if errors "
        "are skewed. More skewness lowers the coverage further, and ten seeds or fewer do not show how skewed errors "
        "are.",
    )


def alarms_section(studies: int, rng: numpy.random.Generator, broken: list[str]) -> Iterator[str]:
    yield from (
        "## False alarms over seeds: studies of ten equal rows in which a row is found to differ, percent",
        "",
        "| errors over seeds | seeds | correlation over rows | as reported (Holm) | without correction |",
        "|---|---|---|---|---|",
    )
    for errors in (normal, counted, skewed):
        for n in (3, 5, 10):
            for shared in (0.0, 0.5):
                alarms, uncorrected = false_alarms(errors, n, studies, rng, shared)
                yield f"| {errors.__name__} | {n} | {shared:g} | {100 * alarms:.1f} | {100 * uncorrected:.1f} |"
                if alarms > 0.05 + 3 * numpy.sqrt(0.05 * 0.95 / studies):
                    broken.append(f"{100 * alarms:.1f} % false alarms at {n} {errors.__name__} seeds")


def power_section(studies: int, rng: numpy.random.Generator, broken: list[str]) -> Iterator[str]:
    yield from (
        f"## `ablate power`: seeds that separate a difference in {100 * POWER:g} of 100 studies",
        "",
        "| true difference | seeds | power in simulation, % |",
        "|---|---|---|",
    )
    for difference in (0.1, 0.2, 0.3, 0.5):
        n = stats.seeds_needed(difference, SPREAD, POWER)
        found = simulated_power(difference, n, studies, rng)
        yield f"| {difference:g} | {n} | {100 * found:.1f} |"
        if found < POWER - 3 * numpy.sqrt(POWER * (1 - POWER) / studies):
            broken.append(f"{n} seeds separate a difference of {difference} in {100 * found:.1f} % only")
