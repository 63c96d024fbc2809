"""Pack records, without weights, into one file, or take such a file into a folder of runs."""

import argparse

from ablate.base.errors import AblateError
from ablate.base.terminal import say
from ablate.commands import path, runs_arguments, warn

EXAMPLES = """examples:
  ablate archive --out study.tar.gz                          every ended run in results/runs
  ablate archive --experiment table1 --out table1.tar.gz     one experiment
  ablate archive elsewhere/runs --from table1.tar.gz         take the records into elsewhere/runs; replaces none"""


def arguments(parser: argparse.ArgumentParser) -> None:
    runs_arguments(parser)
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--out", metavar="FILE", type=path, help="pack into this file")
    way.add_argument("--from", dest="file", metavar="FILE", type=path, help="take the records in this file")


def main(options: argparse.Namespace) -> None:
    from ablate.runs.archive import pack, unpack

    if options.out:
        for sentence in pack(options.runs, options.out, options.experiment):
            warn("archive", sentence)
        say(f"written: {options.out}")
        return
    new, refused = unpack(options.file, options.runs)
    say(f"{new} records taken into {options.runs}")
    if refused:
        for sentence in refused:
            warn("archive", sentence)
        raise AblateError(f"{len(refused)} of the records in {options.file} were not taken")
