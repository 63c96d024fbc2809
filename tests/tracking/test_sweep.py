"""W&B's own agent, given the sweep files, drives the harness: each of its jobs is one W&B run under the agent's id."""

import os
import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.tracking.conftest import metrics, result, shown
from tests.tracking.wandb_server import Server

SWEEPS = Path(__file__).parents[2] / "ablate" / "tracking" / "sweeps"
SMALL = {"depth": {"value": 8}, "epochs": {"value": 2}, "threads": {"value": 1}, "results": {"value": "runs"}}


@pytest.fixture
def sweep(ablate, tmp_path):
    """`wandb sweep` of one of the files, with other parameters, and `wandb agent` as it says; gives the sweep's id."""

    def run(name, server, **parameters):
        config = yaml.safe_load((SWEEPS / name).read_text())
        config["parameters"] |= SMALL | parameters
        (tmp_path / name).write_text(yaml.safe_dump(config))
        # The agent's `python` is the one of the PATH, and so that of these tests.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        made = ablate("sweep", name, server=server, module="wandb", PATH=path)
        assert made.returncode == 0, made.stderr
        path_of_sweep = re.search(r"wandb agent (\S+)", made.stderr)[1]
        agent = ablate("agent", path_of_sweep, server=server, module="wandb", PATH=path)
        assert agent.returncode == 0, agent.stderr
        return path_of_sweep.rpartition("/")[2]

    return run


def test_a_grid_gives_a_run_for_each_job(ablate, record, sweep):
    with Server() as server:
        # One of the two is trained already, and never was on W&B.
        assert ablate("shortcut=gate", "depth=8", "epochs=2", "threads=1", "results=runs").returncode == 0
        trained = result(record(word="gate"))
        id = sweep("shortcuts.yaml", server, shortcut={"values": ["identity", "gate"]}, seed={"values": [0]})
        assert result(record(word="gate")) == trained
        assert server.unknown == []
        assert set(server.runs) == {f"{id}run0", f"{id}run1"}
        for run, name in zip(server.runs.values(), ("identity", "gate"), strict=True):
            assert run.asked["sweep"] == id
            assert run.project == "ablate"
            assert run.config["shortcut"] == name
            assert shown(run) == metrics(record(word=f"-{name}-"))
            assert run.summary["test_error"] == result(record(word=f"-{name}-"))["test_error"]
            assert run.state == "finished"
        # They are there, under those ids: nothing is left to send.
        done = ablate("runs", server=server, module="ablate", "sync")
        assert "2 records, 0 under way, 0 to send" in done.stdout
        assert len(server.runs) == 2


def test_a_search_sets_the_bias_and_is_told_the_error(sweep, tmp_path):
    with Server() as server:
        sweep("bias.yaml", server)
    shown = {run.config["config"]["shortcut"]["bias_init"]: run.summary["test_error"] for run in server.runs.values()}
    trained = [result(folder) for folder in (tmp_path / "runs").iterdir()]
    assert shown == {run["config"]["shortcut"]["bias_init"]: run["test_error"] for run in trained}
    assert set(shown) == {-8.0, 0.0}
