"""W&B's own agent runs the sweep files: each of its jobs is one W&B run under the agent's id."""

import os
import re
import sys
from pathlib import Path

import yaml

from ablate.tracking.facts import FINAL
from tests.tracking.conftest import metrics, result, shown

SWEEPS = Path(__file__).parents[2] / "ablate" / "tracking" / "sweeps"
SMALL = {"depth": {"value": 8}, "epochs": {"value": 2}, "threads": {"value": 1}, "results": {"value": "runs"}}


def test_agent_gives_a_run_for_each_job(ask, process, sync, server, folder, tmp_path):
    # One of the two is trained already, and was not tracked.
    assert ask("shortcut=gate", "depth=8", "epochs=2").status == 0
    trained = result(folder("gate"))
    config = yaml.safe_load((SWEEPS / "shortcuts.yaml").read_text())
    config["parameters"] |= SMALL | {"shortcut": {"values": ["identity", "gate"]}, "seed": {"values": [0]}}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(config))
    # The agent takes `python` from its PATH.
    environment = {**server.environment, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    made = process("wandb", "sweep", "sweep.yaml", **environment)
    assert made.status == 0, made.err
    path = re.search(r"wandb agent (\S+)", made.err)[1]
    agent = process("wandb", "agent", path, **environment)
    assert agent.status == 0, agent.err
    assert result(folder("gate")) == trained
    assert server.unknown == []
    id = path.rpartition("/")[2]
    assert set(server.runs) == {f"{id}run0", f"{id}run1"}
    for run, name in zip(server.runs.values(), ("identity", "gate"), strict=True):
        assert run.asked["sweep"] == id
        assert run.project == "ablate"
        assert run.config["shortcut"] == name
        assert shown(run.history) == metrics(folder(f"-{name}-"))
        assert run.summary["test_error"] == result(folder(f"-{name}-"))["test_error"]
        assert run.state == "finished"
    # W&B has both under the agent's ids: nothing is left to send.
    assert "2 records, 0 unfinished, 0 to send" in sync(server).out
    assert len(server.runs) == 2


def test_search_for_the_bias_is_a_valid_command(ask):
    config = yaml.safe_load((SWEEPS / "bias.yaml").read_text())
    assert config["metric"]["name"] in FINAL
    bias = config["parameters"].pop("shortcut.bias_init")
    fixed = [f"{key}={given['value']}" for key, given in config["parameters"].items()]
    *before, last = config["command"]
    assert (before[:4], last) == (["${env}", "python", "-m", "${program}"], "${args_no_hyphens}")
    for end in (bias["min"], bias["max"]):
        done = ask(*before[4:], *fixed, f"shortcut.bias_init={end}", "dry_run=true")
        assert done.status == 0, done.err
        assert f"gate bias_init={end:g}, depth 56" in done.out
