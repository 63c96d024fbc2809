"""Tables, figures and a page from the records of runs."""

import argparse
from typing import TYPE_CHECKING

from ablate.base.errors import ConfigError
from ablate.base.terminal import console
from ablate.commands import path, runs_arguments, warn

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.console import Console

EXAMPLES = """examples:
  ablate report                                        the table of all runs in results/runs
  ablate report results/runs elsewhere/runs            several folders together
  ablate report --experiment quickstart                one experiment, with what is missing
  ablate report --experiment table1 --out report       write tables, figures and report.html into report
  ablate report --pivot shortcut depth                 also the mean error by two keys
  ablate report --where recipe.batch=64 --where seed=0 only some of the runs
  ablate report --baseline unit=basic                  differences from another baseline
  ablate report --baseline shortcut=gate --baseline shortcut.bias_init=-6
                                                       ... which two values choose
  ablate report --columns error,difference,p           these columns, in this order
  ablate report --names names.yaml --out report        rows called and ordered as in a file of lines like
                                                       'gate bias_init=-6: shortcut-only gating'
  ablate report --paper column --out paper             LaTeX tables and figures as wide as a column of a paper
  ablate report --mixed                                also compare runs of different code, devices or precisions"""


def arguments(parser: argparse.ArgumentParser) -> None:
    runs_arguments(parser, several=True)
    parser.add_argument("--out", metavar="FOLDER", type=path, help="write tables, figures and report.html there")
    parser.add_argument("--where", metavar="KEY=VALUE", action="append", default=[], help="only runs with this value")
    parser.add_argument(
        "--baseline",
        metavar="KEY=VALUE",
        action="append",
        help="compare with the rows of this value (identity)",
    )
    parser.add_argument(
        "--mixed", action="store_true", help="also compare what different code, devices, precisions or torch computed"
    )
    parser.add_argument("--columns", metavar="NAMES", help="columns of the table, by comma")
    parser.add_argument("--names", metavar="FILE", type=path, help="names and order of the rows, as YAML")
    parser.add_argument(
        "--paper",
        metavar="column|page|INCHES",
        type=inches,
        help="the width of --out's LaTeX tables and figures",
    )
    parser.add_argument("--pivot", metavar=("ROWS", "COLUMNS"), nargs=2, help="also the mean error by two keys")


def main(options: argparse.Namespace) -> None:
    from functools import partial

    from rich.text import Text

    from ablate.report import records, signals, tables, tuning
    from ablate.report.aggregate import cells
    from ablate.report.comparison import IDENTITY, check_baseline
    from ablate.report.keys import key_and_value, recorded
    from ablate.report.names import rename
    from ablate.report.pivot import CAPTION, pivot
    from ablate.report.predictions import read_wrong

    if options.paper and not options.out:
        raise ConfigError("--paper needs --out FOLDER, for the files that it writes")
    baseline = [key_and_value("--baseline", words) for words in options.baseline or ()] or IDENTITY
    read = records.read_all(options.runs, options.experiment)
    current, superseded = records.without_superseded(read.runs)
    runs = records.where(current, options.where)
    wrong, unused = read_wrong(runs)
    unread = [*read.unread, *superseded, *unused]
    compare = partial(cells, baseline=baseline, wrong=wrong, mixed=options.mixed, most=read.design.get("most_seeds"))
    tuned = tuning.Tuning.read(read.design, options.runs)
    study = compare(tuning.at_common(runs, tuned) if tuned else runs)
    if options.baseline:
        check_baseline(study, baseline)
    if options.where:
        study.attrs["of"] = compare(tuning.at_common(current, tuned) if tuned else current).p_holm.count()
    study = signals.with_gains(study, runs)
    if options.names:
        study = rename(study, options.names)
    chosen = tables.columns(options.columns) if options.columns is not None else ()
    more = {"pivot": (pivot(study, *map(recorded, options.pivot)), CAPTION)} if options.pivot else {}
    names = dict(zip(study.cell, study.label, strict=True))
    if tuned:
        own = compare(tuning.at_own(runs, tuned))
        own = rename(own, options.names) if options.names else own
        more |= {"own": tuning.own_words(own, tuned, chosen), "tuning": tuning.words(tuned, names)}
    table = tables.words(study, chosen), "\n".join(tables.notes(study))
    terminal = console()
    for one, caption in (table, *more.values()):
        _show(terminal, one, caption, fit=not chosen)
    for sentence in unread:
        warn("report", sentence)
    for run in records.rows_of(runs[runs.state == "failed"]):
        warn("report", f"{run.path} failed: {str(run.reason or 'no reason given').splitlines()[0]}")
    if options.out:
        from ablate.report.files import PAGE, write

        left_out = write(
            options.out,
            runs,
            study,
            more=more,
            draw=lambda width: tuning.draw(tuned, study, names, width) if tuned else (),
            experiment=options.experiment,
            unread=unread,
            columns=chosen,
            width=options.paper,
        )
        for sentence in left_out:
            warn("report", sentence)
        terminal.print(Text(f"Written: {options.out / PAGE}"), soft_wrap=True)


def _show(terminal: "Console", table: "DataFrame", caption: str, *, fit: bool) -> None:
    """Print a table. If it is to `fit` and the terminal is too narrow, columns of detail are left out."""
    from rich.text import Text

    from ablate.report import formats, tables

    widest = (max([*str(name).split(), *table[name]], key=len) for name in table)  # headings are wrapped
    needed = 1 + sum(3 + len(word) for word in widest)
    narrow = fit and needed > terminal.width
    terminal.print(formats.terminal(table.drop(columns=tables.DETAILS, errors="ignore") if narrow else table))
    terminal.print(Text(caption))
    if narrow:
        terminal.print(f"Some columns need a terminal of {needed} columns; --out FOLDER writes them all.")


def inches(word: str) -> float:
    """A width of a paper in inches."""
    from ablate.report.paper import WIDTHS

    try:
        width = WIDTHS.get(word) or float(word)
    except ValueError:
        width = 0.0
    if not 2 <= width <= 20:
        raise argparse.ArgumentTypeError(f"{word!r} is neither column, nor page, nor inches from 2 to 20")
    return width
