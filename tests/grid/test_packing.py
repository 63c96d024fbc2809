"""How many runs share a device: what is chosen from trials, and that a packed grid gives what an unpacked one does."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import psutil
import pytest

from ablate.base.errors import AblateError
from ablate.grid import local as launch
from ablate.grid import packing
from ablate.grid.packing import Failed, Trial, best, describe, trials
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
        ([100, 102], 1),  # two for so little more are not worth it
        ([100, 190, 192, 180], 2),
        ([100, 50, 200], 4),
    ],
)
def test_the_fewest_runs_that_give_as_much_as_any_are_taken(speeds, runs):
    assert best(tried(speeds)).runs == runs


def test_what_was_chosen_is_said():
    assert describe(tried([1000, 1900])) == (
        "pack=auto: 2 at once; images a second in all: 1,000 with 1, 1,900 with 2; 1.0 GiB each"
    )


@pytest.fixture
def machine(monkeypatch):
    """A device on which so many runs at once give so much, and the trials that were made of it."""
    made = []

    def give(speeds, memory=GIB, free=100 * GIB):
        def take(config, runs, device, threads, stopped):
            made.append((config.depth, runs, threads))
            if runs not in speeds:
                raise Failed("no memory")
            return Trial(runs, speeds[runs], runs * memory, free)

        monkeypatch.setattr(packing, "_try", take)
        return made

    return give


def test_trials_are_of_the_deepest_net_and_share_the_cores(machine, resolve):
    made = machine({1: 100, 2: 180, 4: 300, 8: 500})
    configs = [resolve(f"depth={depth}") for depth in (8, 20, 8, 14, 8)]
    assert [trial.runs for trial in trials(configs, None, 8)] == [1, 2, 4]  # there are five runs
    assert made == [(20, 1, 8), (20, 2, 4), (20, 4, 2)]


def test_without_a_gpu_there_are_no_more_runs_at_once_than_cores(machine, resolve):
    made = machine({1: 100, 2: 180, 4: 300})
    trials([resolve()] * 9, None, 2)
    assert [runs for _, runs, _ in made] == [1, 2]
    made.clear()
    trials([resolve()] * 9, "0", 2)
    assert [runs for _, runs, _ in made] == [1, 2, 4, 8]


def test_what_does_not_fit_is_not_tried(machine, resolve):
    made = machine({1: 100, 2: 180, 4: 300}, memory=10 * GIB, free=13 * GIB)
    assert [trial.runs for trial in trials([resolve()] * 9, "0", 2)] == [1, 2]
    assert [runs for _, runs, _ in made] == [1, 2]


def test_more_are_not_tried_once_it_gets_slower_or_fails(machine, resolve):
    assert [trial.runs for trial in trials_of(machine, resolve, {1: 100, 2: 90, 4: 300})] == [1, 2]  # and both are told
    assert [trial.runs for trial in trials_of(machine, resolve, {1: 100, 2: 150, 8: 300})] == [1, 2]


def trials_of(machine, resolve, speeds):
    machine(speeds)
    return trials([resolve()] * 9, "0", 2)


def test_a_trial_of_one_run_that_fails_is_a_sentence(machine, resolve):
    machine({})
    with pytest.raises(AblateError, match="a trial of one run failed: no memory"):
        trials([resolve()] * 2, "0", 2)


def test_a_number_is_so_many_on_each_device(resolve, monkeypatch):
    monkeypatch.setattr(launch, "gpus", lambda: ["0", "3"])
    assert launch.packed([resolve("pack=3")] * 9, Stopping()) == 6
    monkeypatch.setattr(launch, "gpus", list)
    assert launch.packed([resolve("pack=3")] * 9, Stopping()) == 3
    assert launch.packed([resolve("pack=3")], Stopping()) == 3  # as if more were left: threads follow from it


def test_a_real_trial_trains(resolve):
    trial = packing._try(resolve("depth=8", "device=cpu"), 2, None, 1)
    assert trial.runs == 2
    assert trial.images_per_second > 0
    assert trial.memory > 2 * 100 * 2**20
    assert trial.free > 0


def test_a_trial_whose_run_raises_says_why(resolve):
    config = resolve("depth=8", "device=cpu")
    config.shortcut["_target_"] = "nowhere.Nothing"
    with pytest.raises(Failed, match="there is no module 'nowhere'"):
        packing._try(config, 1, None, 1)


def test_a_trial_whose_code_ends_the_process_says_so(resolve, tmp_path, monkeypatch):
    (tmp_path / "leaves.py").write_text("class Leaves:\n    def __init__(self, *_): raise SystemExit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = resolve("depth=8", "device=cpu", "shortcut._target_=leaves.Leaves")
    with pytest.raises(Failed, match="SystemExit"):
        packing._try(config, 1, None, 1)


def test_the_run_that_keeps_most_is_tried(resolve):
    asked = ("identity", "gate", "none", "exclusive_gate")
    configs = [resolve("depth=8", f"shortcut={name}", "device=cpu") for name in asked]
    assert packing._largest_memory([*configs, resolve("depth=8")]).shortcut["name"] == "exclusive_gate"
    broken = resolve("depth=8", "device=cpu")
    broken.shortcut = {"name": "broken", "_target_": "nowhere.Nothing"}
    assert packing._largest_memory([broken, *configs]).shortcut["name"] == "exclusive_gate"
    deeper = resolve("depth=14", "device=cpu")
    assert packing._largest_memory([*configs, deeper]) is deeper
    batches = [resolve("depth=8", f"recipe.batch={batch}", f"seed={batch}", "device=cpu") for batch in (32, 1024, 64)]
    assert packing._largest_memory(batches) is batches[1]


def test_a_signal_during_the_trials_ends_the_grid_and_leaves_no_process(tmp_path):
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
    out, said = process.communicate(timeout=LIMIT)
    assert process.returncode == 128 + signal.SIGTERM
    assert "pack=auto" not in out  # no trial was waited for
    assert "interrupted with 3 runs to go" in said
    assert not psutil.wait_procs(children, timeout=LIMIT)[1]


def test_a_packed_grid_gives_the_same_bits(process, tmp_path):
    words = ("-m", "depth=8", "epochs=2", "threads=1", "seed=0,1,2", "shortcut=dropout")
    for name, pack in (("one", ()), ("packed", ("pack=2",))):
        done = process("ablate", *words, *pack, f"results={name}")
        assert done.status == 0, done.err
    kept = {}
    for name in ("one", "packed"):
        found = [json.loads(path.read_text()) for path in sorted((tmp_path / name).glob("digits-*/result.json"))]
        kept[name] = [(one["seed"], one["weights_sha256"]) for one in found]
        assert {one["runs_at_once"] for one in found} == {1 if name == "one" else 2}
    assert kept["one"] == kept["packed"]
    assert len(kept["one"]) == 3


def test_pack_is_of_this_machine_and_a_number_or_auto(ask):
    for word in ("0", "many", "-1", "1.5", "999999999"):
        said = ask("depth=8", f"pack={word}")
        assert said.status == 2
        assert said.err.startswith(f"ablate: pack={word} is out of range: it must be auto, or 1 to 1000")
