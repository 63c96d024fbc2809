"""Processes whose output streams are closed, broken, or lack a glyph."""

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import ablate
from ablate.base.terminal import Quiet, console, plain, say
from tests.waiting import LIMIT

ROOT = str(Path(ablate.__file__).resolve().parents[1])
TINY = ("depth=8", "iterations=2", "threads=1", "device=cpu")


def closed_pipe():
    """The end of a pipe without a reader: EPIPE."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def closed_terminal():
    """A terminal whose window is closed: EIO."""
    window, terminal = pty.openpty()
    os.close(window)
    return terminal


def status_of(folder, *words, stream):
    """The exit status of `ablate WORDS` with both of its streams on `stream`."""
    command = [sys.executable, "-m", "ablate", *words]
    environment = {**os.environ, "PYTHONPATH": ROOT}
    try:
        return subprocess.run(
            command, cwd=folder, env=environment, stdout=stream, stderr=stream, timeout=LIMIT
        ).returncode
    finally:
        os.close(stream)


def statuses(folder):
    return [json.loads(path.read_text())["status"] for path in folder.glob("results/runs/*/result.json")]


@pytest.mark.parametrize(
    ("stream", "grid"),
    [(closed_pipe, ()), (closed_terminal, ("-m", "seed=0,1", "hydra/launcher=joblib"))],
)
def test_training_goes_on_without_a_reader(tmp_path, stream, grid):
    assert status_of(tmp_path, *grid, *TINY, stream=stream()) == 0
    assert statuses(tmp_path) == ["finished"] * (2 if grid else 1)


def test_missing_glyphs_become_question_marks(tmp_path, process):
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    ran = process("ablate", *TINY, "shortcut.name='größer'", **ascii_only)
    assert (ran.status, ran.err, statuses(tmp_path)) == (0, "", ["finished"])
    assert "gr??er" in ran.out
    shown = process("ablate", "status", **ascii_only)
    assert (shown.status, shown.err) == (0, "")
    assert "gr??er" in shown.out
    assert status_of(tmp_path, "status", stream=closed_pipe()) == 0


def test_unwritten_output_raises_no_error_at_exit():
    script = "from ablate.base.terminal import say\nfor _ in range(3): say('x' * 100_000)\n"
    command = [sys.executable, "-c", script]
    writer = closed_pipe()
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": ROOT}, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=LIMIT
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_command_whose_output_finds_no_space_fails(tmp_path, write):
    write(test_error=5.0)
    for words in (("report",), ("status", "--json")):
        command = [sys.executable, "-m", "ablate", words[0], str(tmp_path / "runs"), *words[1:]]
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                command, env={**os.environ, "PYTHONPATH": ROOT}, stdout=full, stderr=subprocess.PIPE, text=True
            )
        assert done.returncode == 1
        assert done.stderr == f"ablate {words[0]}: the output could not be written: No space left on device\n"


def test_closed_stream_is_ignored():
    stream = io.StringIO()
    stream.close()
    assert Quiet(stream).write("x") == 1
    Quiet(stream).flush()


def test_output_to_a_file_is_wide_whatever_is_forced(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("COLUMNS", raising=False)
    console().print("x" * 200)
    assert "x" * 200 in capsys.readouterr().out


def test_printed_lines_have_no_control_characters(capsys):
    say("a\x1b[31mb")
    assert capsys.readouterr().out == "a\ufffd[31mb\n"


def test_control_characters_are_replaced():
    assert plain("a\x1b[31mb\nc\x7f") == "a\ufffd[31mb\nc\ufffd"
