"""How well what `ablate probe` measures before training foretells the errors of runs."""

import argparse
import hashlib
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import track
from rich.table import Table

from ablate.base.errors import AblateError
from ablate.base.files import read_json, to_json, write_whole, writing
from ablate.base.terminal import console, is_terminal, say
from ablate.commands import path, prepare, runs_arguments, warn
from ablate.commands.probe import BATCH, measured
from ablate.runs.identity import identity
from ablate.runs.naming import label, title

if TYPE_CHECKING:
    from ablate.runs.reading import Run

EXAMPLES = """examples:
  ablate foretell                                               all finished runs in results/runs
  ablate foretell results/runs --experiment why --out why       a table, a figure, and the numbers of every run
  ablate foretell why/foretell.json --json                      of what was measured before, for scripts

The network of each run is built again as it was before training, and measured as by ablate probe: seconds each.
docs/why.md says what the columns are. Runs of several shortcuts, depths or orders make them worth reading."""
FILES = ("foretell.json", "table.md", "foretell.svg")
OTHER = ("shortcut", "seed", "probes", "probe_every")
"""What does not make runs those of another network or recipe."""
FEWEST = 10
"""Runs, at least."""


def arguments(parser: argparse.ArgumentParser) -> None:
    runs_arguments(parser)
    parser.add_argument(
        "--out", metavar="FOLDER", type=path, help="write table.md, foretell.svg and foretell.json here"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    parser.add_argument("--json", action="store_true", help="one JSON object, for scripts")
    parser.add_argument("--trust", action="store_true", help="run code that the records name outside this package")


def main(options: argparse.Namespace) -> None:
    prepare(options.out, FILES, overwrite=options.overwrite)
    what = path(str(options.runs))
    runs = _read(what) if what.is_file() else _measured(what, options)
    if len(runs) < FEWEST:
        raise AblateError(f"{what} has {len(runs)} finished runs that can be measured: at least {FEWEST} are needed")
    from ablate.report import foretelling

    found = foretelling.foretold(runs)
    if options.json:
        say(to_json({"runs": runs, "foretold": [one.facts() for one in found]}))
    else:
        table = Table("measured", *foretelling.HEADINGS)
        for one in found:
            table.add_row(
                foretelling.titled(one.name), *foretelling.cells(one), end_section=one.name == foretelling.LAST
            )
        console().print(table)
        say(foretelling.summary(runs))
    if options.out:
        _write(options.out, runs, found)
        say(f"written: {', '.join(str(options.out / name) for name in FILES)}", error=options.json)


def _read(file: Path) -> list[dict[str, Any]]:
    """The runs of a foretell.json. Raises AblateError if it is none."""
    from ablate.report.foretelling import check

    try:
        return check(list((read_json(file) or {})["runs"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        pass
    raise AblateError(f"{file} is not a foretell.json: name a folder of runs, or a file that --out has written")


def _measured(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every finished run of residual units with its measures; a sentence for each that has none."""
    from ablate.runs.reading import read_runs
    from ablate.runs.record import DONE

    found = read_runs(folder, options.experiment)
    for sentence in found.unread:
        warn("foretell", sentence)
    chosen = [run for run in found.runs if run.state in DONE]
    out = []
    for run in track(chosen, "measured", console=console(error=True), transient=True, disable=not is_terminal()):
        try:
            out.append(_run(run, options.trust))
        except AblateError as error:
            warn("foretell", f"{run.folder.name} left out: {error}")
    return out


def _run(run: "Run", trust: bool) -> dict[str, Any]:
    from ablate.config.compose import from_tree
    from ablate.runs.code import use_copy
    from ablate.runs.trained import require_trust

    require_trust(run.config, run.folder, trust, "--trust")
    use_copy(run.folder)
    facts = measured(from_tree(run.config), BATCH)
    classes = len(run.result["images"]["classes"])
    error = 100 * (1 - 1 / classes) if run.test_error is None else run.test_error
    setting = {key: value for key, value in identity(run.config).items() if key not in OTHER}
    return {
        "name": title(run.config),
        "run": run.folder.name,
        "row": label(run.config["shortcut"]),
        "shortcut": str(run.config["shortcut"]["_target_"]).rpartition(".")[2],
        "setting": hashlib.sha256(to_json(setting).encode()).hexdigest()[:8],
        "depth": run.config["depth"],
        "error": error,
        "measures": _measures(facts, run),
    }


def _measures(facts: dict[str, Any], run: "Run") -> dict[str, float | None]:
    """One number for each measure that the run has. Ranks alone count, so gains are no logarithms."""
    from ablate.runs.record import read_metrics

    units, kept = facts["units"], facts["kept"]
    first, last = units[0]["gradient"], units[-1]["gradient"]
    lines, _ = read_metrics(run.folder)
    found = {
        "sentence": facts["level"],
        "path": kept["path"],
        "with f": kept["with_f"],
        "added": kept["added"],
        "depth": len(units),
        "gradient": first,
        "scales": abs(2 * math.log(first / last)) if min(first, last) > 0 else None,
        # A run that diverged in its first epoch has no line: of all losses, that is the worst.
        "loss": lines[0].get("train_loss") if lines else sys.float_info.max if run.state == "diverged" else None,
    }
    if wrong := [name for name, value in found.items() if value is None or not math.isfinite(value)]:
        raise AblateError(f"{' and '.join(wrong)} could not be measured")
    return found


def _write(folder: Path, runs: list[dict[str, Any]], found: list[Any]) -> None:
    from ablate.report import foretelling
    from ablate.report.figures.foretelling import draw

    contents = {
        "foretell.json": (to_json({"runs": runs}, indent=1) + "\n").encode(),
        "table.md": foretelling.markdown(runs, found).encode(),
        "foretell.svg": draw(runs, found).save("svg"),
    }
    with writing(folder, "use another --out"):
        for name, content in contents.items():
            write_whole(folder / name, content)
