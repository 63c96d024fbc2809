"""Records as a data frame, one row for each run. A record that cannot be read is named and left out."""

import math
import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import pandas
from pandas import DataFrame, Series

from ablate.base.errors import AblateError
from ablate.base.terminal import plain
from ablate.report.keys import is_value, key_and_value, typed, without
from ablate.runs import layout
from ablate.runs.naming import label, network
from ablate.runs.reading import EVALUATED, NUMBERS, READERS, Run, read_runs
from ablate.runs.record import DONE, last_evaluation
from ablate.training.chance import Chance

WORTH = (*DONE, "running")
"""States of a run that has a result or may still get one."""
TEXTS = (
    *("reason", "evaluated_on", "device", "device_type", "cpu", "precision", "host"),
    *("started", "ended", "command"),
)
COMPUTED = ("device_type", "precision", "versions")
TEXT_COLUMNS = (*TEXTS, "commit")


class Records(NamedTuple):
    """`runs`: one row for each run, with the columns of `load`. `unread`: a sentence for each record left out.

    `design`: what the experiment's plans say of seeds=auto or tune.trials; empty without these.
    """

    runs: DataFrame
    unread: list[str]
    design: dict[str, Any]


def load(path: str | PathLike[str], experiment: str | None = None) -> DataFrame:
    """Every run below `path` and every run that its experiments ask for, or those of one experiment; one row each.

    | column | content |
    |---|---|
    | folder, path | the name and the path of the run's folder |
    | state | as of `ablate.runs.reading.Run` |
    | cell | the hash of the configuration without the seed, which is the same for all seeds |
    | label | the shortcut with its parameters |
    | shortcut, depth, net, unit, data, recipe, seed | from the configuration |
    | test_error, best_test_error | percent, at the last epoch that was trained and at the best epoch |
    | train_loss, train_error | means over the last epoch; percent |
    | at_chance | whether both errors and the loss of training are those of guessing; False for early records |
    | parameters, multiply_adds | of the network; multiply-adds for one image |
    | seconds, images_per_second, steps | wall-clock time of the run; training speed; iterations |
    | evaluated_on | test, or validation: held out of the training images |
    | device, device_type, cpu, precision, threads, host, versions | what computed it; device_type is cpu, cuda or mps |
    | parts | of a batch, each in a process and normalised by itself: '1', '2', or '1 and 2' if sessions differ |
    | code | the hashes of the sources that decide the numbers, a dict; see `ablate.runs.code` |
    | sessions | each continuation of the run: its `code`, device_type, precision and versions, a list of dicts |
    | commit, changed | of the source; whether it had uncommitted changes |
    | predictions | whether the classes given to the test images are in the folder |
    | started, ended, command, reason | in UTC; the command line; why the run did not finish |
    | config | the whole resolved configuration, a dict |

    Missing numbers are NaN, missing texts None. Raises AblateError if `path` holds no run or no such experiment.
    Records that cannot be read are left out; `read` names them.
    """
    return read(path, experiment).runs


def read(path: str | PathLike[str], experiment: str | None = None) -> Records:
    """As `load`, with a sentence for each record that is left out."""
    found = read_runs(Path(path), experiment)
    rows, unread = [], list(found.unread)
    with ThreadPoolExecutor(READERS) as pool:  # for cold disks and NFS
        contradictions = list(pool.map(_contradiction, found.runs))
    codes: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}  # one for all runs that share it
    for run, contradiction in zip(found.runs, contradictions, strict=True):
        try:
            row = _row(run)
            if contradiction:
                unread.append(f"{run.folder} skipped: {contradiction}")
                continue
            for part in (row, *row["sessions"]):
                part["code"] = codes.setdefault(tuple(part["code"].items()), part["code"])
            rows.append(row)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            unread.append(f"{run.folder} skipped: incomplete or damaged record ({type(error).__name__}: {error})")
    if not rows:
        raise AblateError(f"{unread[0]}; train one first: ablate shortcut=gate")
    frame = DataFrame(rows)
    for key in TEXT_COLUMNS:  # pandas would make a missing text NaN, which is true
        frame[key] = Series([row[key] for row in rows], dtype=object)
    return Records(frame, unread, found.design)


def begun(path: Path, experiment: str) -> Records | None:
    """What is there of an experiment; None if nothing is, or no plan of it can be read."""
    if not (path / layout.PLANS / experiment).is_dir():
        return None
    try:
        return read(path, experiment)
    except AblateError:
        return None


def read_all(paths: Sequence[Path], experiment: str | None = None) -> Records:
    """As `read`, of several folders together. A run in two of them is taken from the first that has begun it."""
    found = [read(path, experiment) for path in paths]
    unread = [sentence for one in found for sentence in one.unread]
    design = next((one.design for one in found if one.design), {})
    if any(one.design not in ({}, design) for one in found):
        raise AblateError(f"{experiment} has different plans in these folders: report them one at a time")
    runs = pandas.concat([one.runs for one in found], ignore_index=True)
    runs = runs.sort_values("state", key=lambda state: state == "missing", kind="stable")
    signatures = runs.folder.str.rpartition("-")[2]  # a renamed copy is the same run
    used = runs[~signatures.duplicated()].set_index(signatures[~signatures.duplicated()])
    for run in rows_of(runs[signatures.duplicated() & (runs.state != "missing")]):
        first = used.loc[run.folder.rpartition("-")[2]]
        if run.state != first.state or (run.state in EVALUATED and run.test_error != first.test_error):
            unread.append(f"{run.path} has another result than {first.path}, which is used")
    return Records(used.reset_index(drop=True), unread, design)


def without_superseded(runs: DataFrame) -> tuple[DataFrame, list[str]]:
    """`runs` without those of custom code that never gave a result and has been edited since, and a sentence for each
    cell of them.
    """
    facts = runs[["cell", "label", "folder"]].assign(request=runs.config.map(request), worth=runs.state.isin(WORTH))
    old = ~facts.groupby("cell").worth.transform("any") & facts.groupby("request").worth.transform("any")
    sentences = [
        f"{len(rows)} run{'s' * (len(rows) > 1)} of {rows.label.iloc[0]} left out: its code has been edited since, and "
        f"they gave no result ({rows.folder.iloc[0]}{' and more' * (len(rows) > 1)})"
        for _, rows in facts[old].groupby("cell", sort=False)
    ]
    return runs[~old].reset_index(drop=True), sentences


def request(config: dict[str, Any]) -> str:
    """What configurations have in common that differ in nothing but the seed and the sources of custom code."""
    return without(config, "shortcut.source", "unit.source", "net.source")


def where(runs: DataFrame, conditions: list[str]) -> DataFrame:
    """The runs for which every KEY=VALUE of `conditions` holds. Raises AblateError if there are none."""
    for condition in conditions:
        key, value = key_and_value("--where", condition)
        chosen = [is_value(config, key, value) for config in runs.config]
        if not any(chosen):
            values = [typed(config, key) for config in runs.config]
            known = sorted({word for word in values if word is not None})
            if not known:
                raise AblateError(f"--where {condition}: no run has a key {key!r}; keys are dotted, as in recipe.batch")
            raise AblateError(f"--where {condition} leaves no run: {key} is {', '.join(known[:8])}")
        runs = runs[chosen]
    return runs


def rows_of(frame: DataFrame) -> list[Any]:
    """The rows, each with its columns as attributes."""
    return list(frame.itertuples())


def _contradiction(run: Run) -> str:
    """How a run's last evaluation contradicts its result; empty if it does not, or if one of them has no error."""
    if run.state not in EVALUATED:
        return ""
    try:
        last = last_evaluation(run.folder)
    except OSError:
        return ""
    step = run.result.get("stopped_at", run.result.get("steps"))
    error = None if last is None or last["step"] != step else last.get("test_error")
    if error in (None, run.test_error):
        return ""
    return f"{layout.RESULT} has a test error of {run.test_error} % and {layout.METRICS} one of {error} %"


def _row(run: Run) -> dict[str, Any]:
    """Raises ValueError, KeyError, TypeError or AttributeError if a field is of the wrong kind."""
    config, result = run.config, run.result
    git = result.get("git") or {}
    texts = {key: _text(key, result.get(key)) for key in TEXTS}
    return {
        "folder": run.folder.name,
        "path": run.folder,
        "state": run.state,
        "cell": run.cell,
        "label": plain(label(config["shortcut"])),
        "unit": plain(label(config["unit"])),
        "net": plain(network(config)),
        "depth": config["depth"],
        **{group: plain(str(config[group]["name"])) for group in ("shortcut", "recipe")},
        "data": plain(_data(config["data"])),
        "seed": config["seed"],
        **texts,
        "at_chance": _at_chance(result),
        "evaluated_on": texts["evaluated_on"] or ("validation" if config["data"]["validation"] else "test"),
        "command": texts["command"] and _typed_command(texts["command"]),
        "threads": _number("threads", result.get("threads")),
        "parts": _parts(config, result),
        "versions": {str(name): str(version) for name, version in (result.get("versions") or {}).items()},
        "code": {str(name): str(hashed) for name, hashed in result.get("code", {}).items()},
        "sessions": [
            {"code": session.get("code") or result.get("code", {}), **{key: session.get(key) for key in COMPUTED}}
            for session in result.get("sessions") or [{}]
        ],
        "predictions": bool(result.get("predictions")),
        "commit": _text("git.commit", git.get("commit")),
        "changed": bool(git.get("dirty")),
        "config": config,
        **{key: _number(key, result.get(key)) for key in NUMBERS},
    }


def _data(data: Mapping[str, Any]) -> str:
    """The dataset's name, with the size to which its images were reduced."""
    side = data.get("size") if data["name"] != "imagenet" else None
    return f"{data['name']} {side}x{side}" if side else str(data["name"])


def _at_chance(result: Mapping[str, Any]) -> bool:
    chance = result.get("chance")
    if not chance:
        return False
    loss, *errors = (_number(key, result.get(key)) for key in ("train_loss", "train_error", "test_error"))
    return Chance(**chance).holds(loss, min(errors))  # with dropout, training alone may be at chance


def _parts(config: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Into how many parts batch normalisation divides a batch: '1', '2', or '1 and 2' if the sessions differ."""
    if config.get("sync_batch_norm") or result.get("normalised_over", 0) is None:
        return "1"
    sessions = result.get("sessions") or []
    counts = sorted({int(_number("processes", session.get("processes", 1))) for session in sessions})
    return " and ".join(map(str, counts)) or "1"


def _typed_command(command: str) -> str:
    """A recorded command as typed: early records have the interpreter and the path of the program before the words."""
    try:
        _, program, *words = shlex.split(command)
    except ValueError:
        return command
    path = Path(program)
    if path.is_absolute() and path.parts[-2:] == ("ablate", "__main__.py"):
        return shlex.join(["python", "-m", "ablate", *words])
    return shlex.join(["ablate", *words]) if path.is_absolute() and path.name == "ablate" else command


def _number(key: str, value: float | None) -> float:
    if value is None:
        return float("nan")
    most = math.inf if key == "train_loss" else 2**53  # a run with a finite loss has not diverged
    if not abs(value) < most:
        raise ValueError(f"its {key} is {value!r}")
    return float(value)


def _text(key: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"its {key} is {value!r}, not text")
    return value and plain(value)
