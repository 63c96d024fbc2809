"""Records as a table: one row a run. A record that cannot be read is named and left out, never guessed at."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas

from ablate.base.errors import AblateError
from ablate.base.terminal import plain
from ablate.runs.naming import label
from ablate.runs.reading import NUMBERS, Run, read_runs

TEXTS = ("reason", "device", "precision", "host", "started", "ended", "command")


@dataclass(frozen=True)
class Records:
    """`runs`: one row a run, columns as `load` documents. `unread`: a sentence for each record left out."""

    runs: pandas.DataFrame
    unread: list[str]


def load(path: str | Path, experiment: str | None = None) -> pandas.DataFrame:
    """Every run below `path` and every one that its experiments ask for, or those of one experiment: one row a run.

    | column | what |
    |---|---|
    | folder, path | the run's folder: its name, and where it is |
    | state | finished, diverged, interrupted, failed, running, stale (nobody is at it) or missing |
    | cell | what runs of different seeds share: the hash of the configuration without the seed |
    | label | the shortcut with its own parameters, in words |
    | shortcut, depth, unit, data, recipe, seed | of the configuration |
    | test_error, best_test_error | percent: at the last epoch, and the lowest of all epochs |
    | train_loss, train_error | means over the last epoch; percent |
    | parameters, multiply_adds | of the network; multiply-adds of one image |
    | seconds, images_per_second, steps | wall clock of the run; images trained a second; iterations |
    | evaluated_on | test, or validation: held out of the training images |
    | device, precision, threads, host, versions | what computed it |
    | commit, changed | of the source; whether it had changes that the commit has not |
    | started, ended, command, reason | UTC; what was typed; why it did not finish |
    | config | the whole resolved configuration, a dict |

    Numbers are NaN and texts None where a run has none. Raises AblateError where `path` holds no run or no such
    experiment was asked for. What could not be read is left out; `read` names it.
    """
    return read(path, experiment).runs


def read(path: str | Path, experiment: str | None = None) -> Records:
    """As `load`, with a sentence for each record that is left out."""
    found = read_runs(Path(path), experiment)
    rows, unread = [], list(found.unread)
    for run in found.runs:
        try:
            rows.append(_row(run))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            unread.append(f"{run.folder} is left out, no whole record: {type(error).__name__}: {error}")
    if not rows:
        raise AblateError(f"{unread[0]}; train one first: ablate shortcut=gate")
    return Records(pandas.DataFrame(rows), unread)


def where(runs: pandas.DataFrame, conditions: list[str]) -> pandas.DataFrame:
    """The runs for which every KEY=VALUE of `conditions` holds. Raises AblateError where that is none."""
    for condition in conditions:
        key, equals, value = condition.partition("=")
        if not equals:
            raise AblateError(f"--where {condition} is not KEY=VALUE, as in --where depth=110")
        found = [said(config, key) for config in runs.config]
        if all(word is None for word in found):
            from ablate.config.explain import near

            known = sorted({key for config in runs.config for key in (*config, *flatten(config))})
            raise AblateError(f"--where {condition}: no run has a key {key!r}{near(key, known)}")
        held = [word == value for word in found]
        if not any(held):
            there = ", ".join(sorted({word for word in found if word is not None})[:8])
            raise AblateError(f"--where {condition} leaves no run: {key} is {there}")
        runs = runs[held]
    return runs


def every(frame: pandas.DataFrame) -> list[Any]:
    """The rows, each with its columns as attributes."""
    return list(frame.itertuples())


def said(config: dict[str, Any], key: str) -> str | None:
    """What a configuration says of a dotted key, as it is typed; a group is its name. None where there is no such."""
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            return None
        node = node[part]
    if isinstance(node, dict):
        node = node.get("name")
    if isinstance(node, float):
        return f"{node:g}"
    return node if isinstance(node, str) else json.dumps(node)


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A tree of keys as one level of dotted ones."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _row(run: Run) -> dict[str, Any]:
    """Raises ValueError, KeyError, TypeError or AttributeError where a field is not what it should be."""
    config, result = run.config, run.result
    git = dict(result.get("git") or {})
    texts = {key: _text(key, result.get(key)) for key in TEXTS}
    return {
        "folder": run.folder.name,
        "path": run.folder,
        "state": run.state,
        "cell": run.cell,
        "label": plain(label(config["shortcut"])),
        "shortcut": plain(str(config["shortcut"]["name"])),
        "depth": _whole("depth", config["depth"]),
        "unit": plain(str(config["unit"]["name"])),
        "data": plain(str(config["data"]["name"])),
        "recipe": plain(str(config["recipe"]["name"])),
        "seed": _whole("seed", config["seed"]),
        "evaluated_on": result.get("evaluated_on", "validation" if config["data"]["validation"] else "test"),
        **texts,
        "command": texts["command"] and re.sub(r"^\S+ \S*ablate/__main__\.py", "python -m ablate", texts["command"]),
        "threads": result.get("threads"),
        "versions": {str(name): str(version) for name, version in dict(result.get("versions") or {}).items()},
        "commit": _text("git.commit", git.get("commit")),
        "changed": bool(git.get("dirty")),
        "config": config,
        **{key: _number(key, result.get(key)) for key in NUMBERS},
    }


def _number(key: str, value: Any) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 2**53:
        raise ValueError(f"its {key} is {value!r}, which is no number")
    return float(value)


def _whole(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"its {key} is {value!r}, which is no whole number")
    return value


def _text(key: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"its {key} is {value!r}, which is no text")
    return value and plain(value)
