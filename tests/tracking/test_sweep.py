"""W&B sweeps: their files, their agent, and runs under the id that a sweep gives."""

import os
import re
import sys
from pathlib import Path

import pytest
import yaml

from ablate.tracking.facts import FINAL
from tests.tracking.conftest import metrics, result, shown

SWEEPS = Path(__file__).parents[2] / "ablate" / "tracking" / "sweeps"
SMALL = {"depth": 8, "epochs": 1, "threads": 1, "results": "runs", "shortcut": "gate", "seed": 0}


@pytest.mark.long
def test_agent_gives_its_job_a_run(process, server, folder, tmp_path):
    config = yaml.safe_load((SWEEPS / "shortcuts.yaml").read_text())
    config["parameters"] |= {key: {"value": value} for key, value in SMALL.items()}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(config))
    # The agent takes `python` from its PATH.
    environment = {**server.environment, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    made = process("wandb", "sweep", "sweep.yaml", **environment)
    assert made.status == 0, made.err
    path = re.search(r"wandb agent (\S+)", made.err)[1]
    agent = process("wandb", "agent", path, **environment)
    assert agent.status == 0, agent.err
    assert server.unknown == []
    (run,) = server.runs.values()
    assert run.id == f"{path.rpartition('/')[2]}run0"
    assert (run.asked["sweep"], run.project, run.state) == (path.rpartition("/")[2], "ablate", "finished")
    assert shown(run.history) == metrics(folder("-gate-"))
    assert run.summary["test_error"] == result(folder("-gate-"))["test_error"]


def test_trained_run_is_shown_under_the_id_of_a_sweep(ask, tracked, sync, server, folder):
    assert ask("depth=8", "iterations=2").status == 0
    trained = result(folder())
    assert tracked("depth=8", "iterations=2", server=server, WANDB_SWEEP_ID="sweep", WANDB_RUN_ID="given") == 0
    assert result(folder()) == trained
    (run,) = server.runs.values()
    assert (run.id, run.asked["sweep"], run.state) == ("given", "sweep", "finished")
    assert shown(run.history) == metrics(folder())
    # W&B has it under the sweep's id: nothing is left to send.
    assert "1 records, 0 unfinished, 0 to send" in sync(server).out


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
