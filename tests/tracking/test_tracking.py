"""What W&B shows of runs: their records, whatever happens. The real client sends to a server on the loopback."""

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from ablate.__main__ import main
from ablate.runs.reading import TIMES
from ablate.tracking.session import delivered
from tests.forked import Command
from tests.tracking.conftest import metrics, on_disk, result, shown
from tests.tracking.wandb_server import SILENT, Server
from tests.waiting import LIMIT, held, until

TINY = ("depth=8", "threads=1", "epochs=3")
FINAL = ("test_error", "best_test_error", "train_loss", "train_error", "parameters", "multiply_adds", "seconds")
COST = 30.0
"""Seconds that an unavailable server may delay an exit: PATIENCE, and what a busy machine takes to end processes."""


def test_online_run_shows_its_record(tracked, server, folder, messages):
    words = ("+experiment=depth", "hydra/launcher=basic", "shortcut=gate", "probes=signal")
    assert tracked(*TINY, *words, server=server) == 0
    assert server.unknown == []
    (run,) = server.runs.values()
    assert run.id == folder().name.rpartition("-")[2]
    flat = [line.pop("probes") | line for line in metrics(folder())]
    assert shown(run.history) == flat
    assert [row["_step"] for row in run.history] == [row["step"] for row in flat] == [20, 40, 60]
    ended = result(folder())
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
    assert messages == [f"ablate: W&B: {server.url}/group/ablate/runs/{run.id}"]


def test_grid_in_one_process_shows_each_run(tracked, server, folder):
    assert tracked("-m", *TINY, "epochs=1", "shortcut=identity,gate", "seed=0,1", server=server) == 0
    assert {run.asked["displayName"] for run in server.runs.values()} == {
        "identity s0", "identity s1", "gate bias_init=-6 s0", "gate bias_init=-6 s1"
    }  # fmt: skip
    for run in server.runs.values():
        assert shown(run.history) == metrics(folder(run.id))
        assert run.config["seed"] == result(folder(run.id))["seed"]
        assert run.state == "finished"


@pytest.mark.long
def test_grid_in_several_processes_shows_each_run(tracked, server):
    words = ("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1,2")
    assert tracked(*words, *TINY, "epochs=1", server=server) == 0
    # Each worker has a W&B process, which ends by itself after the worker.
    until(lambda: [run.state for run in server.runs.values()] == ["finished"] * 3, why="three finished runs")
    assert sorted(run.config["seed"] for run in server.runs.values()) == [0, 1, 2]


def test_killed_and_resumed_run_shows_each_step_once(tracked, server, folder, tmp_path, monkeypatch):
    # Killed at step 70 of 80, its last checkpoint at step 50: the second session repeats step 60, which was sent.
    elsewhere = tmp_path / "elsewhere"
    words = (*TINY, "epochs=4", "checkpoint.steps=50", held(elsewhere, "Identity", step=71))
    results = f"results={tmp_path / 'runs'}"
    training = Command(*words, "tracker=wandb", results, cwd=elsewhere, environment=server.environment)
    until(lambda: any(run.last_step >= 60 for run in server.runs.values()), training, "step 60 on the server")
    training.kill()
    training.communicate()
    assert [line["step"] for line in metrics(folder())] == [20, 40, 60]
    monkeypatch.syspath_prepend(str(elsewhere))
    assert tracked(*words, server=server) == 0
    sys.modules.pop("own")
    (run,) = server.runs.values()
    assert server.sessions == {run.id: 2}
    assert [row["step"] for row in run.history] == [20, 40, 60, 80]
    assert [row["test_error"] for row in run.history] == [line["test_error"] for line in metrics(folder())]
    assert run.state == "finished"


def test_death_of_wandbs_own_process_does_not_affect_the_next_run(tracked, server, sync, folder, tmp_path, monkeypatch):
    def kill(path, operation):
        """Kill it at the first upload of a run."""
        if "file_stream" not in path:
            return
        for process in psutil.process_iter(["name", "environ"]):
            environment = process.info["environ"] or {}
            if process.info["name"] == "wandb-core" and environment.get("WANDB_BASE_URL") == server.url:
                process.kill()
        server.mood = normal
        (tmp_path / "elsewhere" / "hold").unlink()

    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    server.mood = kill
    words = ("seed=0,1", held(tmp_path / "elsewhere", "Identity", step=50))
    assert tracked("-m", *TINY, *words, server=server) == 0
    sys.modules.pop("own")
    assert [run.state for run in server.runs.values()] == ["running", "finished"]
    assert sync(server).status == 0
    for run in server.runs.values():
        assert shown(run.history) == metrics(folder(run.id))
        assert run.state == "finished"


def test_run_trained_again_is_another_run(start, server):
    status, own = start(*TINY, "epochs=1", server=server)
    until(lambda: [run.state for run in server.runs.values()] == ["finished"], why="the first run on the server")
    again, _ = start(*TINY, "epochs=1", "rerun=all", server=server, own=own)
    own.close()
    assert (status, again) == (0, 0)
    first, second = server.runs.values()
    assert second.id == f"{first.id}-2"
    assert [row["test_error"] for row in first.history] == [row["test_error"] for row in second.history]


def test_failed_run_is_failed_and_diverged_run_is_finished(start, server, tmp_path, monkeypatch):
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
    monkeypatch.syspath_prepend(str(tmp_path))
    failed, own = start(*TINY, "shortcut._target_=own.Raises", server=server)
    diverged, _ = start(*TINY, "shortcut._target_=own.Explodes", server=server, own=own)
    own.close()
    sys.modules.pop("own")
    assert (failed, diverged) == (1, 0)
    states = {run.summary["status"]: run for run in server.runs.values()}
    assert states["failed"].state == "failed"
    assert "no more" in states["failed"].summary["reason"]
    assert states["diverged"].state == "finished"
    assert "test_error" in states["diverged"].history[0]
    assert "test_error" not in states["diverged"].summary


def normal(path, operation):
    return None


def on_upload(status):
    return lambda path, operation: status if "file_stream" in path else None


MOODS = {
    "down": None,
    "silent": lambda path, operation: SILENT,
    "401 from the first upload on": on_upload(401),
    "dies at the first upload": normal,
}
MORE_MOODS = {
    "answers 500": lambda path, operation: 500,
    "answers 401": lambda path, operation: 401,
    "silent from the first upload on": on_upload(SILENT),
    "500 from the first upload on": on_upload(500),
}


@pytest.mark.parametrize("moods", [MOODS, pytest.param(MORE_MOODS, marks=pytest.mark.long)], ids=["some", "others"])
def test_unavailable_server_delays_exit_only(moods, start, ask, sync, server, folder, tmp_path, messages):
    """A run for each way in which a server can be unavailable, then all of them sent to one that works."""
    seeds = ",".join(map(str, range(len(moods))))
    assert ask("-m", "depth=8", "iterations=3", f"seed={seeds}", f"results={tmp_path / 'untracked'}").status == 0
    followers, servers = {}, []
    try:
        for seed, (mood, answer) in enumerate(moods.items()):
            bad = Server(answer or normal).__enter__()
            servers.append(bad)
            if mood == "down":
                bad.die()
            elif mood == "dies at the first upload":
                bad.mood = lambda path, operation, bad=bad: bad.hang_up() if "file_stream" in path else None
            status, followers[mood] = start("depth=8", "iterations=3", f"seed={seed}", server=bad)
            assert status == 0, mood

        def close(mood):
            began = time.monotonic()
            followers[mood].close()
            return mood, time.monotonic() - began

        with ThreadPoolExecutor(len(moods)) as pool:
            delays = dict(pool.map(close, moods))
    finally:
        for bad in servers:
            bad.released.set()
            bad.http.server_close()
    assert max(delays.values()) < COST, delays
    assert sum("ablate sync" in message for message in messages) >= len(moods), messages
    for seed, mood in enumerate(moods):
        (same,) = (tmp_path / "untracked").glob(f"*-s{seed}-*")
        own = folder(f"-s{seed}-")
        assert result(own)["weights_sha256"] == result(same)["weights_sha256"], mood
        assert metrics(own, TIMES) == metrics(same, TIMES), mood
        assert not delivered(own), mood
    sent = sync(server)
    assert sent.status == 0, sent.err
    assert len(server.runs) == len(moods)
    for run in server.runs.values():
        assert shown(run.history) == metrics(folder(run.id))
        assert run.state == "finished"


def test_run_stopped_and_resumed_offline_has_its_record_in_one_folder(tracked, folder, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.syspath_prepend(str(elsewhere))
    words = (*TINY, "epochs=4", "checkpoint.steps=30", held(elsewhere, "Identity", step=50))

    def stop():
        until(lambda: list((tmp_path / "runs").glob("*/wandb/offline-run-*")), why="an offline run")
        until(lambda: list((tmp_path / "runs").glob("*/wandb.json")), why="its id in the ledger")
        os.kill(os.getpid(), signal.SIGTERM)
        (elsewhere / "hold").unlink()

    threading.Thread(target=stop).start()
    assert tracked(*words, WANDB_MODE="offline") == 128 + signal.SIGTERM
    assert tracked(*words, WANDB_MODE="offline") == 0
    sys.modules.pop("own")
    kept, ended = on_disk(folder()), result(folder())
    assert [row["step"] for row in kept["history"]] == [20, 40, 60, 80]
    assert shown(kept["history"]) == metrics(folder())
    assert {key: kept["summary"][key] for key in FINAL} == {key: ended[key] for key in FINAL}
    assert kept["config"]["shortcut"] == "Holds"
    assert kept["run"] == folder().name.rpartition("-")[2]


def test_sync_sends_an_untracked_record_once(ask, sync, server, folder):
    assert ask("depth=8", "iterations=2").status == 0
    planned = sync(server, "--project", "later", "--dry-run")
    assert "1 to send" in planned.out
    assert server.runs == {}
    for count in (1, 0):
        done = sync(server, "--project", "later")
        assert done.status == 0, done.err
        assert f"{count} to send" in done.out
    (run,) = server.runs.values()
    assert run.project == "later"
    assert server.sessions == {run.id: 1}
    assert shown(run.history) == metrics(folder())
    assert run.summary["test_error"] == result(folder())["test_error"]


def test_sync_without_a_server_prints_one_sentence(process, write):
    write("depth=8", test_error=3.0)
    done = process("ablate", "sync", "runs")
    assert done.status == 1
    assert done.err.startswith("ablate sync: W&B is unavailable: 127.0.0.1 cannot be reached")
    assert len(done.err.splitlines()) == 1


def test_sync_skips_a_record_without_its_configuration(write, sync, server):
    torn = write("depth=8", test_error=3.0)
    (torn / "config.yaml").unlink()
    write("depth=8", "seed=1", test_error=3.0)
    done = sync(server)
    assert done.status == 1
    assert [run.config["seed"] for run in server.runs.values()] == [1]
    said = done.err.splitlines()
    assert said[0].startswith(f"ablate sync: [1/2] {torn.name} was not sent: ")
    assert said[1:] == ["ablate sync: 1 of 2 records were not sent: run the same command again"]


def run_without_wandb():
    """The exit status of `ablate`, or 99 if it has imported wandb."""
    status = main()
    return 99 if "wandb" in sys.modules else status


def test_untracked_run_does_not_import_wandb(tmp_path):
    words = ("depth=8", "iterations=1", "threads=1", "results=runs")
    run = Command(*words, cwd=tmp_path, entry=f"{__name__}.run_without_wandb")
    said = run.communicate()
    assert run.returncode == 0, said


def test_tracker_that_cannot_start_prints_a_warning(tracked, messages, tmp_path):
    (tmp_path / "poison" / "wandb").mkdir(parents=True)
    (tmp_path / "poison" / "wandb" / "__init__.py").write_text("raise ImportError('none here')")
    path = os.pathsep.join([str(tmp_path / "poison"), *sys.path])
    assert tracked("depth=8", "iterations=1", PYTHONPATH=path) == 0
    assert messages[0].startswith("ablate: W&B does not show digits-identity-d8")
    assert messages[0].endswith("ImportError: none here; ablate sync sends it later")


def test_sync_with_its_output_closed_sends_all_the_same(write, server, tmp_path):
    write("depth=8", test_error=3.0)
    command = f"exec {shlex.quote(sys.executable)} -m ablate sync runs >&-"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **server.environment}
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, timeout=LIMIT)
    assert done.returncode == 0
    assert len(server.runs) == 1
