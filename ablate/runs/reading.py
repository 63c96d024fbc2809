"""Reads the records of all runs in a folder. Changes nothing; imports neither torch nor pandas."""

import json
import math
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

import yaml

from ablate.base.errors import AblateError
from ablate.runs import layout
from ablate.runs.identity import SCHEMA, folder_name, signature_and_cell
from ablate.runs.lock import active_lock, last_lock

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENDED = ("finished", "stopped", "diverged", "interrupted", "failed")
EVALUATED = ("finished", "stopped")
"""Statuses of runs that have a test error, weights and predictions."""
NUMBERS = (
    *("test_error", "best_test_error", "train_loss", "train_error", "parameters", "multiply_adds", "seconds"),
    *("images_per_second", "steps"),
)
"""The numbers of a result; one that a run does not have is null."""
TYPES = {
    **dict.fromkeys(NUMBERS, (int, float, NoneType)),
    **dict.fromkeys(("versions", "code"), (dict,)),
    "git": (dict, NoneType),
}
TIMES = ("seconds", "images_per_second")
"""The parts of an evaluation that differ each time a run is repeated."""
READERS, BATCH = 16, 2000
YamlLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
NOT_A_RECORD = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, yaml.YAMLError)
"""Errors that reading an incomplete or damaged record raises."""


class OtherSchema(ValueError):
    """A record was written by a version of this package with another schema."""


@dataclass(slots=True)
class Run:
    """One run. `lock` is the content of its newest lock file.

    `state`: finished, stopped (at chance), diverged, interrupted or failed (the status in result.json); running (its
    lock is active); stale (it began and no process trains it); missing (an experiment asks for it and it has not
    begun).
    """

    folder: Path
    state: str
    config: dict[str, Any]
    cell: str
    result: dict[str, Any] = field(default_factory=dict)
    lock: dict[str, Any] = field(default_factory=dict)

    @property
    def test_error(self) -> float | None:
        """Percent at the last epoch, or where the run was stopped at chance; None if it has reached neither."""
        return self.result.get("test_error")


@dataclass(slots=True)
class Runs:
    """The runs that were read, and sentences about what was left out.

    `design`: what the plans of the experiment that was asked for say of seeds=auto or tune.trials; empty without these.
    """

    runs: list[Run]
    unread: list[str]
    design: dict[str, Any] = field(default_factory=dict)


def read_runs(path: Path, experiment: str | None = None, more: Mapping[str, dict[str, Any]] | None = None) -> Runs:
    """All runs in `path` and all that its experiments ask for, or those of one experiment.

    `more` are configurations of other runs that were asked for, by folder name.

    Raises AblateError if there is no such folder or experiment, or no run at all.
    """
    if not path.is_dir():
        raise AblateError(f"{path} is not a folder: name the one that holds the runs")
    unread: list[str] = []
    plans, designs, old_plans = _read_plans(path, unread)
    if experiment is not None and experiment not in plans:
        known = f"known here: {', '.join(sorted(plans))}" if plans else "no experiment was run here"
        raise AblateError(f"no run in {path} belongs to an experiment {experiment!r}; {known}")
    asked = dict(more or {})
    for name, plan in plans.items():
        if experiment in (None, name):
            asked.update(plan)
    there = {entry.name: entry for entry in sorted(path.iterdir()) if layout.is_run(entry.name) and entry.is_dir()}
    found = Runs([], unread, designs.get(experiment or "", {}))
    shared: dict[str, dict[str, Any]] = {}  # one configuration for each cell: a hundred thousand runs fit in memory
    old_records = 0
    names = list(dict.fromkeys([*asked, *(there if experiment is None else ())]))
    for name, content in _results(names, there):
        try:
            if name in there:
                run = read_run(there[name], content)
            else:
                run = Run(path / name, "missing", asked[name], _cell(asked[name], name))
        except OtherSchema:
            old_records += 1
            continue
        except NOT_A_RECORD as error:
            reason = (str(error).splitlines() or [""])[0]
            unread.append(f"{path / name} skipped: incomplete or damaged record ({type(error).__name__}: {reason})")
            continue
        seed = run.config["seed"]
        whole = {**shared.setdefault(run.cell, run.config), "seed": seed}
        if whole == run.config:  # keys that are not in the identity may differ
            run.config = whole
        found.runs.append(run)
    found.runs = _without_copies(found.runs, unread)
    counts = ((old_records, "record"), (old_plans, "grid plan"))
    if old := [f"{count} {what}{'s' * (count > 1)}" for count, what in counts if count]:
        unread.append(f"{path}: left out {' and '.join(old)} of another version of ablate; train these runs again")
    if not found.runs:
        raise AblateError(unread[0] if unread else f"{path} holds no runs; train one first: ablate shortcut=gate")
    return found


def _without_copies(runs: list[Run], unread: list[str]) -> list[Run]:
    """One run for each signature: a copied or renamed folder is the same run, not another seed.

    Of several that exist the one is kept whose name a request would give it, and `unread` gets a sentence.
    """
    kept: dict[str, Run] = {}
    for run in runs:
        signature = run.folder.name.rpartition("-")[2]
        other = kept.setdefault(signature, run)
        if other is run:
            continue
        if other.state == "missing" or (run.state != "missing" and run.folder.name == folder_name(run.config)):
            kept[signature], run = run, other
        if run.state != "missing":
            unread.append(f"{run.folder} skipped: it is a copy of {kept[signature].folder.name}")
    return list(kept.values())


def _read_plans(
    path: Path, unread: list[str]
) -> tuple[dict[str, dict[str, dict[str, Any]]], dict[str, dict[str, Any]], int]:
    """The configurations that each experiment asks for, by folder name; its design; how many plans have another schema.

    Adds a sentence to `unread` for each plan that cannot be read.
    """
    plans: dict[str, dict[str, dict[str, Any]]] = {}
    designs: dict[str, dict[str, Any]] = {}
    old = 0
    for file in sorted((path / layout.PLANS).glob("*/*.json"), key=lambda file: file.stat().st_mtime_ns):
        asked = plans.setdefault(file.parent.name, {})
        try:
            plan = json.loads(file.read_bytes())
            if plan["schema"] == SCHEMA:
                asked |= plan["runs"]
                most = plan.get("design", {}).get("most_seeds", 3)
                if type(most) is not int or not 3 <= most <= 1000:
                    raise ValueError("its most_seeds is not 3 to 1000")
                designs.setdefault(file.parent.name, {}).update(plan.get("design", {}))
            else:  # its runs have other signatures
                old += 1
        except NOT_A_RECORD as error:
            unread.append(
                f"{file} cannot be read ({type(error).__name__}), so missing runs are not reported: run the grid's "
                "command again"
            )
    return plans, designs, old


def _results(names: list[str], there: dict[str, Path]) -> Iterator[tuple[str, bytes | None]]:
    """Each name with the content of its result.json or None; many are fetched at once, for cold disks and NFS."""

    def fetch(name: str) -> tuple[str, bytes | None]:
        try:
            return name, (there[name] / layout.RESULT).read_bytes()
        except (KeyError, OSError):
            return name, None  # `read_run` tries again and raises the error

    with ThreadPoolExecutor(READERS) as pool:
        for first in range(0, len(names), BATCH):
            yield from pool.map(fetch, names[first : first + BATCH])


def read_run(folder: Path, content: bytes | None = None) -> Run:
    """The run in one folder. Raises an error of NOT_A_RECORD if its record is incomplete or damaged."""
    try:
        result = json.loads(content or (folder / layout.RESULT).read_bytes())
    except FileNotFoundError:  # unfinished
        if not (folder / layout.CONFIG).exists():
            raise ValueError(f"it holds neither a {layout.RESULT} nor a {layout.CONFIG}") from None
        config = yaml.load((folder / layout.CONFIG).read_bytes(), Loader=YamlLoader)
        which = _cell(config, folder.name)
        active = active_lock(folder, probe=False)
        return Run(folder, "running" if active else "stale", config, which, lock=active or last_lock(folder) or {})
    if result["schema"] != SCHEMA:
        raise OtherSchema(f"its schema is {result['schema']} and this version reads {SCHEMA}: train it again")
    config = result.pop("config")
    which = _cell(config, folder.name, result["signature"])
    if result["status"] not in ENDED:
        raise ValueError(f"its status is {result['status']!r}")
    for key, types in TYPES.items():
        if type(result.get(key)) not in types:
            raise ValueError(f"its {key} is {result[key]!r}")
    if result["status"] in EVALUATED and not 0 <= result["test_error"] <= 100:
        raise ValueError(f"it is {result['status']} with a test error of {result['test_error']}")
    if result["status"] == "stopped" and type(result["stopped_at"]) is not int:
        raise ValueError(f"it is stopped at step {result['stopped_at']!r}")
    return Run(folder, result["status"], config, which, result)


def read_predictions(folder: Path) -> "NDArray[Any]":
    """The classes given to the test images and the true ones, uint8 or uint16 (2, N).

    Raises an error of NOT_A_RECORD if the file is missing or damaged.
    """
    found = read_array(folder / layout.PREDICTIONS)
    if found.ndim != 2 or len(found) != 2 or found.dtype.kind != "u":
        raise ValueError(f"{layout.PREDICTIONS} holds {found.dtype} {found.shape}")
    return found


def read_array(path: Path) -> "NDArray[Any]":
    """The array in an .npy file. Raises an error of NOT_A_RECORD if the file is missing or damaged."""
    from numpy.lib import format  # not for status

    with open(path, "rb") as file:  # numpy.load also reads zip files, and raises other errors
        try:
            readers = {(1, 0): format.read_array_header_1_0, (2, 0): format.read_array_header_2_0}
            shape, _, kind = readers[format.read_magic(file)](file)
        except Exception as error:  # numpy raises what its parser raises
            raise ValueError(f"{path.name} has no valid header") from error
        if math.prod(shape) * kind.itemsize != path.stat().st_size - file.tell():  # reading would allocate it first
            raise ValueError(f"{path.name} is not as long as its header says")
        file.seek(0)
        found: NDArray[Any] = format.read_array(file, allow_pickle=False)
    return found


def _cell(config: dict[str, Any], *recorded: str) -> str:
    """The cell of a configuration. Raises an error of NOT_A_RECORD if a `recorded` name has another signature."""
    signature, which = signature_and_cell(config)
    if not all(name.endswith(signature) for name in recorded):
        raise ValueError("its name does not end in its signature: it was made by another version, copied or edited")
    return which
