"""False alarms, power and number of runs if rows stop at the look at which they are separable."""

from collections.abc import Iterator

import numpy

from ablate.report import sequential, stats
from tests.simulation import images
from tests.simulation.seeds import ROWS, TRUTH, counted, normal, skewed

MOST = 10
FAR = 20.0
LOOKS = numpy.array(sequential.looks(MOST))
SETTINGS = ((1.0, 0.0), (1.0, 0.5), (3.0, 0.0), (1 / 3, 0.0))
"""The rows' spread over the baseline's, and the correlation of a seed's errors over rows."""
DIFFERENCES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)


def p_at_looks(values: numpy.ndarray, most: int = MOST) -> numpy.ndarray:
    """Paired p of values (studies, 1 + rows, seeds), the baseline first: (looks, studies, rows)."""
    return numpy.stack(
        [stats.paired_difference(values[:, 1:, :n], values[:, :1, :n])[-1] for n in sequential.looks(most)]
    )


def stopped(corrected: numpy.ndarray, most: int = MOST) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Whether each row is separable, and its seeds, each (studies, rows), from p corrected at each look."""
    separable = corrected < 0.05
    found = separable.any(0)
    return found, numpy.where(found, numpy.array(sequential.looks(most))[separable.argmax(0)], most)


def runs(seeds: numpy.ndarray) -> float:
    """The mean number of runs of a study; the baseline has as many seeds as the row that has most."""
    return float((seeds.sum(-1) + seeds.max(-1)).mean())


def any_equal_row(found: numpy.ndarray, differing: int) -> float:
    return float(found[:, differing:].any(-1).mean())


def alarms(values: numpy.ndarray, differing: int) -> list[float]:
    """The share of studies in which an equal row is found to differ; the first `differing` rows are not equal.

    With all looks; without those below 5 or below 7 seeds; with all seeds only; with Holm's correction at each look.
    """
    p = p_at_looks(values)
    from_look = [numpy.where(LOOKS[:, None, None] < first, numpy.nan, p) for first in (0, 5, 7)]
    found = [stopped(sequential.corrected(each, MOST))[0] for each in from_look]
    holm = stats.holm(p) < 0.05
    return [any_equal_row(each, differing) for each in (*found, holm[-1], holm.any(0))]


def alarms_section(studies: int, rng: numpy.random.Generator, broken: list[str]) -> Iterator[str]:
    yield from (
        f"## Rows that stop when separable: family-wise error, percent, with at most {MOST} seeds",
        "",
        "The share of studies of ten rows in which an equal row is found to differ. Rows that differ do so by "
        f"{FAR:g} points. Looks are at {', '.join(map(str, LOOKS))} seeds; p-values are corrected for looks and rows "
        "(`ablate/report/sequential.py`). *From 5* and *from 7* are without the looks before, as if all rows had as "
        f"many seeds at the start. For comparison: {MOST} fixed seeds, and Holm's correction at each look without one "
        "for looks. `make simulate` fails if one of the first three is more than three standard errors above 5 % and "
        f"above the error of {MOST} fixed seeds. Skewed errors whose spread differs between rows break Student's test "
        "itself, also with fixed seeds.",
        "",
        "| errors over seeds | spread of rows over baseline | correlation over rows | rows that differ "
        f"| all looks | from 5 | from 7 | {MOST} fixed | not corrected for looks |",
        "|---" * 9 + "|",
    )
    for errors in (normal, counted, skewed):
        for spread, shared in SETTINGS:
            for differing in (0, ROWS - 1):
                common = errors(rng, (studies, 1, MOST)) - TRUTH
                own = errors(rng, (studies, ROWS + 1, MOST)) - TRUTH
                values = numpy.sqrt(shared) * common + numpy.sqrt(1 - shared) * own
                values[:, 1:] *= spread
                values[:, 1 : 1 + differing] += FAR
                found = alarms(values, differing)
                setting = f"{errors.__name__} | {spread:.2g} | {shared:g} | {differing}"
                yield f"| {setting} | {' | '.join(f'{100 * share:.1f}' for share in found)} |"
                bound = max(0.05, found[3])
                if max(found[:3]) > bound + 3 * numpy.sqrt(bound * (1 - bound) / studies):
                    broken.append(f"rows that stop when separable: {100 * max(found[:3]):.1f} % errors for {setting}")


def images_section(studies: int, rng: numpy.random.Generator, broken: list[str]) -> Iterator[str]:
    studies //= 5
    yield from (
        "## Rows that stop when separable: family-wise error over seeds and images, percent: 500 test images",
        "",
        f"{studies:,} studies of ten equal rows, tested over seeds and images. *Common* is as above. `make simulate` "
        "fails above 5 % and three standard errors of this simulation.",
        "",
        f"| error | common, % | all looks | {MOST} fixed |",
        "|---|---|---|---|",
    )
    for shared in (1.0, 0.5):
        found = []
        for wrong in images.misclassified(rng, (studies, MOST, 500), [6.6] * (ROWS + 1), 2.0, 0.05, shared):
            difference = wrong[:, 1:] - wrong[:, :1]
            p = numpy.stack([stats.crossed_difference(difference[:, :, :n])[-1] for n in LOOKS])
            found.append([stopped(sequential.corrected(p, MOST))[0].any(-1), (stats.holm(p[-1]) < 0.05).any(-1)])
        sequentially, fixed = numpy.concatenate(found, -1).mean(-1)
        yield f"| 6.6 | {100 * shared:g} | {100 * sequentially:.1f} | {100 * fixed:.1f} |"
        if sequentially > 0.05 + 3 * numpy.sqrt(0.05 * 0.95 / studies):
            broken.append(f"rows that stop when separable: {100 * sequentially:.1f} % errors over seeds and images")


def power_section(studies: int, rng: numpy.random.Generator, broken: list[str]) -> Iterator[str]:
    yield from (
        "## Rows that stop when separable: power and runs, beside fixed seeds",
        "",
        "Ten rows that all differ from the baseline by as many spreads over seeds. Power is the share of rows that are "
        "separable, in percent.",
        "",
        "| difference, spreads | most seeds | power | power with fixed seeds | mean runs | runs with fixed seeds |",
        "|---|---|---|---|---|---|",
    )
    for most in (MOST, 2 * MOST):
        for difference in DIFFERENCES:
            values = rng.normal(size=(studies, ROWS + 1, most))
            values[:, 1:] += difference
            p = p_at_looks(values, most)
            found, seeds = stopped(sequential.corrected(p, most), most)
            fixed = stats.holm(p[-1]) < 0.05
            powers = f"{100 * found.mean():.1f} | {100 * fixed.mean():.1f}"
            yield f"| {difference:g} | {most} | {powers} | {runs(seeds):.1f} | {(ROWS + 1) * most} |"


SECTIONS = (alarms_section, images_section, power_section)
