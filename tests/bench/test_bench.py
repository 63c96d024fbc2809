"""The benchmarks measure what they say, and report and keep it. No test says how fast anything is."""

import json
import signal
from functools import partial

import psutil
import pytest
import torch

from ablate.bench import busy, compare, limits, memory, speed, wall_time
from ablate.bench.reference import Reference
from ablate.data.batches import ResidentBatches
from ablate.models.cost import multiply_adds
from ablate.training.setup import Setup
from tests.data.images import write_images
from tests.forked import Command
from tests.waiting import until

QUICK = ("depth=8", "device=cpu", "threads=1")


def test_ratios_are_taken_within_a_round_and_the_first_round_warms_up():
    figures = {"a": iter([100.0, 1.0, 2.0, 3.0]), "b": iter([100.0, 4.0, 2.0, 9.0])}
    table = compare.compare(3, {name: values.__next__ for name, values in figures.items()}, "a", unit="images/s")
    assert table["b"] == {
        "images/s": {"median": 4.0, "min": 2.0, "max": 9.0},
        "/ a": {"median": 3.0, "min": 1.0, "max": 4.0},
    }


def test_an_action_without_a_figure_is_timed(monkeypatch):
    clock = iter([1.0, 1.5, 2.0, 4.0])
    monkeypatch.setattr(compare.time, "perf_counter", clock.__next__)
    table = compare.compare(1, {"a": lambda: None, "b": lambda: None}, "a", warm_up=False)
    assert [table["b"][column]["median"] for column in ("seconds", "/ a")] == [2.0, 4.0]


@pytest.mark.parametrize(("bandwidth", "bound"), [(1e9, "memory"), (1e12, "arithmetic")])
def test_limit_is_the_slower_of_memory_and_arithmetic(resolve, monkeypatch, bandwidth, bound):
    setup = Setup(resolve("depth=8", "device=cpu", "precision=float32"))
    monkeypatch.setattr(limits, "copy_rate", lambda device: bandwidth)
    monkeypatch.setattr(limits, "matrix_rate", lambda device, precision: 1e11)
    # The stem and two convolutions a stage, counted by hand: 3 outputs of 16x8x8, 2 of 32x4x4, 2 of 64x2x2.
    moved = 5 * 4 * 64 * (3 * 1024 + 2 * 512 + 2 * 256)
    operations = 6 * 64 * multiply_adds(setup.network, (1, 8, 8))
    allowed = 64 * min(bandwidth / moved, 1e11 / operations)
    found = limits.limit(setup, reached=allowed / 4)
    assert found["MB a step"] == moved / 1e6
    assert found["GFLOP a step"] == operations / 1e9
    assert found["bound"] == bound
    assert found["images/s allowed"] == pytest.approx(allowed)
    assert found["% reached by the harness"] == pytest.approx(25)


def test_rates_count_two_operations_a_multiply_add_and_bytes_both_ways(monkeypatch):
    monkeypatch.setattr(limits, "throughput", lambda action, amount, device, seconds: action() is not None and amount)
    cpu = torch.device("cpu")
    assert limits.copy_rate(cpu) == 2 * 2**28
    assert limits.matrix_rate(cpu, torch.float32) == max(2 * 1024**3, 2 * 16 * 128 * 16 * 16 * 128 * 9)


def test_loader_variant_takes_its_batches_from_a_loader(resolve, monkeypatch):
    training = speed._start(resolve(*QUICK))
    batches = [(torch.zeros(64, 1, 8, 8), torch.zeros(64, dtype=torch.int64))]
    monkeypatch.setattr(speed.Reference, "__init__", lambda self, config: setattr(self, "train", batches))
    monkeypatch.setattr(ResidentBatches, "next", lambda self: pytest.fail("not from the loader"))
    steps = speed._from_loader(training)
    next(steps), next(steps)
    assert training.step.batches.index == 2


def test_reference_loop_trains(resolve):
    assert Reference(resolve(*QUICK, "epochs=3")).run() < 50  # of ten classes; the harness gets there as soon


def test_speed_is_reported_and_kept(ask, tmp_path):
    out = tmp_path / "out"
    said = ask("bench", "speed", *QUICK, "--rounds", "1", "--seconds", "0.01", "--out", str(out))
    assert said.status == 0, said.err
    (workload,) = json.loads((out / "speed.json").read_text())["workloads"].values()
    assert workload["settings"] == {"batch": 64, "precision": "float32", "threads": 1}
    variants = ("bfloat16", "loss read at each step", "images from a DataLoader")
    assert list(workload["training"]) == ["reference loop", "harness", *(f"harness, {name}" for name in variants)]
    assert list(workload["evaluation"]) == ["reference loop", "harness"]
    figures = {name: row["images/s"]["median"] for name, row in workload["training"].items()}
    assert all(figure > 0 for figure in figures.values())
    ratio = workload["training"]["harness"]["/ reference loop"]["median"]
    assert ratio == pytest.approx(figures["harness"] / figures["reference loop"])
    assert workload["limit"]["% reached by the harness"] > 0
    page = (out / "speed.md").read_text()
    assert page == said.out
    assert (
        "| training | images/s | / reference loop | / harness |\n| --- | --: | --: | --: |\n| reference loop |" in page
    )


def test_grid_is_compared_with_the_reference_loop(ask, tmp_path, monkeypatch):
    monkeypatch.setattr(wall_time, "cores", lambda: 1)
    words = ("epochs=1", "shortcut=identity,none", "--out", str(tmp_path))
    said = ask("bench", "grid", *QUICK, *words)
    assert said.status == 0, said.err
    assert "reference 2 of 2: test error" in said.err
    (workload,) = json.loads((tmp_path / "grid.json").read_text())["workloads"].values()
    assert workload["settings"] == {"runs": 2, "precision": ["float32"], "threads": [1], "runs_at_once": [1]}
    assert all(row["seconds"]["median"] > 0 for row in workload["wall time"].values())


def test_run_with_records_is_compared_with_bare_training(ask):
    said = ask("bench", "records", *QUICK, "epochs=1", "--rounds", "1")
    assert said.status == 0, said.err
    assert "\n| bare training | " in said.out
    assert "\n| with records | " in said.out


def test_memory_and_speed_with_activation_checkpointing_are_compared(ask, tmp_path):
    said = ask("bench", "memory", *QUICK, "--rounds", "1", "--seconds", "0.01", "--out", str(tmp_path))
    assert said.status == 0, said.err
    (workload,) = json.loads((tmp_path / "memory.json").read_text())["workloads"].values()
    assert workload.pop("settings") == {"batch": 64, "precision": "float32", "threads": 1}
    assert list(workload) == ["kept for the backward pass", "training", "memory of the process"]
    for table in workload.values():
        assert list(table) == ["activation_checkpointing=false", "activation_checkpointing=true"]
        assert all(figure["median"] > 0 for row in table.values() for figure in row.values())


def test_reading_of_images_is_compared_with_torchvisions(ask, tmp_path):
    write_images(tmp_path / "images")
    words = ("data=imagenet", f"data.root={tmp_path / 'images'}", "data.size=32", "data.workers=0", "recipe.batch=8")
    said = ask("bench", "loader", *words, "--rounds", "1", "--seconds", "0.01", "--out", str(tmp_path))
    assert said.status == 0, said.err
    (workload,) = json.loads((tmp_path / "loader.json").read_text())["workloads"].values()
    assert workload["settings"] == {"batch": 8, "side": 32, "workers": 0}
    assert list(workload["reading"]) == ["data=imagenet", "ImageFolder and DataLoader"]
    assert all(figures["images/s"]["min"] > 0 for figures in workload["reading"].values())


def test_kept_memory_is_that_of_the_units_inputs_with_activation_checkpointing(resolve):
    kept = [
        memory.kept_megabytes(resolve("device=cpu", f"depth={depth}", "activation_checkpointing=true"))
        for depth in (14, 20)
    ]
    inputs = 64 * (16 * 8 * 8 + 32 * 4 * 4 + 64 * 2 * 2)  # one more unit in each stage
    assert kept[1] - kept[0] == pytest.approx(4 * inputs / 1e6)


def test_the_command_is_compared_with_that_of_another_checkout(ask, tmp_path):
    package = tmp_path / "older" / "ablate"
    package.mkdir(parents=True)
    (package / "__main__.py").write_text(
        "import pathlib, sys; pathlib.Path('words').write_text(' '.join(sys.argv[1:]))"
    )
    (package / "__init__.py").touch()
    said = ask("bench", "start", *QUICK, "iterations=1", "--rounds", "1", "--before", str(package.parent))
    assert said.status == 0, said.err
    assert (package.parent / "words").read_text().startswith("depth=8 device=cpu threads=1 iterations=1 results=")
    assert "\n| before | " in said.out
    assert "\n| now | " in said.out


@pytest.mark.parametrize("words", [("start",), ("speed", "--before", "."), ("start", "--before", "no-such-folder")])
def test_another_checkout_belongs_to_start_and_must_be_one(ask, words):
    said = ask("bench", *words)
    assert said.status == 2
    assert "--before" in said.err


def test_commands_with_and_without_tracker_are_compared(ask, monkeypatch):
    commands = []
    monkeypatch.setattr(wall_time, "carry_out", lambda *words: commands.append(words[:-1]))
    said = ask("bench", "tracker", "depth=8", "--rounds", "1")
    assert said.status == 0, said.err
    assert commands == 2 * [("depth=8", "tracker=none"), ("depth=8", "tracker=wandb")]


def test_a_grid_until_settled_is_compared_with_ten_seeds(ask, monkeypatch, writer, tmp_path):
    seeds = {"seed=range(10)": 10, "seeds=auto": 4}

    def carry_out(*words):
        assert words[:2] == ("-m", "depth=8")
        runs = tmp_path / words[-1].removeprefix("results=")
        for seed in range(seeds[words[2]]):
            write = partial(writer(runs), "depth=8", f"seed={seed}")
            write("shortcut=identity", test_error=5 + 0.1 * (seed % 3))
            write("shortcut=gate", test_error=9 - 0.1 * (seed % 2))
            write("shortcut=none", test_error=5 + 0.1 * ((seed + 1) % 3))  # open after four seeds of ten

    monkeypatch.setattr(wall_time, "carry_out", carry_out)
    said = ask("bench", "verdict", "depth=8", "--out", str(tmp_path))
    assert said.status == 0, said.err
    (found,) = json.loads((tmp_path / "verdict.json").read_text())["workloads"].values()
    assert found["settings"] == {
        "runs with seed=range(10)": 30,
        "runs with seeds=auto": 12,
        "rows with the same verdict": "1 of 2",
    }
    assert [*found["wall time"]] == ["seed=range(10)", "seeds=auto"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("speed", "depth=7"), "depth 7 is not 6n+2; nearest: 8, 14"),
        (("records", "foo=1"), "there is no key 'foo'"),
        (("grid", "depth=9", "shortcut=identity,none"), "the measured command failed: ablate -m depth=9"),
        (("loader", "depth=8"), "data=digits is not read while training: add data=imagenet data.root=FOLDER"),
        (("speed", "--rounds", "0"), "--rounds must be 1 or more, and --seconds more than 0"),
        (("speed", "--seconds", "inf"), "--rounds must be 1 or more, and --seconds more than 0"),
    ],
)
def test_wrong_request_is_one_sentence(ask, words, sentence):
    said = ask("bench", *words)
    assert said.status == 2
    assert said.err.splitlines()[-1].startswith(f"ablate bench: {sentence}")


def test_broken_shortcut_is_one_sentence(ask, tmp_path, monkeypatch):
    base = "from ablate.models.shortcuts import Identity\n"
    code = base + "class Broken(Identity):\n    def forward(self, x, residual): raise KeyError('broken')\n"
    (tmp_path / "broken.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    said = ask("bench", "speed", *QUICK, "shortcut._target_=broken.Broken", "--rounds", "1", "--seconds", "0.01")
    assert said.status == 1
    assert said.err.splitlines()[-1] == "ablate bench: KeyError: 'broken'"
    assert "Traceback" not in said.err


def test_folder_that_cannot_be_written_is_found_before_measuring(ask, tmp_path):
    (tmp_path / "file").write_text("")
    said = ask("bench", "speed", *QUICK, "--out", str(tmp_path / "file" / "out"))
    assert said.status == 1
    (line,) = said.err.splitlines()
    assert line.endswith("cannot be read or written: Not a directory")


def test_threads_are_measured_on_an_idle_machine_and_beside_busy_processes(monkeypatch):
    asked = []
    monkeypatch.setattr(busy, "cores", lambda: 2)
    monkeypatch.setattr(busy, "_speed", lambda words: asked.append((len(busy_children()), words[-1])) or 10.0)
    monkeypatch.setattr(compare, "say", lambda *_, **__: None)
    before = len(busy_children())
    found = busy.threads(["depth=8"], rounds=1)
    choices = ["depth=8", "threads=1", "threads=2"]
    assert asked == [(before + count, word) for count in (0, 2) for word in choices]
    assert list(found) == ["beside 0 busy processes", "beside 2 busy processes"]
    assert len(busy_children()) == before


def busy_children():
    return [child for child in psutil.Process().children() if "while True: pass" in child.cmdline()]


def test_cost_of_probes_is_that_of_measured_steps(ask, tmp_path):
    words = ("depth=8", "threads=1", "device=cpu", "probe_every=2")
    said = ask("bench", "probes", *words, "--rounds", "1", "--out", str(tmp_path))
    assert said.status == 0, said.err
    (workload,) = json.loads((tmp_path / "probes.json").read_text())["workloads"].values()
    assert workload["settings"] == {"batch": 64, "probe_every": 2, "steps": 4}
    assert list(workload["training"]) == ["probes=none", "probes=signal"]
    assert all(figures["images/s"]["min"] > 0 for figures in workload["training"].values())


def test_benchmark_that_is_terminated_ends_what_it_measures(tmp_path):
    words = ("bench", "tracker", *QUICK, "iterations=1000000")
    process = Command(*words, cwd=tmp_path, environment={"TMPDIR": str(tmp_path)})
    until(lambda: psutil.Process(process.pid).children(), process, "the measured command")
    (measured,) = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert not measured.is_running()
    assert not list(tmp_path.iterdir())
