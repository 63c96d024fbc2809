"""Error of a trained network without some of its units, or with units swapped; and its gradient by path length."""

import argparse
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.progress import track
from rich.table import Table
from rich.text import Text

from ablate.base.errors import AblateError, ConfigError
from ablate.base.files import read_json, to_json, write_whole, writing
from ablate.base.machine import threads
from ablate.base.terminal import console, is_terminal, plain, say
from ablate.commands import path, prepare
from ablate.commands.evaluate import run_and_data

if TYPE_CHECKING:
    from torch import Tensor

    from ablate.probes.lesions import Patient

EXAMPLES = """examples:
  ablate lesion results/runs/digits-identity-d110-s0-0123456789abcdef
  ablate lesion results/runs/digits-* --out lesion              figures, table and numbers; seeds together
  ablate lesion RUN --only alone                                each unit dropped, and nothing else: seconds
  ablate lesion RUN --samples 50 --json                         for scripts
  ablate lesion results/lesion/lesion.json --out again          tables and figures of what was measured before

alone: each unit dropped; several: some at random; swapped: pairs of one shape; paths: the gradient by path length.
Dropping a unit makes F(x) zero. docs/why.md says how each is measured."""
KINDS = ("alone", "several", "swapped", "paths")
FILES = ("lesion.json", "table.md", *(f"{kind}.svg" for kind in KINDS))
COUNTS = (1, 2, 3, 5, 8, 12, 18, 27, 40, 60, 90, 135, 200)
"""Units that are dropped together, or swaps, as far as there are as many."""
BATCH = 64
"""Training images of the gradient."""
T = TypeVar("T")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", metavar="RUN", nargs="+", type=path, help="folders of finished runs, or a lesion.json to show again"
    )
    parser.add_argument("--only", metavar="KIND,...", type=kinds, default=KINDS, help=f"of {', '.join(KINDS)} (all)")
    parser.add_argument("--samples", type=int, default=10, metavar="N", help="random draws of each number (10)")
    parser.add_argument("--out", metavar="FOLDER", type=path, help="write figures, table.md and lesion.json here")
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    parser.add_argument("--json", action="store_true", help="one JSON object, for scripts")
    parser.add_argument("--trust", action="store_true", help="run code that the records name outside this package")


def kinds(text: str) -> tuple[str, ...]:
    """Kinds of lesions with commas between them."""
    found = tuple(text.split(","))
    if wrong := [word for word in found if word not in KINDS]:
        raise argparse.ArgumentTypeError(f"{wrong[0]!r} is not one of {', '.join(KINDS)}")
    return found


def main(options: argparse.Namespace) -> None:
    if not 1 <= options.samples <= 10_000:
        raise ConfigError(f"--samples {options.samples} is invalid: use 1 to 10000")
    prepare(options.out, FILES, overwrite=options.overwrite)
    found: list[dict[str, Any]] = []
    for number, run in enumerate(options.runs, 1):
        found += _read(run) if run.is_file() else [_measured(run, options, f"{number} of {len(options.runs)}")]
    from ablate.report import lesions

    rows = lesions.rows(found)
    if options.json:
        say(to_json({"runs": found, "rows": [row.facts() for row in rows]}))
    else:
        _show(rows)
    if options.out:
        _write(options.out, found, rows)
        say(f"written: {options.out}", error=options.json)


def _read(file: Path) -> list[dict[str, Any]]:
    """What lesions of runs have been found before, from a lesion.json. Raises AblateError if it is none."""
    from ablate.report.lesions import check

    try:
        return check(list((read_json(file) or {})["runs"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        pass
    raise AblateError(f"{file} is not a lesion.json: name the folders of runs, or a file that --out has written")


def _measured(run: Path, options: argparse.Namespace, which: str) -> dict[str, Any]:
    """What the lesions of one run do, as plain values."""
    import torch

    from ablate.data.dataset import Dataset
    from ablate.probes.lesions import Patient
    from ablate.runs.naming import describe
    from ablate.runs.reading import read_run
    from ablate.training.device import pick_device, pick_precision
    from ablate.training.evaluate import evaluate

    config, dataset, network, mean = run_and_data(run, [], options.trust)
    if next(network.units(), None) is None:
        raise AblateError(f"{run} has no residual units: there is nothing to drop")
    if not isinstance(dataset, Dataset):
        raise AblateError(f"{run}: lesions are for datasets that fit into memory, not data={config.data.name}")
    pick_precision("float32")
    device = pick_device(config.device)
    torch.set_num_threads(threads()[0])
    network.to(device)
    dataset, mean = dataset.to(device), mean.to(device)
    batches = list(dataset.test_batches(mean))
    batch = _training_batch(dataset, mean)
    patient = Patient(network, batch[0][:2])
    wanted = [kind for kind in options.only if kind != "swapped" or not patient.unswappable]
    if len(wanted) < len(options.only):
        if len(options.only) < len(KINDS):
            raise AblateError(patient.unswappable)
        say(f"{which}: left out: {patient.unswappable}", error=True)

    def error() -> float:
        return evaluate(network, batches).error

    record = read_run(run)
    say(f"{which}: {describe(record.config)}", error=True)
    facts: dict[str, Any] = {
        "run": run.name,
        "name": describe(record.config),
        "cell": record.cell,
        "seed": record.config["seed"],
        "evaluated_on": dataset.evaluated_on,
        "images": len(dataset.test_y),
        "intact": error(),
        "units": [place._asdict() for place in patient.places],
    }
    for kind in wanted:
        facts[kind] = list(_followed(_kind(kind, patient, error, batch, options.samples), f"{which}: {kind}"))
    return facts


def _training_batch(dataset: Any, mean: "Tensor") -> "tuple[Tensor, Tensor]":
    """The first training images of the dataset, normalised, and their labels."""
    from ablate.data.dataset import normalise

    return normalise(dataset.train_x[:BATCH], mean), dataset.train_y[:BATCH]


def _kind(kind: str, patient: "Patient", error: Any, batch: Any, samples: int) -> Iterator[dict[str, Any]]:
    """What one kind of lesions gives, one after another. Every run gets the same draws."""
    draw, units = random.Random(0), len(patient.units)
    counts = [count for count in COUNTS if count < units] + [units]
    if kind == "alone":
        for number, one in enumerate(patient.alone(error), 1):
            yield {"unit": number, "error": one}
    elif kind == "several":
        for count in counts:
            yield {"dropped": count, "errors": list(patient.several(error, count, samples, draw))}
    elif kind == "swapped":
        for count in counts:
            made = list(patient.swapped(error, count, samples, draw))
            yield {"swaps": count, "taus": [one.tau for one in made], "errors": [one.error for one in made]}
    else:
        for length in range(units + 1):
            yield {"length": length, "norms": [patient.path_norm(batch, length, draw) for _ in range(samples)]}


def _followed(steps: Iterable[T], what: str) -> Iterable[T]:
    """`steps`, with a line on a terminal that says how many were made."""
    return track(steps, what, console=console(error=True), transient=True, disable=not is_terminal())


def _show(rows: list[Any]) -> None:
    from ablate.report.lesions import HEADINGS

    table = Table(*HEADINGS)
    for row in rows:
        table.add_row(Text(plain(row.name)), *row.cells())
    console().print(table)
    for row in rows:
        say(f"{row.name}: {row.sentence()}")


def _write(folder: Path, found: list[dict[str, Any]], rows: list[Any]) -> None:
    from ablate.report import lesions
    from ablate.report.figures.lesions import draw

    with writing(folder, "use another --out"):
        write_whole(folder / "lesion.json", (to_json({"runs": found}) + "\n").encode())
        write_whole(folder / "table.md", lesions.markdown(rows).encode())
        drawn = {f"{name}.svg": drawing.save("svg") for name, drawing in draw(rows)}
        for name, content in drawn.items():
            write_whole(folder / name, content)
        for name in (name for name in FILES if name.endswith(".svg") and name not in drawn):
            (folder / name).unlink(missing_ok=True)  # of what was there before
