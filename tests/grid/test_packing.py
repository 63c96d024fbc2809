"""How many runs share a device: what is chosen from trials, real trials, and that packing changes no result."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import psutil
import pytest

from ablate.base.errors import AblateError
from ablate.grid import local, packing
from ablate.grid.packing import Trial, best, describe, trials
from ablate.runs.stopping import Stopping
from tests.waiting import LIMIT, until

GIB = 2**30


def tried(speeds, memory=GIB, free=100 * GIB):
    return [Trial(2**n, speed, 2**n * memory, free) for n, speed in enumerate(speeds)]


@pytest.mark.parametrize(
    ("speeds", "runs"),
    [
        ([100], 1),
        ([100, 190, 300], 4),
        ([100, 102], 1),  # 2 % more is not worth a second run
        ([100, 190, 192], 2),
        ([100, 50], 1),
    ],
)
def test_fewest_runs_with_the_most_throughput_are_chosen(speeds, runs):
    assert best(tried(speeds)).runs == runs


def test_choice_is_described():
    assert describe(tried([1000, 1900])) == (
        "pack=auto: 2 at once; images a second in all: 1,000 with 1, 1,900 with 2; 1.0 GiB each"
    )


@pytest.fixture
def device(monkeypatch):
    """A device with the given throughput by number of runs; more runs fail. Gives the trials that were made of it."""
    made = []

    def give(speeds, memory=GIB, free=100 * GIB):
        def take(config, runs, device, threads, stopped):
            made.append((config.depth, config.recipe.batch, runs, threads))
            if runs not in speeds:
                raise AblateError("no memory")
            return Trial(runs, speeds[runs], runs * memory, free)

        monkeypatch.setattr(packing, "_try", take)
        return made

    return give


def test_trials_train_the_deepest_network_and_share_the_cores(device, record):
    made = device({1: 100, 2: 180, 4: 300, 8: 500})
    records = [record(f"depth={depth}", f"recipe.batch={batch}") for depth, batch in ((8, 64), (20, 32), (20, 64))]
    assert [trial.runs for trial in trials([*records, *records[:2]], None, 8)] == [1, 2, 4]  # of five runs
    assert made == [(20, 64, 1, 8), (20, 64, 2, 4), (20, 64, 4, 2)]


def test_without_a_gpu_no_more_runs_than_cores_are_tried(device, record):
    device({1: 100, 2: 180, 4: 300})
    assert [trial.runs for trial in trials([record()] * 9, None, 2)] == [1, 2]
    assert [trial.runs for trial in trials([record()] * 9, "0", 2)] == [1, 2, 4]


@pytest.mark.parametrize(
    ("speeds", "free", "runs"),
    [
        ({1: 100, 2: 90, 4: 300}, 100, [1, 2]),  # slower
        ({1: 100, 2: 102, 4: 300}, 100, [1, 2]),  # hardly faster
        ({1: 100, 2: 180, 8: 300}, 100, [1, 2]),  # failed
        ({1: 100, 2: 180, 4: 300}, 2.4, [1, 2]),  # two more would fill over 80 % of the free memory
        ({1: 100, 2: 180, 4: 300}, 2.6, [1, 2, 4]),
    ],
)
def test_doubling_ends(device, record, speeds, free, runs):
    device(speeds, free=free * GIB)
    assert [trial.runs for trial in trials([record()] * 4, "0", 2)] == runs


def test_failing_trial_of_one_run_is_an_error(device, record):
    device({})
    with pytest.raises(AblateError, match="pack=auto: a trial of one run failed: no memory"):
        trials([record()] * 2, "0", 2)
    assert trials([record()] * 2, "0", 2, stopped=lambda: True) == []  # a signal may have ended it


def test_number_is_runs_on_each_device(record, monkeypatch):
    monkeypatch.setattr(local, "gpus", lambda: ["0", "3"])
    assert local.packed([record("pack=3")] * 9, Stopping()) == 6
    monkeypatch.setattr(local, "gpus", list)
    assert local.packed([record("pack=3")] * 9, Stopping()) == 3
    assert local.packed([record("pack=3")], Stopping()) == 3  # fewer would change the threads, and so the bits


def test_real_trial_trains(resolve, monkeypatch):
    monkeypatch.setattr(packing, "SECONDS", 0.1)
    trial = packing._try(resolve("depth=8", "device=cpu"), 2, None, 1)
    assert trial.runs == 2
    assert trial.images_per_second > 0
    assert trial.memory > 2 * 100 * 2**20
    assert trial.free > 0


def test_shortcut_that_ends_the_process_fails_a_real_trial(resolve, tmp_path, monkeypatch):
    (tmp_path / "leaving.py").write_text("import sys\nclass Leaving:\n    def __init__(self, *_): sys.exit()\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AblateError, match="shortcut Leaving cannot be built: SystemExit"):
        packing._try(resolve("depth=8", "device=cpu", "shortcut._target_=leaving.Leaving"), 1, None, 1)


def test_signal_during_trials_interrupts_the_grid(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    words = ["-m", "depth=56", "seed=0,1,2", "pack=auto", f"results={tmp_path}", "device=cpu"]
    command = [sys.executable, "-m", "ablate", *words]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    family = psutil.Process(process.pid)

    def begun():
        with contextlib.suppress(psutil.Error):  # one that is ending
            return any("spawn_main" in " ".join(child.cmdline()) for child in family.children())

    until(begun, process, "a trial")
    children = family.children(recursive=True)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 128 + signal.SIGTERM
    assert "pack=auto" not in out
    assert "interrupted with 3 runs to go" in err
    assert not psutil.wait_procs(children, timeout=LIMIT)[1]


def test_packed_grid_gives_the_same_bits(process, tmp_path):
    words = ("-m", "depth=8", "epochs=2", "threads=1", "seed=0,1", "shortcut=dropout")
    for name, pack in (("one", ()), ("packed", ("pack=2",))):
        done = process("ablate", *words, *pack, f"results={name}")
        assert done.status == 0, done.err
    found = {}
    for name, runs_at_once in (("one", 1), ("packed", 2)):
        results = [json.loads(path.read_text()) for path in sorted((tmp_path / name).glob("digits-*/result.json"))]
        assert [result["runs_at_once"] for result in results] == [runs_at_once] * 2
        found[name] = [result["weights_sha256"] for result in results]
    assert found["one"] == found["packed"]
    assert len(set(found["one"])) == 2


def test_pack_out_of_range_is_refused(ask):
    for word in ("0", "many", "-1", "1.5", "999999999"):
        said = ask("depth=8", f"pack={word}")
        assert said.status == 2
        assert said.err.startswith(f"ablate: pack={word} is invalid: use auto, or 1 to 1000")
