"""Every run below a folder, as its own files tell it. Changes nothing, needs neither torch nor pandas."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any

import yaml

from ablate.errors import AblateError
from ablate.runs import holder
from ablate.runs.memory import Memory, Stamp, stamp
from ablate.runs.signature import SCHEMA, cell, signature_and_cell

ENDED = ("finished", "diverged", "interrupted", "failed")
PLANS = "_grids"
NUMBERS = (
    "test_error",
    "best_test_error",
    "train_loss",
    "train_error",
    "parameters",
    "multiply_adds",
    "seconds",
    "images_per_second",
    "steps",
)
"""What a result says in numbers; one that it does not have is null."""
TIMES = ("seconds", "images_per_second")
"""What an evaluation says of the clock: all else of it is the same whenever the run is run again."""
READERS, BATCH = 16, 2000
YamlLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Run:
    """One run. `state`: finished, diverged, interrupted, failed (result.json says so), running (its holder lives),
    stale (it began, and nobody is at it), missing (an experiment asks for it). `card` is what the holder last said."""

    folder: Path
    state: str
    config: dict[str, Any]
    cell: str
    result: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Runs:
    """What was read, and a sentence for each folder that is no whole record."""

    runs: list[Run]
    unread: list[str]


def read_runs(path: Path, experiment: str | None = None) -> Runs:
    """All runs below `path` and all that its experiments ask for, or those of one experiment.

    Raises AblateError where there is no such folder or experiment, or no run at all.
    """
    if not path.is_dir():
        raise AblateError(f"{path} is not a folder: name the one that holds the runs")
    unread: list[str] = []
    plans = read_plans(path, unread)
    if experiment is not None and experiment not in plans:
        known = f"known here: {', '.join(plans)}" if plans else "no experiment was run here"
        raise AblateError(f"no run in {path} belongs to an experiment {experiment!r}; {known}")
    asked = {}
    for name, plan in plans.items():
        if experiment in (None, name):
            asked.update(plan)
    there = {entry.name: entry for entry in sorted(path.iterdir()) if not _apart(entry.name) and entry.is_dir()}
    found = Runs([], unread)
    memory = Memory(path)
    shared: dict[str, dict[str, Any]] = {}  # one configuration a cell: a hundred thousand runs fit in memory
    names = list(dict.fromkeys([*asked, *(there if experiment is None else ())]))
    for name, now, content in _results(names, there, memory):
        try:
            if remembered := memory.get(name, now):
                run = Run(there[name], *remembered)
            elif name in there:
                run = read_run(there[name], content)
                memory.put(name, now, run.state, run.config, run.cell, run.result)
            else:
                _check_config(asked[name])
                run = Run(path / name, "missing", asked[name], cell(asked[name]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
            reason = (str(error).splitlines() or [""])[0]
            found.unread.append(f"{path / name} is left out, no whole record: {type(error).__name__}: {reason}")
            continue
        seed = run.config["seed"]
        run.config = {**shared.setdefault(run.cell, run.config), "seed": seed}
        found.runs.append(run)
    memory.save()
    if not found.runs:
        what = found.unread[0] if found.unread else f"{path} holds no runs"
        raise AblateError(f"{what}; train one first: python -m ablate shortcut=gate")
    return found


def _apart(name: str) -> bool:
    """Whether a folder beside the runs is none of them."""
    return name.startswith(".") or name in (PLANS, "_aside", "_jobs")


def read_plans(path: Path, unread: list[str] | None = None) -> dict[str, dict[str, dict[str, Any]]]:
    """What each experiment asks for: its runs' configurations by folder, in its order.

    A sentence for each request that cannot be read is added to `unread`.
    """
    return dict(_plans(path, [] if unread is None else unread))


def _plans(path: Path, unread: list[str]) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    for folder in sorted(entry for entry in (path / PLANS).glob("*") if entry.is_dir()):
        asked: dict[str, dict[str, Any]] = {}
        for file in sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime_ns):
            try:
                runs = json.loads(file.read_text())["runs"]
                asked |= {str(name): dict(config) for name, config in runs.items() if cell(config)}
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                unread.append(
                    f"{file} cannot be read ({type(error).__name__}), so what it asked for and is missing is not told: "
                    "give the grid's command again"
                )
        yield folder.name, asked


def _results(
    names: list[str], there: dict[str, Path], memory: Memory
) -> Iterator[tuple[str, Stamp | None, bytes | None]]:
    """Each name with the stamp of its result.json, if it has one, and its bytes, if they are not known already.

    Many are fetched at once, from a cold disk or NFS.
    """

    def fetch(name: str) -> tuple[str, Stamp | None, bytes | None]:
        if name not in there:
            return name, None, None
        file = there[name] / "result.json"
        try:
            before = stamp(file)
            return name, before, None if memory.get(name, before) else file.read_bytes()
        except OSError:
            return name, None, None  # `read_run` asks again, and says what is wrong

    with ThreadPoolExecutor(READERS) as pool:
        for first in range(0, len(names), BATCH):
            yield from pool.map(fetch, names[first : first + BATCH])


def read_run(folder: Path, content: bytes | None = None) -> Run:
    """The run in one folder. Raises OSError, ValueError, KeyError or the like where it is no whole record."""
    try:
        result = json.loads(content or (folder / "result.json").read_bytes())
    except FileNotFoundError:  # under way, or killed
        if not (folder / "config.yaml").exists():
            raise ValueError("it holds neither a result.json nor a config.yaml") from None
        config = yaml.load((folder / "config.yaml").read_bytes(), Loader=YamlLoader)
        which = _verified(config, folder)
        alive = holder.living(folder, probe=False)
        card = alive or holder.last(folder) or {}
        return Run(folder, "running" if alive else "stale", config, which, card=card)
    if result["schema"] != SCHEMA:
        raise ValueError(f"its schema is {result['schema']}, where this version reads {SCHEMA}; train it again")
    config = result.pop("config")
    which = _verified(config, folder, result["signature"])
    if result["status"] not in ENDED:
        raise ValueError(f"its status is {result['status']!r}")
    for key in NUMBERS:
        if not (result.get(key) is None or _is_number(result[key])):
            raise ValueError(f"its {key} is {result[key]!r}, no number")
    for key in ("git", "versions"):
        if not isinstance(result.get(key), (dict, NoneType)):
            raise ValueError(f"its {key} is {result[key]!r}")
    if result["status"] == "finished" and not 0 <= result["test_error"] <= 100:
        raise ValueError(f"it is finished with a test error of {result['test_error']}")
    return Run(folder, result["status"], config, which, result)


def _verified(config: dict[str, Any], folder: Path, said: str | None = None) -> str:
    """The cell of a configuration that has all that is read of one, and whose signature is the folder's and `said`."""
    _check_config(config)
    signature, which = signature_and_cell(config)
    if signature != (said or signature):
        raise ValueError("its configuration does not have its signature")
    if not folder.name.endswith(signature):
        raise ValueError("its name does not end in its signature: it is a copy, or was renamed or edited")
    return which


def _check_config(config: dict[str, Any]) -> None:
    """Raise KeyError, TypeError or ValueError where a configuration lacks what status and report read of it."""
    numbers = {"seed": config["seed"], "depth": config["depth"], "recipe.batch": config["recipe"]["batch"]}
    for key, value in (numbers | {"data.validation": config["data"]["validation"]}).items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"its {key} is {value!r}, no whole number")
    for group in ("shortcut", "unit", "data", "recipe"):
        if not isinstance(config[group]["name"], (str, int, float)):
            raise ValueError(f"its {group}.name is {config[group]['name']!r}, no word")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
