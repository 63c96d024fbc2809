"""How many seeds separate two test errors, by a paired t-test over seeds."""

import argparse
import math
from pathlib import Path

from ablate.base.errors import AblateError, ConfigError
from ablate.base.terminal import say
from ablate.commands import path

EXAMPLES = """examples:
  ablate power 6.61 6.91 --spread 0.16                 with the spread of ResNet-110 ([A] Table 6: 6.61 ± 0.16)
  ablate power 6.61 6.91                               with the spread over seeds of the runs in results/runs
  ablate power 6.61 6.91 --spread 0.16 --rows 10       as one of ten rows, with p corrected for ten
  ablate power 6.61 6.91 --spread 0.16 --chance 0.9    with a power of 90 %"""

SHOWN = (3, 4, 5, 7, 10, 15, 20, 30, 50)
MOST = 100_000


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("one", type=float, help="a mean test error, percent")
    parser.add_argument("other", type=float, help="the error to separate it from")
    parser.add_argument("--spread", type=float, help="standard deviation over seeds; else that of the runs in --runs")
    parser.add_argument(
        "--runs",
        default="results/runs",
        type=path,
        metavar="FOLDER",
        help="folder of runs to take the spread from (results/runs)",
    )
    parser.add_argument("--experiment", metavar="NAME", help="only the runs that this experiment asks for")
    parser.add_argument(
        "--chance", type=float, default=0.8, help="power: the probability of separating the two (%(default)s)"
    )
    parser.add_argument("--rows", type=int, default=1, help="rows compared with the baseline (%(default)s)")


def main(options: argparse.Namespace) -> None:
    for error in (options.one, options.other):
        if not 0 <= error <= 100:
            raise ConfigError(f"{error:g} is not a test error: use percent, from 0 to 100")
    if options.one == options.other:
        raise ConfigError(f"both errors are {options.one:g}: no number of seeds separates equal errors")
    if options.spread is not None and not 0 < options.spread < math.inf:
        raise ConfigError(f"--spread {options.spread:g} is not a standard deviation: use points of error, above 0")
    if not 0 < options.chance < 1:
        raise ConfigError(f"--chance {options.chance:g} is not a probability between 0 and 1")
    if options.rows < 1:
        raise ConfigError(f"--rows {options.rows} must be 1 or more")
    say("\n".join(_answer(options)))


def _answer(options: argparse.Namespace) -> list[str]:
    from ablate.report.stats import power, seeds_needed

    difference = abs(options.one - options.other)
    if options.spread:
        spread, source = options.spread, "as given"
    else:
        spread, source = pooled_spread(options.runs, options.experiment, 2 * max(options.one, options.other))
    needed = seeds_needed(difference, spread, options.chance, options.rows, MOST)
    words = f"{needed} seeds" if needed <= MOST else f"more than {MOST:,} seeds"
    test = "paired t-test at 5 %" + (f", corrected for {options.rows} rows" if options.rows > 1 else "")
    lines = [
        f"{words} per row separate {options.one:g} from {options.other:g} in {100 * options.chance:g} of 100 studies: "
        f"difference {difference:.2f}, spread over seeds {spread:.2f} ({source}), {test}.",
        "",
        "seeds   power",
    ]
    for n in sorted({*SHOWN, *([needed] if needed <= MOST else [])}):
        chance = power(difference, spread, n, options.rows)
        mark = "  <- requested" if n == needed else ""
        lines.append(f"{n:5d}   {100 * chance:4.0f} %  {'█' * round(30 * chance)}{mark}")
    return lines


def pooled_spread(runs: Path, experiment: str | None, worst: float) -> tuple[float, str]:
    """The spread over seeds of the rows with a mean up to `worst`, pooled by degrees of freedom, and its source.

    Worse rows are left out: they have a wider spread than the errors in question.
    """
    from ablate.report.aggregate import cells
    from ablate.report.records import read

    study = cells(read(runs, experiment).runs)
    near = study[(study["mean"] <= worst) & study["std"].notna()]
    freedom = (near.n - 1).sum()
    spread = math.sqrt(((near.n - 1) * near["std"] ** 2).sum() / freedom) if freedom else 0
    if not spread:
        raise AblateError(
            f"{runs} has no row with two seeds that differ and a mean of {worst:g} % or less: give --spread, for "
            "example 0.16 for ResNet-110 on CIFAR-10"
        )
    return spread, f"pooled over {len(near)} row{'s' * (len(near) > 1)} in {runs}"
