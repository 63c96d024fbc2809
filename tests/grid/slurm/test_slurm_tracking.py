"""A grid as a job array on a real SLURM, shown on W&B by its tasks: a W&B run for each."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.grid.slurm.conftest import Site
from tests.grid.slurm.slurm_cluster import PATH, PROGRAMS, Cluster
from tests.tracking.conftest import metrics, shown
from tests.tracking.wandb_server import Server
from tests.waiting import until

missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(bool(missing), reason=f"no SLURM on this machine: {', '.join(missing)} not found"),
]


@pytest.fixture
def cluster():
    # A socket's path must be short, and pytest's folders are not.
    with tempfile.TemporaryDirectory(prefix="ablate-slurm-") as folder, Cluster(Path(folder)) as running:
        yield running


def test_every_task_of_an_array_shows_its_run(cluster, tmp_path):
    with Server() as server:
        # Submission carries the environment to the nodes, as SLURM does with a person's own.
        site = Site(tmp_path / "site", {**cluster.environment, **server.environment, "SLOW": "0"})
        words = site.experiment("shown", seeds="0, 1")
        site(*words, "hydra/launcher=slurm", "hydra.launcher.cpus=1", "tracker=wandb")

        def queue():
            environment = {**os.environ, **cluster.environment}
            return subprocess.run(["squeue", "--noheader"], env=environment, capture_output=True, text=True).stdout

        until(lambda: not queue(), why="an empty queue")
        assert {run["state"] for run in site.states("shown").values()} == {"finished"}
        assert server.unknown == []
        records = {path.name.rpartition("-")[2]: path for path in site.runs.glob("digits-*")}
        assert len(records) == 4
        assert set(server.runs) == set(records)
        assert len({run.asked["displayName"] for run in server.runs.values()}) == 4
        for id, run in server.runs.items():
            assert run.asked["groupName"] == "shown"
            assert shown(run) == metrics(records[id])
            assert run.state == "finished"
            assert json.loads((records[id] / "wandb.json").read_text())["delivered"] is True
