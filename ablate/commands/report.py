"""Tables, figures and a page from the records of runs."""

import argparse
from pathlib import Path

from ablate.base.errors import AblateError
from ablate.base.terminal import console
from ablate.commands import runs_arguments, warn

EXAMPLES = """examples:
  ablate report                                        the table of all runs in results/runs
  ablate report --experiment quickstart                one experiment, with what is missing
  ablate report --experiment table1 --out report       write tables, figures and report.html into report
  ablate report --pivot shortcut depth                 also the median error by two keys
  ablate report --where recipe.batch=64 --where seed=0 only some of the runs
  ablate report --baseline unit=basic                  differences from another baseline"""
BASELINE = "shortcut=identity"
WIDE = 260
"""Columns of a table that is not printed on a terminal."""


def arguments(parser: argparse.ArgumentParser) -> None:
    runs_arguments(parser)
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="write tables, figures and report.html there")
    parser.add_argument("--where", metavar="KEY=VALUE", action="append", default=[], help="only runs with this value")
    parser.add_argument("--baseline", metavar="KEY=VALUE", default=BASELINE, help="compare with these (%(default)s)")
    parser.add_argument("--pivot", metavar=("ROWS", "COLUMNS"), nargs=2, help="also the median error by two keys")


def main(options: argparse.Namespace) -> None:
    from rich.text import Text

    from ablate.report import formats, records, tables
    from ablate.report.aggregate import cells
    from ablate.report.keys import key_and_value
    from ablate.report.pivot import pivot

    baseline = key_and_value("--baseline", options.baseline)
    read = records.read(options.runs, options.experiment)
    runs = records.where(read.runs, options.where)
    study = cells(runs, baseline)
    if not study.is_baseline.any() and options.baseline != BASELINE:
        raise AblateError(f"--baseline {options.baseline}: no row has this value, so there is nothing to compare with")
    pivoted = pivot(study, *options.pivot) if options.pivot else None
    terminal = console()
    terminal.width = terminal.width if terminal.is_terminal else WIDE
    table = tables.words(study)
    widest = (max([*str(name).split(), *table[name]], key=len) for name in table)  # headings are wrapped
    needed = 1 + sum(3 + len(word) for word in widest)
    if needed > terminal.width:
        table = table.drop(columns=tables.DETAILS, errors="ignore")
    terminal.print(formats.terminal(table))
    for line in tables.notes(study):
        terminal.print(Text(line))
    if needed > terminal.width:
        terminal.print(f"Some columns need a terminal of {needed} columns; --out FOLDER writes them all.")
    if pivoted is not None:
        terminal.print(formats.terminal(pivoted))
    for sentence in read.unread:
        warn("report", sentence)
    for run in records.rows_of(runs[runs.state == "failed"]):
        warn("report", f"{run.path} failed: {str(run.reason or 'no reason given').splitlines()[0]}")
    if options.out:
        from ablate.report.files import PAGE, write

        left_out = write(options.out, runs, study, pivot=pivoted, experiment=options.experiment, unread=read.unread)
        for sentence in left_out:
            warn("report", sentence)
        terminal.print(Text(f"Written: {options.out / PAGE}"), soft_wrap=True)
