"""The benchmark runs, counts what it says, and keeps its figures; how fast anything is, no test says."""

import functools
import json
import operator

import pytest
import torch
from ablate.bench.process import BenchmarkProcess
from torch import nn

from ablate.base.errors import AblateError
from ablate.bench import limits, tables
from ablate.bench.reference import Reference
from ablate.bench.speed import HARNESS, REFERENCE, TEN_LINES, _training
from ablate.commands import bench as bench
from ablate.commands.bench import main
from ablate.models.cost import multiply_adds


def test_the_limit_is_the_slower_of_moving_and_multiplying():
    slow_memory = limits.Limit(bytes=10**9, operations=10**9, bandwidth=1e9, rate=1e12)
    assert (slow_memory.seconds, slow_memory.bound) == (1.0, "memory")
    slow_arithmetic = limits.Limit(bytes=10**6, operations=10**12, bandwidth=1e9, rate=1e11)
    assert (slow_arithmetic.seconds, slow_arithmetic.bound) == (10.0, "arithmetic")


def test_what_a_step_must_move_and_multiply_is_counted_by_hand(resolve):
    from ablate.training import setup as trial

    step, _ = trial.prepare(resolve("depth=8", "device=cpu", "precision=float32"), pytest.fail)
    found = limits.limit(step)
    # The stem and two convolutions a stage: 3 outputs of 16x8x8, 2 of 32x4x4, 2 of 64x2x2.
    assert found.bytes == 5 * 4 * 64 * (3 * 1024 + 2 * 512 + 2 * 256)
    assert found.operations == 6 * 64 * multiply_adds(step.net, (1, 8, 8))
    assert found.bandwidth > 1e8
    assert found.rate > 1e8


def test_a_matrix_product_is_counted_as_two_operations_a_multiply_add(monkeypatch):
    monkeypatch.setattr(limits, "_best", lambda what, device: 0.5)
    products = 2 * 1024**3, 2 * 16 * 16 * 16 * 128 * 128 * 9
    assert limits.matrix_rate(torch.device("cpu"), torch.float32) == max(products) / 0.5
    assert limits.bandwidth(torch.device("cpu")) == 2 * 2**28 / 0.5


@pytest.mark.parametrize(
    ("shortcut", "wanted"),
    [
        ("identity", {torch.bfloat16: 7}),  # at depth 8 a stem and six
        ("gate", {torch.bfloat16: 7, torch.float32: 3}),  # h(x) is computed in float32, whatever the rest is
    ],
)
def test_each_convolution_of_a_step_is_called_in_its_own_precision(shortcut, wanted, resolve, monkeypatch):
    from ablate.training import setup as trial

    step, _ = trial.prepare(resolve("depth=8", f"shortcut={shortcut}", "device=cpu", "precision=bfloat16"), pytest.fail)
    called = []
    monkeypatch.setattr(limits, "_seconds", lambda one, device: called.append(one) or 1.0)
    assert limits.convolutions(step) == sum(wanted.values())
    assert {one.dtype for one in called} == set(wanted)
    assert [one.of_images for one in called].count(True) == 1


def test_a_contestant_apart_answers_and_one_that_fails_is_a_sentence():
    with BenchmarkProcess(functools.partial, operator.mul, 2.0) as apart:
        assert [apart(1.5), apart(2.0)] == [3.0, 4.0]
    with (
        pytest.raises(AblateError, match="ZeroDivisionError: division by zero"),
        BenchmarkProcess(operator.truediv, 1, 0) as dead,
    ):
        dead(1.0)
    assert not apart.process.is_alive()
    assert not dead.process.is_alive()


def test_what_is_changed_for_a_contestant_is_changed(resolve):
    changed, after = [], []
    _training(resolve("depth=8", "device=cpu", "threads=1"), changed.append, after.append)(0.0)
    assert len(changed) == 1
    assert len(after) == 4


def test_the_reference_loop_trains(resolve):
    reference = Reference(resolve("depth=8", "epochs=3", "device=cpu"))
    assert isinstance(reference.net, nn.Module)
    assert reference.run() < 50  # of ten classes; the harness gets there in as many epochs


def test_speed_is_measured_and_kept(tmp_path, capsys):
    words = ["speed", "depth=8", "device=cpu", "threads=1", "--rounds", "1", "--seconds", "0.01"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    (setting,) = json.loads((tmp_path / "out" / "speed.json").read_text())["settings"].values()
    speeds = setting["images_per_second"]
    assert {REFERENCE, HARNESS, TEN_LINES, "harness in bfloat16", "harness, memory given back"} < set(speeds)
    assert all(0 < spread["min"] <= spread["median"] <= spread["max"] for spread in speeds.values())
    ratio = setting["against_reference"][HARNESS]["median"]
    assert ratio == pytest.approx(speeds[HARNESS]["median"] / speeds[REFERENCE]["median"])
    assert set(setting["parts_ms"]) == {"batch", "forward", "loss", "backward", "SGD", "books"}
    whole = 1000 * 64 / speeds[HARNESS]["median"]
    assert 0 < setting["convolutions_ms"] < whole
    page = (tmp_path / "out" / "speed.md").read_text()
    assert page in capsys.readouterr().out
    assert "| harness | " in page


def test_a_grid_is_measured_against_the_reference_loop(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["grid", "depth=8", "epochs=2", "shortcut=identity,none", "pack=2", "threads=1", "device=cpu"]
    assert main([*words, "--out", "out"]) == 0
    (grid,) = json.loads((tmp_path / "out" / "grid.json").read_text())["grids"].values()
    assert (grid["runs"], grid["images"], grid["runs_at_once"]) == (2, 2 * 40 * 64, [2])
    assert grid["times_faster"] == grid["seconds"]["reference loop"] / grid["seconds"]["harness"]


def test_bad_words_are_one_sentence(capsys, tmp_path, monkeypatch):
    assert main(["grid", "depth=9", "shortcut=identity,none"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("ablate.bench: there is no such grid: depth=9")
    with pytest.raises(SystemExit):
        main(["speed", "--rounds", "0"])
    (tmp_path / "file").write_text("")
    with monkeypatch.context() as patch:
        patch.setattr(tables, "markdown", lambda found: "")
        patch.setitem(bench.WHAT, "speed", lambda options: {})
        assert main(["speed", "--out", str(tmp_path / "file" / "out")]) == 1
    assert "cannot be written: Not a directory" in capsys.readouterr().err
    for words in (["speed", "seed=0,1"], ["records", "foo=1"], ["speed", ""], ["tracker", "depth=7", "--rounds", "1"]):
        assert main(words) == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith("ablate.bench: ")
    with pytest.raises(SystemExit):
        main(["speed", "--seconds", "inf"])
    assert main(["speed", "depth=8", "recipe.batch=600"]) == 2
    assert "an epoch of 2 steps is too short to be measured" in capsys.readouterr().err
    assert main(["speed", "depth=7"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "ablate.bench: depth 7 is not 6n+2; nearest: 8, 14"
