"""The price of several looks at a growing study, and the coverage of the interval of a rank correlation."""

from collections.abc import Iterator

import numpy
from scipy import stats as scipy_stats

from ablate.report import stats

LOOKS = ([3], [3, 5], [3, 5, 10], [3, 5, 10, 20], [5, 10], [3, 4, 5, 6, 7, 8, 9, 10])
ROWS = (7, 11, 16)
CORRELATIONS = (0.2, 0.5, 0.75, 0.9)
RANK_COVERAGE = (0.94, 0.99)


def looks_section(studies: int, rng: numpy.random.Generator, broken: list[str]) -> Iterator[str]:
    yield from (
        "## Several looks at a growing study: false alarms of the paired t-test at 5 %, percent",
        "",
        "A study of equal rows whose verdict is read at each of these numbers of seeds, and ends at the first that is "
        "significant.",
        "",
        "| looks at seeds | as reported | in simulation |",
        "|---|---|---|",
    )
    for looks in LOOKS:
        ours, theirs = rng.normal(size=(2, studies, max(looks)))
        alarms = [stats.paired_difference(ours[:, :n], theirs[:, :n])[-1] < 0.05 for n in looks]
        reported, found = stats.false_alarms_of_looks(looks), numpy.any(alarms, 0).mean()
        yield f"| {', '.join(map(str, looks))} | {100 * reported:.1f} | {100 * found:.1f} |"
        if abs(reported - found) > 0.002 + 3 * numpy.sqrt(found * (1 - found) / studies):
            broken.append(f"looks at {looks} seeds make {100 * found:.1f} % false alarms, not {100 * reported:.1f} %")


def rows_of_two_tables(rng, correlation, tied, shape):
    """Two tables with normal values of this correlation; in the second, the highest share `tied` is infinite."""
    a, other = rng.normal(size=(2, *shape))
    b = correlation * a + numpy.sqrt(1 - correlation**2) * other
    return a, numpy.where(b > scipy_stats.norm.ppf(1 - tied), numpy.inf, b)


def ranks_section(studies: int, rng: numpy.random.Generator, broken: list[str]) -> Iterator[str]:
    studies //= 5
    yield from (
        "## Coverage of the 95 % interval of a rank correlation, percent",
        "",
        f"{studies:,} studies. Rows are drawn from a population in which two tables have this rank correlation. In the "
        "second table, a share of the rows is tied at the end, as rows that *fail* are. The report uses Bonett and "
        "Wright's interval (Psychometrika 2000); the percentile bootstrap over rows is shown for comparison. "
        f"`make simulate` fails if the coverage is out of {100 * RANK_COVERAGE[0]:g} to {100 * RANK_COVERAGE[1]:g} %.",
        "",
        "| correlation | tied, % | rows | as reported | percentile bootstrap |",
        "|---|---|---|---|---|",
    )
    for tied in (0.0, 0.4):
        for correlation in CORRELATIONS:
            truth = stats.rank_correlation(*rows_of_two_tables(rng, correlation, tied, (1_000_000,)))[0]
            for n in ROWS:
                tables = list(zip(*rows_of_two_tables(rng, correlation, tied, (studies, n)), strict=True))
                ends = numpy.array([stats.rank_correlation(a, b)[1:] for a, b in tables])
                share = holds(ends, truth)
                drawn = numpy.array([bootstrap(a, b, rng) for a, b in tables[: studies // 10]])
                yield f"| {truth:.2f} | {100 * tied:g} | {n} | {100 * share:.1f} | {100 * holds(drawn, truth):.1f} |"
                margin = 3 * numpy.sqrt(0.05 * 0.95 / studies)
                if not RANK_COVERAGE[0] - margin <= share <= RANK_COVERAGE[1] + margin:
                    broken.append(
                        f"the interval of rank correlation {truth:.2f} of {n} rows covers {100 * share:.1f} %"
                    )


def holds(ends, truth) -> float:
    """The share of intervals (studies, 2) that hold the truth, of those that exist."""
    low, high = ends[~numpy.isnan(ends[:, 0])].T
    return float(((low <= truth) & (truth <= high)).mean())


def bootstrap(a, b, rng, draws=200):
    rows = rng.integers(0, len(a), (draws, len(a)))
    ranks_a, ranks_b = scipy_stats.rankdata(a[rows], axis=-1), scipy_stats.rankdata(b[rows], axis=-1)
    ranks_a -= ranks_a.mean(-1, keepdims=True)
    ranks_b -= ranks_b.mean(-1, keepdims=True)
    scale = numpy.sqrt((ranks_a**2).sum(-1) * (ranks_b**2).sum(-1))
    rho = (ranks_a * ranks_b).sum(-1) / numpy.where(scale > 0, scale, numpy.nan)
    return numpy.nanquantile(rho, [0.025, 0.975])
