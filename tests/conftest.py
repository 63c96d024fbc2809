"""What the tests share: composing a configuration, and asking the command line, in this process or in its own."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: the suite's processes share few cores

import copy
import functools
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
import yaml

import ablate
from ablate.config.resolve import from_overrides
from ablate.config.schema import Config
from ablate.grid import launcher
from ablate.runs import attempt
from ablate.runs.code import code
from ablate.runs.identity import SCHEMA, folder_name, signature
from ablate.runs.record import Record
from tests.waiting import LIMIT

# The checkout under test comes first, wherever an installed `ablate` may point.
ROOT = str(Path(ablate.__file__).resolve().parents[1])
SPREAD = (0.0, 0.3, 0.1, 0.4, 0.2, 0.6, 0.5, 0.1, 0.3, 0.2)
"""Of the errors over seeds, the same for each row, with another sign in all but the identity."""
OWN = ("HYDRA_FULL_ERROR", "ABLATE_TRACEBACK", "ABLATE_WORKERS", "ABLATE_DATA")


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit status and both streams."""

    status: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def width_of_no_terminal(monkeypatch):
    """The workers of pytest set COLUMNS, which a console takes for its width."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(scope="session")
def resolve() -> Callable[..., Config]:
    """The configuration that the command line would run: `resolve("depth=8", "shortcut=gate")`."""
    composed: dict[tuple[str, ...], Config] = {}  # composing takes 50 ms

    def made(*overrides: str) -> Config:
        if any("_target_" in word or "data.root" in word for word in overrides):  # it depends on files
            return from_overrides(*overrides)
        if overrides not in composed:
            composed[overrides] = from_overrides(*overrides)
        return copy.deepcopy(composed[overrides])

    return made


@pytest.fixture(scope="session")
def record(resolve) -> Callable[..., Record]:
    """The run that the command line would carry out: `record("depth=8", "results=/tmp/runs")`."""
    return lambda *overrides: Record(resolve(*overrides))


@pytest.fixture
def ask(tmp_path, monkeypatch, capsys) -> Callable[..., Outcome]:
    """What `ablate depth=8` does, without a process of its own, in an empty folder: `ask("depth=8")`.

    Results go to tmp_path/runs unless the arguments say otherwise.
    """
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def run(*arguments: str) -> Outcome:
        from ablate.__main__ import main

        command = arguments[:1] and "=" not in arguments[0] and arguments[0][0] not in "-+~"
        given = command or any(argument.startswith("results=") for argument in arguments)
        words = [] if command else ["threads=1"]
        words += [] if given else [f"results={tmp_path / 'runs'}"]
        with monkeypatch.context() as patch:
            for name in OWN:  # set first, so that the patch knows of it and undoes what `main` sets
                patch.setenv(name, "")
                patch.delenv(name)
            patch.chdir(elsewhere)
            patch.setattr(sys, "argv", ["ablate", *arguments, *words])
            capsys.readouterr()
            handler = signal.getsignal(signal.SIGINT)
            try:
                status = main()
            except SystemExit as end:
                status = end.code
            finally:
                signal.signal(signal.SIGINT, handler)
        said = capsys.readouterr()
        return Outcome(int(status or 0), said.out, said.err)

    return run


@pytest.fixture
def process(tmp_path) -> Callable[..., Outcome]:
    """What `ablate depth=8` does, for real, in tmp_path: `process("ablate", "depth=8")`."""

    def run(module: str, *arguments: str, path: Path | None = None, **environment: str) -> Outcome:
        kept = {key: value for key, value in os.environ.items() if key not in OWN}
        paths = os.pathsep.join([*([str(path)] if path else []), ROOT])
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=tmp_path,
            env={**kept, "PYTHONPATH": paths, **environment},
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def no_torch(tmp_path) -> Path:
    """A folder to put first on the path: whoever imports torch from it ends with status 99."""
    package = tmp_path / "poison" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import os\nos._exit(99)\n")
    return package.parent


@pytest.fixture(scope="session")
def strict_json() -> Callable[[str], object]:
    """Parses JSON and refuses NaN and Infinity, which Python's parser lets through."""

    def refuse(word: str) -> object:
        raise ValueError(f"{word} is not JSON")

    return lambda text: json.loads(text, parse_constant=refuse)


@pytest.fixture
def write(writer, tmp_path):
    """Writes a run's folder in tmp_path/runs from overrides (or a configuration's tree) and results; returns it."""
    return writer(tmp_path / "runs")


@pytest.fixture(scope="session")
def writer(resolve):
    """`writer(folder)` is a `write` for another folder of runs."""
    return lambda runs: functools.partial(_write, resolve, runs)


def _write(resolve, runs, *overrides, tree=None, ended=True, **results):
    if tree is None:  # a seed is set without composing, which takes 50 ms
        seeds = [word for word in overrides if word.startswith("seed=")]
        tree = asdict(resolve(*(word for word in overrides if word not in seeds)))
        for word in seeds:
            tree["seed"] = int(word.removeprefix("seed="))
    folder = runs / folder_name(tree)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(tree))
    error = results.get("test_error")
    result = {
        **{"schema": SCHEMA, "signature": signature(tree), "config": tree, "status": "finished"},
        **{"test_error": None, "best_test_error": error, "train_loss": 0.5, "train_error": 1.0},
        **{"parameters": 75_002, "multiply_adds": 747_136, "seconds": 10.0, "images_per_second": 100.0},
        **{"seed": tree["seed"], "device": "cpu", "device_type": "cpu", "cpu": "A CPU", "precision": "float32"},
        **{"versions": {"torch": "2.9.0"}, "code": results.get("code") or code(tree), "git": None},
        "evaluated_on": "test",
        **results,
    }
    if ended:
        (folder / "result.json").write_text(json.dumps(result))
    return folder


@pytest.fixture
def trained(monkeypatch, writer, tmp_path):
    """The runs that were asked for, stage by stage, as (shortcut, seed): `trained(identity=5.0, gate=9.0)`.

    Each row has its mean error, or a function of the configuration; a row of None diverges. With `leave` the runs
    continue elsewhere, as on a cluster.
    """

    def make(leave=False, **errors):
        stages = []

        def carry_out(self, records):
            stages.append(sorted((record.tree["shortcut"]["name"], record.config.seed) for record in records))
            for record in records:
                row, seed = record.tree["shortcut"]["name"], record.config.seed
                mean = errors[row](record.config) if callable(errors[row]) else errors[row]
                sign = 1 if row == "identity" else -1
                end = {"status": "diverged"} if mean is None else {"test_error": round(mean + sign * SPREAD[seed], 2)}
                on = "validation" if record.config.data.validation else "test"
                writer(tmp_path / "runs")(tree=record.tree, evaluated_on=on, **end)
            return None if leave else [attempt.Outcome() for _ in records]

        monkeypatch.setattr(launcher.SerialLauncher, "carry_out", carry_out)
        return stages

    return make


@pytest.fixture
def of():
    """The runs of a row: `of("gate", 0, 1)`."""
    return lambda row, *seeds: [(row, seed) for seed in seeds]
