"""Parts of a benchmark: what remains of each, however it ends, and that the whole keeps to its time."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from ablate.bench import parts
from ablate.bench.parts import ENDING, Part, Results, carry_out
from tests.conftest import ROOT
from tests.waiting import until

WORK = "tests.bench.working_parts"


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path, "trial")


@pytest.fixture
def run(results):
    """`run("raises", 5.0)` carries out a part within so many seconds; the part and what is in the file of it."""

    def ran(name, seconds=60.0, **arguments):
        began = time.monotonic()
        part = carry_out(Part(name, f"{WORK}:{name}", 1.0, arguments), results, seconds, began + seconds, {})
        assert part == json.loads((results.folder / "trial.json").read_text())["parts"][name]
        return part

    return ran


def test_part_leaves_its_sentence_its_numbers_and_what_it_printed(run, results):
    part = run("works", sentence="it works: ½")
    assert (part["state"], part["sentence"], part["found"]) == ("ok", "it works: ½", {"numbers": {"a": 1.5}})
    assert "printed" in (results.folder / parts.LOG).read_text()
    page = (results.folder / "trial.md").read_text()
    assert "## works\n\nnumbers: a 1.50." in page
    assert "- ok        works" in page


@pytest.mark.parametrize(
    ("name", "state", "sentence", "found"),
    [
        ("raises", "failed", "KeyError: 'no such thing'", {"numbers": {"a": 2}}),
        ("refuses", "failed", "the disk is full", {}),
        ("exits", "failed", "SystemExit: custom code", {}),
        ("dies", "failed", "its process ended with SIGKILL: see log.txt", {"numbers": {"a": 4}}),
        ("needs", "left out", "it needs images", {}),
        ("absent", "failed", "AttributeError: module 'tests.bench.working_parts' has no attribute 'absent'", {}),
    ],
)
def test_part_that_fails_leaves_what_it_had_and_a_sentence(name, state, sentence, found, run, results):
    results.change("before", state="ok", sentence="kept", found={"numbers": {"b": 1}})
    part = run(name)
    assert (part["state"], part["sentence"], part["found"]) == (state, sentence, found)
    assert results.part("before")["found"] == {"numbers": {"b": 1}}


def test_part_that_hangs_is_cut_with_all_its_processes(run, tmp_path):
    began = time.monotonic()
    part = run("hangs", 12.0, pids=str(tmp_path / "pids"))
    assert time.monotonic() - began < 12
    assert part["state"] == "cut"
    assert part["sentence"].endswith("s, its budget")
    assert part["found"] == {"numbers": {"a": 3}}
    numbers = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(numbers) == 3
    assert not any(map(alive, numbers))


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_part_is_told_when_to_end(run, tmp_path):
    part = run("tidies", ENDING + 6, file=str(tmp_path / "file"))
    assert (part["state"], part["sentence"]) == ("ok", "ended by itself")
    assert part["seconds"] < 6


def test_share_is_of_the_whole_time(results, tmp_path):
    began = time.monotonic()
    part = Part("hangs", f"{WORK}:hangs", 0.2, {"pids": str(tmp_path / "pids")})
    assert carry_out(part, results, 40.0, began + 40, {})["state"] == "cut"
    assert time.monotonic() - began < 8


def test_part_without_time_is_not_begun(run, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("it began"))
    part = run("works", ENDING, sentence="")
    assert (part["state"], part["sentence"]) == ("cut", "no time was left")


def test_part_that_is_repeated_replaces_what_it_found(run, results):
    results.change("works", state="cut", sentence="", found={"old": {"a": 1}})
    assert run("works", sentence="")["found"] == {"numbers": {"a": 1.5}}


CALL = """
import signal, sys, time
from pathlib import Path
from ablate.bench.parts import Part, Results, carry_out
signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
part = Part("hangs", "tests.bench.working_parts:hangs", 1.0, {"pids": sys.argv[1] + "/pids"})
carry_out(part, Results(Path(sys.argv[1]), "trial"), 300.0, time.monotonic() + 300.0, {})
"""


def test_call_that_is_stopped_ends_its_part(tmp_path):
    environment = os.environ | {"PYTHONPATH": ROOT}
    process = subprocess.Popen([sys.executable, "-c", CALL, str(tmp_path)], env=environment)
    pids = tmp_path / "pids"
    until(lambda: pids.exists() and len(pids.read_text().split()) == 3, process, "the part's processes")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    assert not any(alive(int(line)) for line in pids.read_text().split())
