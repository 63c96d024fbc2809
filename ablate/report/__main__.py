"""Tables, figures and a page from what has run.

python -m ablate.report
python -m ablate.report results/runs --experiment quickstart --out results/report
"""

import argparse
import sys
from pathlib import Path

from ablate.errors import AblateError, ConfigError
from ablate.terminal import console, say

EXAMPLES = """examples:
  python -m ablate.report                                        all runs in results/runs, as a table
  python -m ablate.report --experiment quickstart                those of one experiment, with what is missing
  python -m ablate.report --experiment table1 --out report       and write tables, figures and report.html there
  python -m ablate.report --pivot shortcut depth                 any grid by two keys
  python -m ablate.report --where recipe.batch=64 --where seed=0 some of the runs
  python -m ablate.report --baseline unit=basic                  what the differences are taken from"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m ablate.report",
        description="Tables, figures and a page from the records of runs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="?", default="results/runs", type=Path, help="folder of runs (results/runs)")
    parser.add_argument("--experiment", metavar="NAME", help="only the runs that this experiment asks for")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="write tables, figures and report.html there")
    parser.add_argument("--where", metavar="KEY=VALUE", action="append", default=[], help="only runs that say so")
    parser.add_argument(
        "--baseline",
        metavar="KEY=VALUE",
        default="shortcut=identity",
        help="what differences are taken from (%(default)s)",
    )
    parser.add_argument("--pivot", metavar=("ROWS", "COLUMNS"), nargs=2, help="the median error by two keys, also")
    options = parser.parse_args(arguments)
    try:
        report(options)
    except AblateError as error:
        say(f"ablate.report: {error}", error=True)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    return 0


def report(options: argparse.Namespace) -> None:
    from rich.text import Text

    from ablate.report import formats, records, tables
    from ablate.report.aggregate import cells

    key, equals, value = options.baseline.partition("=")
    if not equals:
        raise ConfigError(f"--baseline {options.baseline} is not KEY=VALUE, as in --baseline shortcut=identity")
    read = records.read(options.runs, options.experiment)
    runs = records.where(read.runs, options.where)
    study = cells(runs, (key, value))
    if not study.is_baseline.any() and options.baseline != "shortcut=identity":
        raise AblateError(f"--baseline {options.baseline}: no cell is that, so there is nothing to compare with")
    # A pipe has no width: a table that is cut there would be a loss.
    terminal = console()
    terminal.width = terminal.width if terminal.is_terminal else 260
    drawn, spared = formats.terminal(tables.words(study), terminal.width)
    terminal.print(drawn)
    for line in tables.notes(study):
        terminal.print(Text(line))
    if spared:
        terminal.print(f"Not shown, for want of width: {', '.join(spared)}; --out FOLDER writes all.", markup=False)
    pivot = tables.pivot(study, *options.pivot) if options.pivot else None
    if pivot is not None:
        terminal.print(formats.terminal(pivot, sys.maxsize)[0])
    for sentence in read.unread:
        say(f"ablate.report: {sentence}", error=True)
    for run in records.every(runs[runs.state == "failed"]):
        reason = (str(run.reason or "").splitlines() or ["no reason given"])[0]
        say(f"ablate.report: {run.folder} failed: {reason}", error=True)
    if options.out:
        from ablate.report.files import write

        page = write(options.out, runs, study, pivot=pivot, experiment=options.experiment, unread=read.unread)
        terminal.print(Text(f"Written: {options.out}; open {page}"), soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
