"""How two runs differ: configuration, code, machine and results."""

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import MISSING
from rich.table import Column, Table
from rich.text import Text

from ablate.base.errors import AblateError
from ablate.base.files import to_json
from ablate.base.terminal import console, plain, say
from ablate.commands import path
from ablate.config.schema import Config, Data, Recipe, as_typed
from ablate.runs.code import differences
from ablate.runs.identity import NEUTRAL
from ablate.runs.naming import differing, flatten
from ablate.runs.reading import NOT_A_RECORD, Run, read_run

EXAMPLES = """examples:
  ablate diff results/runs/digits-identity-d20-s0-0123456789abcdef results/runs/digits-gate-d20-s0-fedcba9876543210
  ablate diff RUN RUN --json                                 for scripts

A key that a record lacks, because it is older than the key, has its default. Nothing in the folders is executed."""
MACHINE = ("device", "threads", "processes", "host", "cpu", "precision", "runs_at_once")
RESULTS = (
    *("status", "test_error", "best_test_error", "train_loss", "train_error", "evaluated_on", "parameters"),
    *("multiply_adds", "steps", "seconds", "images_per_second"),
)
HASH = 12
"""Characters of a hash that are shown."""
Pair = tuple[Any, Any]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs=2, type=path, help="folders of two runs")
    parser.add_argument("--json", action="store_true", help="one JSON object, for scripts")


def main(options: argparse.Namespace) -> None:
    one, other = map(_read, options.runs)
    parts = compare(one, other)
    if options.json:
        say(to_json({"runs": [str(run.folder) for run in (one, other)], **parts}))
    elif any(parts.values()):
        _show(one, other, parts)
    else:
        say(f"no difference in {', '.join(parts)}")


def compare(one: Run, other: Run) -> dict[str, dict[str, Pair]]:
    """What differs between two runs, part by part: each name with both values, None if a run has none.

    If one has not ended, only the configuration and the results are compared: its code and machine are not recorded.
    """
    configs = [flatten(run.config) for run in (one, other)]
    configs = [config | {key: value for key, value in _defaults().items() if key not in config} for config in configs]
    results = [_results(run) for run in (one, other)]
    parts = {"configuration": _pairs(configs, differing(configs))}
    if one.result and other.result:
        codes, machines = [run.result["code"] for run in (one, other)], [_machine(run) for run in (one, other)]
        parts["code"] = _pairs(codes, differences(*codes, own=True))
        parts["machine"] = _pairs(machines, differing(machines))
    return parts | {"results": _pairs(results, differing(results))}


def _read(folder: Path) -> Run:
    try:
        return read_run(folder)
    except NOT_A_RECORD as error:
        raise AblateError(f"{folder} is not the folder of a run: {error}") from error


def _defaults() -> dict[str, Any]:
    """The value of each key in records that are older than it, by its dotted name."""
    tree = {**asdict(Config()), "data": asdict(Data()), "recipe": asdict(Recipe())}
    return {key: value for key, value in flatten(tree).items() if value != MISSING} | NEUTRAL


def _machine(run: Run) -> dict[str, Any]:
    versions = {f"versions.{name}": one for name, one in (run.result.get("versions") or {}).items()}
    return {key: run.result[key] for key in MACHINE if key in run.result} | versions


def _results(run: Run) -> dict[str, Any]:
    return {"status": run.state} | {key: run.result[key] for key in RESULTS if key in run.result}


def _pairs(sides: list[dict[str, Any]], names: list[str]) -> dict[str, Pair]:
    one, other = sides
    pairs = {name: (one.get(name), other.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}  # 1 is 1.0


def _show(one: Run, other: Run, parts: Mapping[str, Mapping[str, Pair]]) -> None:
    table = Table("", "", *(Column(Text(plain(str(run.folder)))) for run in (one, other)))
    for part, pairs in parts.items():
        for number, (name, values) in enumerate(pairs.items()):
            words = (name, *(_shown(part, value) for value in values))
            table.add_row("" if number else part, *(Text(plain(word)) for word in words))
        table.add_section()
    console().print(table)
    if same := [part for part, pairs in parts.items() if not pairs]:
        say(f"equal: {', '.join(same)}")


def _shown(part: str, value: Any) -> str:
    if value is None:
        return "–"
    if part == "code":
        return " ".join(word[:HASH] for word in str(value).split())
    return f"{value:.6g}" if isinstance(value, float) else as_typed(value)
