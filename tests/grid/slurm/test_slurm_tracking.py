"""A grid as a job array on a real SLURM with tracker=wandb: each task sends its run."""

import json

import pytest

from tests.grid.slurm.slurm_cluster import reason_to_skip
from tests.tracking.conftest import metrics, shown
from tests.tracking.wandb_server import Server

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip())]


def test_each_task_sends_its_run(cluster_site):
    site = cluster_site
    with Server() as server:
        # sbatch passes the environment on to the tasks.
        site.environment |= {**server.environment, "SLOW": "0"}
        site(*site.experiment(seeds="0, 1"), "hydra/launcher=slurm", "hydra.launcher.cpus=1", "tracker=wandb")
        site.wait_for_end()
        assert {run["state"] for run in site.states().values()} == {"finished"}
        assert server.unknown == []
        folders = {path.name.rpartition("-")[2]: path for path in site.runs.glob("digits-*")}
        assert len(folders) == 4
        assert set(server.runs) == set(folders)
        assert len({run.asked["displayName"] for run in server.runs.values()}) == 4
        for id, run in server.runs.items():
            assert run.asked["groupName"] == "drill"
            assert shown(run.history) == metrics(folders[id])
            assert run.state == "finished"
            assert json.loads((folders[id] / "wandb.json").read_text())["delivered"] is True
