"""Nobody reads, or nobody can: real processes whose streams are closed, dead, or without letters."""

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import ablate
from ablate.base.terminal import Quiet
from tests.waiting import LIMIT

ROOT = str(Path(ablate.__file__).resolve().parents[1])
TINY = ("depth=8", "iterations=2", "threads=1", "device=cpu")


def closed():
    """The end of a pipe whose reader is gone: EPIPE."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def dead():
    """A terminal whose window is gone: EIO."""
    window, terminal = pty.openpty()
    os.close(window)
    return terminal


def told(folder, module, *words, stream, **environment):
    """Run a command with both of its streams on `stream`; its exit status."""
    command = [sys.executable, "-m", module, *words]
    environment = {**os.environ, "PYTHONPATH": ROOT, **environment}
    try:
        return subprocess.run(
            command, cwd=folder, env=environment, stdout=stream, stderr=stream, timeout=LIMIT
        ).returncode
    finally:
        os.close(stream)


def states(folder):
    return [json.loads(path.read_text())["status"] for path in folder.glob("results/runs/*/result.json")]


@pytest.mark.parametrize(
    ("stream", "grid"),
    [(closed, ()), (dead, ()), (closed, ("-m", "seed=0,1")), (dead, ("-m", "seed=0,1", "hydra/launcher=joblib"))],
)
def test_training_goes_on_when_nobody_reads(tmp_path, stream, grid):
    assert told(tmp_path, "ablate", *grid, *TINY, stream=stream()) == 0
    assert states(tmp_path) == ["finished"] * (2 if grid else 1)


def test_letters_that_a_terminal_lacks_become_question_marks(tmp_path, process):
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    ran = process("ablate", *TINY, "shortcut.name='größer'", **ascii_only)
    assert (ran.status, ran.err, states(tmp_path)) == (0, "", ["finished"])
    assert "gr??er" in ran.out
    (folder,) = (tmp_path / "results" / "runs").glob("digits-*")
    for module, words in {"ablate", "status": (), "ablate", "replay": (str(folder),)}.items():
        outcome = process(module, *words, **ascii_only)
        assert (outcome.status, outcome.err) == (0, "")
        assert "gr??er" in outcome.out
        assert told(tmp_path, module, *words, stream=closed()) == 0


def test_what_is_left_in_a_buffer_is_no_second_complaint(tmp_path):
    script = "from ablate.base.terminal import say\nfor _ in range(3): say('x' * 100_000)\n"
    command = [sys.executable, "-c", script]
    writer = closed()
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": ROOT}, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=LIMIT
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_stream_is_no_error():
    stream = io.StringIO()
    stream.close()
    assert Quiet(stream).write("x") == 1
    Quiet(stream).flush()
