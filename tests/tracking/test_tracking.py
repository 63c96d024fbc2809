"""What W&B shows of runs, by the real client against a server on the loopback: it is the record, whatever happens."""

import os
import shlex
import signal
import subprocess
import sys
import time

import psutil
import pytest

from ablate.runs.reading import TIMES
from tests.tracking.conftest import metrics, on_disk, own, result, shown
from tests.tracking.wandb_server import SILENT, Server
from tests.waiting import LIMIT, held, until

TINY = ("depth=8", "threads=1", "epochs=3", "tracker=wandb")
FINAL = ("test_error", "best_test_error", "train_loss", "train_error", "parameters", "multiply_adds", "seconds")
COST = 30.0
"""Seconds that a server may cost a run after its end: PATIENCE, and what a busy machine takes to end processes."""


def test_an_online_run_is_the_record(ablate, record):
    with Server() as server:
        done = ablate(*TINY, "+experiment=depth", "results=runs", "shortcut=gate", "probes=true", server=server)
        assert done.returncode == 0, done.stderr
    assert server.unknown == []
    folder = record()
    (run,) = server.runs.values()
    assert run.id == folder.name.rpartition("-")[2]
    flat = [line.pop("probes") | line for line in metrics(folder)]
    assert shown(run) == flat
    assert [row["_step"] for row in run.history] == [row["step"] for row in flat] == [20, 40, 60]
    ended = result(folder)
    assert {key: run.summary[key] for key in FINAL} == {key: ended[key] for key in FINAL}
    assert run.summary["status"] == "finished"
    assert run.state == "finished"
    assert run.asked["groupName"] == "depth"
    assert run.asked["tags"] == ["gate", "digits", "depth 8"]
    assert {key: run.config[key] for key in ("shortcut", "depth", "unit", "seed", "data", "recipe")} == {
        **{"shortcut": "gate bias_init=-6", "depth": 8, "unit": "basic"},
        **{"seed": 0, "data": "digits", "recipe": "digits"},
    }
    assert run.config["config"]["shortcut"] == ended["config"]["shortcut"]
    assert f"/runs/{run.id}" in done.stderr


def test_a_grid_in_one_process_gives_a_run_each(ablate, record):
    with Server() as server:
        words = ("shortcut=identity,gate", "seed=0,1", "results=runs")
        assert ablate("-m", *TINY, *words, server=server).returncode == 0
    assert {run.asked["displayName"] for run in server.runs.values()} == {
        "identity s0", "identity s1", "gate bias_init=-6 s0", "gate bias_init=-6 s1"
    }  # fmt: skip
    for run in server.runs.values():
        assert shown(run) == metrics(record(word=run.id))
        assert run.config["seed"] == result(record(word=run.id))["seed"]
        assert run.state == "finished"


def test_processes_of_a_grid_give_a_run_each(ablate):
    with Server() as server:
        words = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1,2", "results=runs")
        assert ablate("-m", *TINY, *words, server=server).returncode == 0
    assert sorted(run.config["seed"] for run in server.runs.values()) == [0, 1, 2]
    assert {run.state for run in server.runs.values()} == {"finished"}


def test_killed_and_resumed_it_is_one_run_with_each_step_once(ablate, begin, record, tmp_path):
    # Killed at 70 of 80 steps, its last checkpoint at 50: the second session repeats what the server has of 60.
    words = (*TINY, "epochs=4", "checkpoint.steps=50", "results=runs", held(tmp_path, "Identity", step=71))
    with Server() as server:
        process = begin(*words, server=server)
        until(lambda: any(run.last_step >= 60 for run in server.runs.values()), process, "step 60 on the server")
        process.kill()
        process.communicate()
        assert [line["step"] for line in metrics(record())] == [20, 40, 60]
        (tmp_path / "hold").unlink()
        assert ablate(*words, server=server).returncode == 0
    (run,) = server.runs.values()
    assert server.sessions == {run.id: 2}
    assert [row["step"] for row in run.history] == [20, 40, 60, 80]
    assert [row["test_error"] for row in run.history] == [line["test_error"] for line in metrics(record())]
    assert run.state == "finished"


def test_when_wandbs_own_process_dies_the_next_run_is_shown(ablate, record, tmp_path):
    with Server() as server:

        def kill(path, operation):  # at the first upload of a run
            for process in psutil.process_iter(["name", "environ"]):
                environment = process.info["environ"] or {}
                if process.info["name"] == "wandb-core" and environment.get("WANDB_BASE_URL") == server.url:
                    process.kill()
            server.mood = nobody
            (tmp_path / "hold").unlink(missing_ok=True)

        server.mood = lambda path, operation: kill(path, operation) if "file_stream" in path else None
        words = ("seed=0,1", "results=runs", held(tmp_path, "Identity", step=50))
        done = ablate("-m", *TINY, *words, server=server)
        assert done.returncode == 0, done.stderr
        assert [run.state for run in server.runs.values()] == ["running", "finished"]
        assert ablate("runs", server=server, module="ablate", "sync").returncode == 0
    for run in server.runs.values():
        assert shown(run) == metrics(record(word=run.id))
        assert run.state == "finished"


def test_a_run_trained_afresh_is_another_run(ablate):
    with Server() as server:
        for words in ((), ("rerun=all",)):
            assert ablate(*TINY, "results=runs", *words, server=server).returncode == 0
    first, second = server.runs.values()
    assert second.id == f"{first.id}-2"
    assert [row["test_error"] for row in first.history] == [row["test_error"] for row in second.history]


def test_a_failed_run_is_failed_there_and_a_diverged_one_a_result(ablate, tmp_path):
    (tmp_path / "own.py").write_text(
        "from ablate.models.shortcuts import Identity\n"
        "class Raises(Identity):\n"
        "    def forward(self, x, residual):\n"
        "        if len(x) > 1 and self.training: raise RuntimeError('no more')\n"
        "        return super().forward(x, residual)\n"
        "class Explodes(Identity):\n"
        "    calls = 0\n"
        "    def forward(self, x, residual):\n"
        "        self.calls += self.training\n"
        "        return super().forward(x, residual) * (float('inf') if self.calls > 30 else 1)\n"
    )
    with Server() as server:
        path = os.pathsep.join([str(tmp_path), *sys.path])
        failed = ablate(*TINY, "results=runs", "shortcut._target_=own.Raises", server=server, PYTHONPATH=path)
        diverged = ablate(*TINY, "results=runs", "shortcut._target_=own.Explodes", server=server, PYTHONPATH=path)
    assert (failed.returncode, diverged.returncode) == (1, 0)
    states = {run.summary["status"]: run for run in server.runs.values()}
    assert states["failed"].state == "failed"
    assert "no more" in states["failed"].summary["reason"]
    assert states["diverged"].state == "finished"
    assert "test_error" in states["diverged"].history[0]
    assert "test_error" not in states["diverged"].summary


@pytest.fixture(scope="module")
def untracked(tmp_path_factory):
    """The same run with tracker=none: its weights and its metrics."""
    folder = tmp_path_factory.mktemp("untracked")
    words = ["depth=8", "threads=1", "epochs=3", "results=runs"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-m", "ablate", *words], cwd=folder, env=environment, check=True)
    (record,) = (folder / "runs").iterdir()
    return result(record)["weights_sha256"], metrics(record, TIMES)


def nobody(path, operation):
    return None


def refuses_uploads(path, operation):
    return 401 if "file_stream" in path else None


def fails_on_uploads(path, operation):
    return 500 if "file_stream" in path else None


MOODS = {
    "answers 500": lambda path, operation: 500,
    "answers 401": lambda path, operation: 401,
    "silent": lambda path, operation: SILENT,
    "falls silent in the middle": lambda path, operation: SILENT if "file_stream" in path else None,
    "fails in the middle": fails_on_uploads,
    "refuses in the middle": refuses_uploads,
}


@pytest.mark.parametrize("mood", [*MOODS, "down", "dies in the middle"])
def test_a_server_out_of_sorts_costs_seconds_and_no_bit(ablate, record, untracked, mood):
    if mood == "down":
        done = ablate(*TINY, "results=runs")
    else:
        with Server(MOODS.get(mood, nobody)) as server:
            if mood == "dies in the middle":
                server.mood = lambda path, operation: server.hang_up() if "file_stream" in path else None
            done = ablate(*TINY, "results=runs", server=server)
    after = time.time() - (record() / "result.json").stat().st_mtime
    sha, lines = untracked
    assert done.returncode == 0, done.stderr
    assert result(record())["weights_sha256"] == sha
    assert metrics(record(), TIMES) == lines
    assert "ablate", "sync" in done.stderr
    assert after < COST
    # Once the server is well again, the record is sent.
    with Server() as server:
        sent = ablate("runs", server=server, module="ablate", "sync")
        assert sent.returncode == 0, sent.stderr
        (run,) = server.runs.values()
        assert shown(run) == metrics(record())
        assert run.state == "finished"


def test_offline_runs_say_the_same_on_disk(ablate, record):
    assert ablate(*TINY, "results=runs", WANDB_MODE="offline").returncode == 0
    (kept,) = (record() / "wandb").glob("offline-run-*")
    whole = on_disk(kept)
    assert [own(row) for row in whole["history"]] == metrics(record())
    ended = result(record())
    assert {key: whole["summary"][key] for key in FINAL} == {key: ended[key] for key in FINAL}
    assert whole["config"]["shortcut"] == "identity"
    assert whole["run"] == record().name.rpartition("-")[2]


def test_stopped_offline_and_resumed_one_folder_has_all(ablate, begin, record, tmp_path):
    words = (*TINY, "epochs=4", "checkpoint.steps=30", "results=runs", held(tmp_path, "Identity", step=50))
    process = begin(*words, WANDB_MODE="offline")
    until(lambda: list((tmp_path / "runs").glob("*/wandb/offline-run-*")), process, "an offline run")
    process.terminate()
    (tmp_path / "hold").unlink()
    process.communicate(timeout=LIMIT)
    assert process.returncode == 128 + signal.SIGTERM
    assert ablate(*words, WANDB_MODE="offline").returncode == 0
    (kept,) = (record() / "wandb").glob("offline-run-*")
    assert [row["step"] for row in on_disk(kept)["history"]] == [20, 40, 60, 80]


def test_what_was_never_tracked_is_sent_once(ablate, record):
    assert ablate("depth=8", "threads=1", "epochs=2", "results=runs").returncode == 0
    with Server() as server:
        words = ("runs", "--project", "later")
        planned = ablate(*words, "--dry-run", server=server, module="ablate", "sync")
        assert "1 to send" in planned.stdout
        assert server.runs == {}
        for count in (1, 0):
            done = ablate(*words, server=server, module="ablate", "sync")
            assert done.returncode == 0, done.stderr
            assert f"{count} to send" in done.stdout
    (run,) = server.runs.values()
    assert run.project == "later"
    assert server.sessions == {run.id: 1}
    assert shown(run) == metrics(record())
    assert run.summary["test_error"] == result(record())["test_error"]


def test_sync_says_in_a_sentence_that_there_is_no_server(ablate):
    assert ablate("depth=8", "threads=1", "epochs=1", "results=runs").returncode == 0
    done = ablate("runs", module="ablate", "sync")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ablate sync: W&B cannot be had: 127.0.0.1 cannot be reached")
    assert len(done.stderr.splitlines()) == 1


def test_a_record_without_its_configuration_keeps_no_other_from_being_sent(ablate, record):
    assert ablate("-m", "depth=8", "threads=1", "epochs=1", "results=runs", "seed=0,1").returncode == 0
    (record(word="-s0-") / "config.yaml").unlink()
    with Server() as server:
        done = ablate("runs", server=server, module="ablate", "sync")
    assert done.returncode == 1
    assert [run.config["seed"] for run in server.runs.values()] == [1]
    said = done.stderr.splitlines()
    assert said[0].startswith(f"ablate sync: [1/2] {record(word='-s0-').name} was not sent: ")
    assert said[1:] == ["ablate sync: 1 of 2 are not there; the same command tries them again"]


def test_without_a_tracker_wandb_is_not_imported(process, tmp_path):
    poison = tmp_path / "poison" / "wandb"
    poison.mkdir(parents=True)
    (poison / "__init__.py").write_text("import os\nos._exit(99)\n")
    assert process("ablate", "depth=8", "epochs=1", "results=runs", path=poison.parent).status == 0


def test_a_tracker_that_cannot_start_costs_a_warning(process, tmp_path):
    poison = tmp_path / "poison" / "wandb"
    poison.mkdir(parents=True)
    (poison / "__init__.py").write_text("raise ImportError('none here')\n")
    done = process("ablate", *TINY, "results=runs", path=poison.parent)
    assert done.status == 0
    assert "W&B does not show digits-identity-d8" in done.err


def test_sync_with_its_output_closed_sends_all_the_same(ablate, record, tmp_path):
    assert ablate("depth=8", "threads=1", "epochs=1", "results=runs").returncode == 0
    with Server() as server:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
        paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
        command = f"exec {shlex.quote(sys.executable)} -m ablate.commands.sync runs >&-"
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env={**kept, **paths, **server.environment})
        assert done.returncode == 0
    assert len(server.runs) == 1
