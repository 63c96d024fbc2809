"""Commands against a stand-in server, and what a record, the server and wandb's own files say of a run."""

import json
import os
import socket
import subprocess
import sys

import pytest

from tests.waiting import LIMIT


@pytest.fixture(scope="session")
def nowhere():
    """An address where nobody listens, and nobody will: the port is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def begin(tmp_path, nowhere):
    """`python -m MODULE WORDS` in an empty folder, against `server` if one is given; without one there is no key."""
    (tmp_path / "home").mkdir()

    def start(*words, server=None, module="ablate", **environment):
        kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
        return subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=tmp_path,
            env={
                **kept,
                "HOME": str(tmp_path / "home"),
                "PYTHONPATH": os.pathsep.join(sys.path),
                "WANDB_BASE_URL": nowhere,
                **(server.environment if server else {}),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def ablate(begin):
    """The same, to its end."""

    def run(*words, **options):
        process = begin(*words, **options)
        try:
            out, err = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture
def record(tmp_path):
    """The one record there is, or the named one."""

    def find(runs="runs", word=""):
        (folder,) = (path for path in (tmp_path / runs).iterdir() if path.name[0] not in "_." and word in path.name)
        return folder

    return find


def metrics(folder, without=()):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in without} for line in lines]


def result(folder):
    return json.loads((folder / "result.json").read_text())


def own(row):
    """A row of a history without what wandb adds."""
    return {key: value for key, value in row.items() if key[0] != "_"}


def shown(run):
    """A run's history as the server has it."""
    return [own(row) for row in run.history]


def on_disk(folder):
    """What wandb's own reader finds in the folder of an offline run."""
    answer = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--json", folder], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    found = {"history": [], "summary": {}}
    for record in map(json.loads, answer.stdout.splitlines()):
        if record["type"] == "history":
            found["history"].append(record["history"]["item"])
        elif record["type"] == "summary":
            found["summary"] |= record["summary"]["update"]
        elif record["type"] == "run":
            found |= {"run": record["run"]["run_id"], "config": record["run"]["config"]["update"]}
    return found
