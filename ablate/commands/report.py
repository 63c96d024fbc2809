"""Tables, figures and a page from the records of runs."""

import argparse
import sys
from pathlib import Path

from ablate.base.errors import AblateError, ConfigError
from ablate.base.terminal import console
from ablate.commands import runs_arguments, warn

EXAMPLES = """examples:
  ablate report                                        all runs in results/runs, as a table
  ablate report --experiment quickstart                those of one experiment, with what is missing
  ablate report --experiment table1 --out report       and write tables, figures and report.html there
  ablate report --pivot shortcut depth                 any grid by two keys
  ablate report --where recipe.batch=64 --where seed=0 some of the runs
  ablate report --baseline unit=basic                  another baseline for the differences"""


def arguments(parser: argparse.ArgumentParser) -> None:
    runs_arguments(parser)
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="write tables, figures and report.html there")
    parser.add_argument("--where", metavar="KEY=VALUE", action="append", default=[], help="only runs with this value")
    parser.add_argument(
        "--baseline",
        metavar="KEY=VALUE",
        default="shortcut=identity",
        help="the rows that differences are taken from (%(default)s)",
    )
    parser.add_argument("--pivot", metavar=("ROWS", "COLUMNS"), nargs=2, help="also the median error by two keys")


def main(options: argparse.Namespace) -> None:
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
        warn("report", sentence)
    for run in records.every(runs[runs.state == "failed"]):
        reason = (str(run.reason or "").splitlines() or ["no reason given"])[0]
        warn("report", f"{run.folder} failed: {reason}")
    if options.out:
        from ablate.report.files import write

        page = write(options.out, runs, study, pivot=pivot, experiment=options.experiment, unread=read.unread)
        terminal.print(Text(f"Written: {options.out}; open {page}"), soft_wrap=True)
