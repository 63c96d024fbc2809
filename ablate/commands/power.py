"""How many seeds separate one test error from another, by the test that the report makes."""

import argparse
import math
from pathlib import Path

from ablate.base.errors import AblateError, ConfigError
from ablate.base.terminal import say

EXAMPLES = """examples:
  ablate power 6.61 6.91 --spread 0.16                 at the spread of ResNet-110 ([A] Table 6: 6.61 ± 0.16)
  ablate power 6.61 6.91                               at the spread over seeds of the runs in results/runs
  ablate power 6.61 6.91 --spread 0.16 --rows 10       one of ten rows, p corrected for ten
  ablate power 6.61 6.91 --spread 0.16 --chance 0.9    with 90 % power"""

SHOWN = (3, 4, 5, 7, 10, 15, 20, 30, 50)
MOST = 100_000


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("one", type=float, help="a mean test error, percent")
    parser.add_argument("other", type=float, help="the error to separate it from")
    parser.add_argument("--spread", type=float, help="standard deviation over seeds; else that of the runs in --runs")
    parser.add_argument("--runs", default="results/runs", type=Path, metavar="FOLDER", help="of runs (results/runs)")
    parser.add_argument("--experiment", metavar="NAME", help="only the runs that this experiment asks for")
    parser.add_argument("--chance", type=float, default=0.8, help="of separating them (%(default)s)")
    parser.add_argument("--rows", type=int, default=1, help="rows compared with the baseline (%(default)s)")


def main(options: argparse.Namespace) -> None:
    say(answer(options))


def answer(options: argparse.Namespace) -> str:
    for name in ("one", "other"):
        if not 0 <= getattr(options, name) <= 100:
            raise ConfigError(f"{getattr(options, name):g} is no test error: give percents from 0 to 100")
    if options.one == options.other:
        raise ConfigError(f"both errors are {options.one:g}: no number of seeds tells a thing from itself")
    if options.spread is not None and not 0 < options.spread < math.inf:
        raise ConfigError(f"--spread {options.spread:g} is no standard deviation: give points of error, above 0")
    if not 0 < options.chance < 1:
        raise ConfigError(f"--chance {options.chance:g} is no probability between 0 and 1")
    if options.rows < 1:
        raise ConfigError(f"--rows {options.rows} must be 1 or more")

    from ablate.report.stats import power, seeds_needed

    difference = abs(options.one - options.other)
    spread, source = (
        (options.spread, "as given")
        if options.spread
        else seen(options.runs, options.experiment, (options.one, options.other))
    )
    needed = seeds_needed(difference, spread, options.chance, options.rows, MOST)
    words = f"{needed} seeds" if needed <= MOST else f"more than {MOST:,} seeds"
    test = "a paired t-test at 5 %" + (f", corrected for {options.rows} rows" if options.rows > 1 else "")
    lines = [
        f"{words} a row tell {options.one:g} from {options.other:g} in {100 * options.chance:g} of 100 studies: "
        f"difference {difference:.2f}, spread over seeds {spread:.2f} ({source}), {test}.",
        "",
        "seeds   chance of telling them apart",
    ]
    for n in sorted({*SHOWN, *([needed] if needed <= MOST else [])}):
        chance = power(difference, spread, n, options.rows)
        mark = "  <- asked for" if n == needed else ""
        lines.append(f"{n:5d}   {100 * chance:4.0f} %  {'█' * round(30 * chance)}{mark}")
    return "\n".join(lines)


def seen(runs: Path, experiment: str | None, errors: tuple[float, float]) -> tuple[float, str]:
    """The spread over seeds of the rows about as good as the two, pooled by their degrees of freedom, and which.

    Rows more than twice as bad are left out: they spread wider, and nobody asks what tells them apart.
    """
    from ablate.report.aggregate import cells
    from ablate.report.records import read

    study = cells(read(runs, experiment).runs)
    near = study[(study["median"] <= 2 * max(errors)) & study["std"].notna()]
    freedom = (near.n - 1).sum()
    if not freedom:
        raise AblateError(
            f"{runs} has no row with a median of {2 * max(errors):g} % or less and two seeds or more, so no spread is "
            "seen: give --spread, as 0.16 for ResNet-110 on CIFAR-10"
        )
    spread = math.sqrt(((near.n - 1) * near["std"] ** 2).sum() / freedom)
    if spread == 0:
        raise AblateError(f"{runs}: every seed gave the same error, so no spread is seen: give --spread")
    rows = [f"{row.label} at depth {row.depth} {row.std:.2f}" for row in near.itertuples()]
    more = f" and {len(rows) - 6} more rows" if len(rows) > 6 else ""
    return spread, f"pooled over {', '.join(rows[:6])}{more}, in {runs}"
