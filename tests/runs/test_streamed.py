"""A run on a folder that is read while it trains, interrupted and resumed: real processes."""

import json
import os
import signal

import numpy
import psutil
import pytest

from ablate.runs import layout
from tests.data.images import write_images, write_varied
from tests.forked import Command
from tests.runs.test_resume import finish, metrics, only, result
from tests.waiting import held, until


@pytest.mark.long
def test_workers_of_a_killed_run_end(tmp_path):
    """Theirs is a fork server, which outlives the run: the default of Python 3.14."""
    root = write_images(tmp_path / "images")
    words = ("depth=8", "data=imagenet", f"data.root={root}", "data.size=32", "data.workers=2", "recipe.batch=8")
    process = Command(*words, held(tmp_path, "Identity", step=2), "device=cpu", "threads=1", cwd=tmp_path)
    until((tmp_path / "waits").exists, process, "a run that waits")
    started = psutil.Process(process.pid).children(recursive=True)
    assert len(started) >= 2
    process.kill()
    until(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in started))


@pytest.mark.long
@pytest.mark.parametrize("workers", [(2, 2), (2, 0), (0, 3)], ids=["workers", "then none", "none first"])
def test_imagenet_of_2000_varied_images_trains_evaluates_and_resumes(workers, tmp_path):
    """Ten steps an epoch; every process of the run gets SIGTERM in the third step of the second epoch, as by SLURM."""
    root = write_varied(tmp_path / "images", train=1600, test=400)
    words = ["net=resnet18", "data=imagenet", f"data.root={root}", "data.size=32", "recipe.batch=160", "iterations=15"]
    words += [held(tmp_path, "Identity", step=13), "device=cpu", "threads=1"]
    first, second = (f"data.workers={count}" for count in workers)
    process = Command(*words, first, "results=runs", cwd=tmp_path)
    until((tmp_path / "waits").exists, process, "a run that waits")
    os.killpg(process.pid, signal.SIGTERM)
    (tmp_path / "hold").unlink()
    status, _, err = finish(process)
    assert status == 128 + signal.SIGTERM, err
    assert result(tmp_path)["status"] == "interrupted"
    status, out, _ = finish(Command(*words, second, "results=runs", cwd=tmp_path))
    assert status == 0
    assert "resumed at step 13" in out
    whole = tmp_path / "whole"
    whole.mkdir()
    assert finish(Command(*words, first, f"results={whole / 'runs'}", cwd=tmp_path))[0] == 0
    assert result(tmp_path)["weights_sha256"] == result(whole)["weights_sha256"]
    assert metrics(tmp_path) == metrics(whole)
    assert [line["step"] for line in metrics(whole)] == [10, 15]
    predicted, true = numpy.load(only(whole) / layout.PREDICTIONS)
    assert numpy.bincount(true).tolist() == [40] * 10
    assert 100 * (predicted != true).mean() == pytest.approx(result(whole)["test_error"])
    status, out, err = finish(Command("evaluate", str(only(whole)), "--json", "--trust", cwd=tmp_path))
    assert status == 0, err
    assert json.loads(out)["error"] == result(whole)["test_error"]
