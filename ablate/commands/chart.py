"""A chart of networks by operations, error and parameters: of published ones on ImageNet, or of runs."""

import argparse
from pathlib import Path

from ablate.base.errors import AblateError, ConfigError
from ablate.base.files import write_whole, writing
from ablate.base.terminal import say
from ablate.commands import path, warn
from ablate.commands.report import inches

EXAMPLES = """examples:
  ablate chart                                          published networks on ImageNet, in chart.svg
  ablate chart results/runs --out networks.pdf          what was measured: the mean error of each row
  ablate chart results/runs --experiment lecture        only the runs that an experiment asks for
  ablate chart --paper column --out figures/chart.pdf   as wide as a column of a paper"""
FORMS = ("svg", "pdf", "png")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="?", type=path, help="folder of runs (none: published networks)")
    parser.add_argument("--experiment", metavar="NAME", help="only the runs that this experiment asks for")
    parser.add_argument(
        "--out", metavar="FILE", type=path, default=Path("chart.svg"), help="FILE.svg, .pdf or .png (chart.svg)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    parser.add_argument("--paper", metavar="column|page|INCHES", type=inches, help="the width in a paper")


def main(options: argparse.Namespace) -> None:
    form = options.out.suffix.removeprefix(".")
    if form not in FORMS:
        raise ConfigError(f"--out {options.out} is invalid: use a name that ends in .svg, .pdf or .png")
    if options.out.exists() and not options.overwrite:
        raise ConfigError(f"{options.out} is there already: add --overwrite, or name another with --out")
    if options.experiment and not options.runs:
        raise ConfigError("--experiment is for runs: name their folder too, as in ablate chart results/runs")
    from ablate.report import records
    from ablate.report.aggregate import cells
    from ablate.report.figures.bubbles import measured, published
    from ablate.report.predictions import read_wrong

    if options.runs:
        read = records.read(options.runs, options.experiment)
        current, superseded = records.without_superseded(read.runs)
        wrong, unused = read_wrong(current)
        for sentence in (*read.unread, *superseded, *unused):
            warn("chart", sentence)
        drawing = measured(cells(current, wrong=wrong), width=options.paper)
        if drawing is None:
            raise AblateError(f"{options.runs} has no row with a mean error: nothing was drawn; see ablate report")
    else:
        drawing = published(width=options.paper)
    content = drawing.save(form)
    with writing(options.out, "use another --out"):
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(options.out, content)
    say(drawing.caption)
    say(f"written: {options.out}")
