"""Rules that stop rows at the look at which they are separable: the report's, and those that it does not use.

A rule takes the errors (studies, 1 + rows, seeds), the baseline first, and returns whether each row is separable, and
its number of seeds, each (studies, rows).
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy

from ablate.report import sequential, stats
from tests.simulation.seeds import ROWS
from tests.simulation.stopping import LOOKS, MOST, p_at_looks, runs, stopped

BASELINE = (2.6, 0.9)
QUICKSTART = (
    *((51.1, 5.1), (51.6, 10.0), (10.2, 3.0), (90.0, 0.3), (23.8, 3.9)),
    *((46.4, 2.8), (46.2, 2.5), (55.4, 8.6), (3.2, 0.5), (79.1, 10.0)),
)
"""Mean error and its spread over five seeds, percent, of the rows of results/quickstart; and of their baseline."""
CLOSE = 8
"""The row that is close to the baseline, gate bias_init=-6."""
SAVED = 0.5
SAME = 0.99
BLOCK = 5
DRAWS = 1000

Rule = Callable[[numpy.ndarray], tuple[numpy.ndarray, numpy.ndarray]]


def constant(last: float, decay: float = sequential.DECAY) -> numpy.ndarray:
    """Weights of the looks, (looks, 1, 1), that do not depend on the number of rows left."""
    earlier = decay ** numpy.arange(len(LOOKS) - 1)
    return numpy.append((1 - last) * earlier / earlier.sum(), last)[:, None, None]


def fixed(values: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    found = stats.holm(p_at_looks(values)[-1]) < 0.05
    return found, numpy.full(found.shape, MOST)


def reported(values: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    return stopped(sequential.corrected(p_at_looks(values), MOST))


def weighted(values: numpy.ndarray, weights: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    return stopped(stats.holm(numpy.minimum.accumulate(p_at_looks(values) / weights)))


def joint(values: numpy.ndarray, rng: numpy.random.Generator) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The exact distribution over looks of normal errors (Lan and DeMets 1983), for constant weights."""
    weights = constant(1 / 3)
    null = numpy.concatenate([p_at_looks(rng.normal(size=(200_000, 2, MOST))) for _ in range(5)], 1)
    least = numpy.sort((null / weights).min(0)[:, 0])
    over_looks = numpy.minimum.accumulate(p_at_looks(values) / weights)
    return stopped(stats.holm(numpy.interp(over_looks, least, numpy.arange(1, len(least) + 1) / len(least))))


def permuted(values: numpy.ndarray, rng: numpy.random.Generator) -> tuple[numpy.ndarray, numpy.ndarray]:
    """AdaStop's permutation test (Mathieu et al., arXiv:2306.10882), in which seeds are not paired.

    Each block of seeds is permuted between row and baseline. The statistic is the largest difference of sums over the
    rows that are left; a row above its bound is separable, and the others are tested without it.
    """
    found = numpy.zeros((len(values), values.shape[1] - 1), bool)
    seeds = numpy.full(found.shape, MOST)
    for errors, is_found, until in zip(values, found, seeds, strict=True):
        total, kept, spent = numpy.zeros((DRAWS, len(is_found))), numpy.ones(DRAWS, bool), 0.0
        for start in range(0, MOST, BLOCK):
            signs = rng.permuted(numpy.tile(numpy.repeat([1.0, -1.0], BLOCK), (DRAWS, 1)), axis=1)
            signs[0] = numpy.repeat([1.0, -1.0], BLOCK)  # as observed
            block = errors[:, start : start + BLOCK]
            total += (signs[:, :BLOCK] @ block[1:].T) + (signs[:, BLOCK:] @ block[0])[:, None]
            allowed = int((0.05 * (start + BLOCK) / MOST - spent) * DRAWS)
            while not is_found.all():
                largest = numpy.where(kept, numpy.abs(total[:, ~is_found]).max(-1), 0.0)
                bound = numpy.sort(largest)[-1 - allowed]
                row = numpy.where(is_found, 0.0, numpy.abs(total[0])).argmax()
                if numpy.abs(total[0, row]) <= bound:
                    break
                is_found[row], until[row] = True, start + BLOCK
            else:
                break
            kept &= largest <= bound
            spent += (largest > bound).mean()
    return found, seeds


def rules_section(studies: int, rng: numpy.random.Generator, broken: list[str]) -> Iterator[str]:
    few = studies // 20
    rules: dict[str, Rule] = {
        f"{MOST} fixed seeds": fixed,
        "as reported": reported,
        "a third last": partial(weighted, weights=constant(1 / 3)),
        "half last": partial(weighted, weights=constant(1 / 2)),
        "equal": partial(weighted, weights=constant(1 / len(LOOKS), 1.0)),
        "joint distribution": partial(joint, rng=rng),
        "permutation": lambda values: permuted(values[:few], rng),
    }
    shares = [", ".join(f"{100 * weight:.0f}" for weight in sequential.weights(MOST, rows)) for rows in (ROWS, 1)]
    yield from (
        f"## Choice of the rule that stops rows: at most {MOST} seeds",
        "",
        f"The rules share the 5 % among the looks, at {', '.join(map(str, LOOKS))} seeds:",
        "",
        f"- *as reported*: {shares[0]} % of it with {ROWS} rows left, {shares[1]} % with 1 row left",
        "- *a third last*, *half last*: so much for the last look, for any number of rows left; each earlier look has "
        "2/3 of the one before",
        "- *equal*: the same for each look",
        "- *joint distribution*: as *a third last*, with the exact distribution of normal errors over looks (Lan and "
        "DeMets) in place of the sum over looks",
        f"- *permutation*: AdaStop's test on blocks of {BLOCK} seeds, not paired ({few:,} studies)",
        "",
        "*False alarms* is the share of studies of ten equal rows with normal errors in which one is found to differ, "
        "in percent. *All alike* is the share of rows found if all ten differ by 2 spreads over seeds. The other "
        "columns are of eleven rows with the means and spreads of results/quickstart: the mean number of runs; the "
        f"share of studies in which all verdicts are those of {MOST} fixed seeds; the same without gate bias_init=-6, "
        f"which is close to the baseline (error {QUICKSTART[CLOSE][0]} beside {BASELINE[0]}); and how often this row "
        "is separable. `make simulate` fails if the reported rule takes more than half the runs of fixed seeds, or if "
        f"the verdicts of the other nine rows are the same in less than {100 * SAME:g} % of the studies.",
        "",
        "| rule | false alarms | all alike | mean runs | same verdicts | without the close row | the close row |",
        "|---|---|---|---|---|---|---|",
    )
    equal = rng.normal(size=(studies, ROWS + 1, MOST))
    alike = equal + 2 * (numpy.arange(ROWS + 1) > 0)[:, None]
    means, spreads = numpy.array((BASELINE, *QUICKSTART)).T[:, :, None]
    rows = means + spreads * rng.normal(size=equal.shape)
    reference, _ = fixed(rows)
    for name, rule in rules.items():
        found, seeds = rule(rows)
        same = found == reference[: len(found)]
        others = numpy.delete(same, CLOSE, -1).all(-1).mean()
        yield (
            f"| {name} | {100 * rule(equal)[0].any(-1).mean():.1f} | {100 * rule(alike)[0].mean():.1f} "
            f"| {runs(seeds):.1f} | {100 * same.all(-1).mean():.1f} | {100 * others:.1f} "
            f"| {100 * found[:, CLOSE].mean():.1f} |"
        )
        if rule is reported and (runs(seeds) > SAVED * MOST * (ROWS + 1) or others < SAME):
            broken.append(
                f"eleven rows that stop take {runs(seeds):.1f} runs; {100 * others:.1f} % have these verdicts"
            )
    yield from (
        "",
        "The sum over looks holds for any valid p-value, also over seeds and images, and any dependence of rows and "
        "looks. The joint distribution saves few runs more, and holds for normal errors only. A larger share for the "
        "last look finds more rows that are close, and takes more runs. The reported rule gives it a larger one when "
        "few rows are left. Its price is power if many rows are alike and none is far from the baseline. The "
        f"permutation test takes {BLOCK} seeds of each row before its first look, at least half the runs of fixed "
        "seeds. It assumes that equal rows have the same distribution, not only the same mean.",
    )
