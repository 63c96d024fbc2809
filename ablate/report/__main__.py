"""Tables from what has run.

python -m ablate.report
python -m ablate.report results/runs --experiment quickstart --out results/quickstart
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from ablate.errors import AblateError

EXAMPLES = """examples:
  python -m ablate.report                                     all runs in results/runs
  python -m ablate.report --experiment quickstart             those of one experiment, with what is missing
  python -m ablate.report results/runs --out results/study    and write table.md and table.csv"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m ablate.report",
        description="Tables from the records of runs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="?", default="results/runs", type=Path, help="folder of runs (results/runs)")
    parser.add_argument("--experiment", metavar="NAME", help="only the runs that this experiment asks for")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="write table.md and table.csv there")
    options = parser.parse_args(arguments)
    try:
        report(options.runs, options.experiment, options.out)
    except AblateError as error:
        print(f"ablate.report: {error}", file=sys.stderr)
        return error.exit_status
    return 0


def report(runs: Path, experiment: str | None, out: Path | None) -> None:
    from ablate.files import write_whole
    from ablate.report import tables
    from ablate.report.aggregate import cells
    from ablate.report.records import load

    records = load(runs, experiment)
    study = cells(records.runs)
    table, notes = tables.words(study), tables.notes(study)
    # A pipe has no width: a table that is cut there would be a loss.
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(tables.terminal(table))
    for line in notes:
        console.print(line, markup=False, highlight=False)
    for sentence in records.unread:
        print(f"ablate.report: {sentence}", file=sys.stderr)
    for run in records.runs[records.runs.state == "failed"].itertuples():
        print(f"ablate.report: {run.folder} failed: {str(run.reason).splitlines()[0]}", file=sys.stderr)
    if out is None:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / "table.md", (tables.markdown(table) + "\n" + "\n".join(notes) + "\n").encode())
        write_whole(out / "table.csv", tables.csv(study).encode())
    except OSError as error:
        raise AblateError(f"--out {out} cannot be written: {error.strerror}") from error
    console.print(f"Written: {out / 'table.md'}, {out / 'table.csv'}", markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
