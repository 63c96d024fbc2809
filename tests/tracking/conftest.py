"""Runs with tracker=wandb against a stand-in server, and what the record, the server and wandb's files say of them."""

import json
import os
import socket
import subprocess
import sys

import pytest

from ablate.tracking import follower
from tests.tracking.wandb_server import Server


@pytest.fixture(scope="session")
def nowhere():
    """An address that refuses connections: its port is taken by a socket that does not listen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path, nowhere):
    """No settings of the user's own, no key, and no server unless a test names one."""
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_BASE_URL", nowhere)


@pytest.fixture
def messages(monkeypatch):
    """What followers in this process print."""
    printed = []
    monkeypatch.setattr(follower, "say", lambda text, *, error: printed.append(text))
    return printed


@pytest.fixture
def start(ask, monkeypatch, messages):
    """`ablate WORDS tracker=wandb` in this process; gives its exit status, and the follower to close as at exit.

    `own` is the follower of an earlier command, if both are to have one W&B process.
    """

    def run(*words, server=None, own=None, **environment):
        own = own or follower.Follower()
        with monkeypatch.context() as patch:
            for name, value in {**(server.environment if server else {}), **environment}.items():
                patch.setenv(name, value)
            patch.setitem(follower._trackers, "wandb", own)
            return ask(*words, "tracker=wandb").status, own

    return run


@pytest.fixture
def tracked(start):
    """`ablate WORDS tracker=wandb` in this process to its end; gives its exit status."""

    def run(*words, **options):
        status, own = start(*words, **options)
        own.close()
        return status

    return run


@pytest.fixture
def sync(process):
    """`ablate sync runs WORDS` against a server."""
    return lambda server, *words: process("ablate", "sync", "runs", *words, **server.environment)


@pytest.fixture
def folder(tmp_path):
    """The folder of the only run in runs/, or of the one with `word` in its name."""

    def find(word=""):
        paths = (tmp_path / "runs").iterdir()
        (found,) = (path for path in paths if path.name[0] not in "_." and word in path.name)
        return found

    return find


@pytest.fixture
def server():
    with Server() as server:
        yield server


def metrics(folder, without=()):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in without} for line in lines]


def result(folder):
    return json.loads((folder / "result.json").read_text())


def shown(history):
    """A run's history without the keys that wandb adds."""
    return [{key: value for key, value in row.items() if key[0] != "_"} for row in history]


def on_disk(folder):
    """What wandb's own reader finds in the files of the run's only offline session."""
    (kept,) = (folder / "wandb").glob("offline-run-*")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", kept]
    answer = subprocess.run(command, capture_output=True, text=True)
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
