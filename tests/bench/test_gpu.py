"""`ablate bench gpu`, rehearsed on the CPU: each part ends well and writes its files; which parts there are."""

import json
import tarfile
import time

import pytest
import torch

from ablate.base.errors import AblateError
from ablate.bench import gpu, gpu_parts, parts
from ablate.bench.gpu import REHEARSAL, Sizes, asdict, planned
from ablate.bench.parts import LeftOut
from ablate.runs.archive import unpack
from ablate.runs.reading import read_runs

OUTCOMES = """
import pytest
pytestmark = pytest.mark.gpu

def test_a():
    assert 1 == 2

def test_b():
    pytest.skip("no MPS")

def test_c():
    pass
"""


@pytest.fixture
def rehearse(process, tmp_path):
    """`rehearse("speed-8")`: the parts that ended, all of them well, by name."""

    def rehearsed(*names):
        done = process("ablate", "bench", "gpu", *names, "--rehearse", "--out", "out", "--minutes", "20")
        assert done.status == 0, done.out + done.err + (tmp_path / "out" / "log.txt").read_text()[-3000:]
        found = json.loads((tmp_path / "out" / "gpu.json").read_text())["parts"]
        assert list(found) == list(names)
        assert [part["state"] for part in found.values()] == ["ok"] * len(names)
        page = (tmp_path / "out" / "gpu.md").read_text()
        for name, part in found.items():
            assert f"## {name}\n" in page
            assert parts.line(name, part) in done.out
            assert f"- {parts.line(name, part)}" in page
        return found

    return rehearsed


def test_speed_is_rehearsed(rehearse):
    (part,) = rehearse("speed-8").values()
    assert list(part["found"]) == ["settings", "training", "evaluation", "limit"]
    assert part["found"]["settings"] == {"batch": 16, "precision": "float32", "threads": 1}
    assert {"% of the bandwidth", "% of the arithmetic"} <= part["found"]["limit"].keys()


def test_packing_and_runs_are_rehearsed(rehearse, tmp_path):
    packed, table = (part["found"] for part in rehearse("packed-8", "table1-8").values())
    assert packed["runs at once"]["1"]["images/s"] > 0
    assert packed["limit"]["% reached by the harness"] > 0
    assert [run["state"] for run in table["runs"].values()] == ["finished"] * 2
    with tarfile.open(tmp_path / "out" / "records.tar.gz") as archive:
        assert sum(name.endswith("result.json") for name in archive.getnames()) == 2
    assert not (tmp_path / "out" / "checkpoints.tar.gz").exists()


def test_tests_of_training_are_rehearsed(rehearse):
    (part,) = rehearse("tests-training").values()
    outcomes = {row["outcome"] for row in part["found"]["tests"].values()}
    assert outcomes == {"passed"}
    assert part["sentence"] == f"{len(part['found']['tests'])} tests passed"


@pytest.mark.long
def test_other_parts_are_rehearsed(rehearse):
    found = rehearse("tests-compile", "tests-processes", "compiled-8")
    assert {name.removeprefix("harness, ") for name in found["compiled-8"]["found"]["training"]} == {
        *("harness", "compile=true", "graph and compile", "bfloat16, graph and compile")
    }


def test_every_part_is_rehearsed_and_the_most_valuable_come_first(tmp_path):
    names = [part.name for part in planned(Sizes(), None, tmp_path)]
    assert names[:5] == ["tests-training", "tests-compile", "tests-processes", "speed-110", "packed-110"]
    assert names[-1] == "table1-110"
    rehearsed = [part.name for part in planned(REHEARSAL, None, tmp_path)]
    assert {name.partition("-")[0] for name in names} == {name.partition("-")[0] for name in rehearsed}
    for part in planned(Sizes(), None, tmp_path):
        module, _, function = part.work.partition(":")
        assert callable(getattr(gpu_parts, function))
        assert module == gpu_parts.__name__


def test_failed_part_makes_the_status_1_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    def carry_out(part, results, whole, end, environment):
        if part.name == "machine":
            return {"state": "ok", "found": {"machine": {"GPU": "NVIDIA H200 (80%)"}}}
        state = {"speed-110": bad}.get(part.name, "ok")
        results.change(part.name, state=state, sentence="a sentence", found={})
        return results.part(part.name)

    monkeypatch.setattr(parts, "carry_out", carry_out)
    monkeypatch.chdir(tmp_path)
    for bad, status in (("failed", 1), ("cut", 1), ("left out", 0), ("ok", 0)):
        assert gpu.gpu(9.0, [], None, None, rehearse=False) == status
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == len(planned(Sizes(), None, tmp_path)) + 1
        assert lines[3].startswith(f"{bad:<9} speed-110")
    assert (tmp_path / "results" / "bench" / "gpu-nvidia-h200-80" / "gpu.md").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        ((), 1, "torch finds no GPU; ablate bench gpu --rehearse does the same on the CPU, with tiny sizes"),
        (("speed-9", "--rehearse"), 2, "there is no part 'speed-9'; parts: tests-training, tests-compile, "),
        (("--minutes", "0"), 2, "--minutes must be more than 0"),
    ],
)
def test_wrong_request_is_one_sentence(ask, tmp_path, words, status, sentence):
    said = ask("bench", "gpu", *words, "--out", str(tmp_path / "out"))
    assert said.status == status
    (line,) = said.err.splitlines()
    assert line.startswith(f"ablate bench: {sentence}")
    assert not (tmp_path / "out" / "gpu.json").exists()


def test_table_without_images_is_left_out_on_a_gpu(tmp_path):
    with pytest.raises(LeftOut, match="add --data FOLDER"):
        gpu_parts.table1(lambda *_: None, 0.0, asdict(Sizes()), 110, None, str(tmp_path))


def test_tests_that_fail_are_named(monkeypatch, tmp_path):
    folder = tmp_path / "tests" / "gpu"
    folder.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\nmarkers = ['gpu: x']\n")
    (folder / "test_x.py").write_text(OUTCOMES)
    monkeypatch.setattr(gpu_parts, "ROOT", tmp_path)
    kept = {}
    with pytest.raises(AblateError, match=r"^1 of 3 tests failed: test_a failed: assert 1 == 2$"):
        gpu_parts.tests(kept.__setitem__, 0.0, "test_x.py")
    outcomes = {"test_a": "failed: assert 1 == 2", "test_b": "skipped: no MPS", "test_c": "passed"}
    assert kept["tests"] == {name: {"outcome": outcome} for name, outcome in outcomes.items()}


@pytest.mark.long
def test_runs_that_do_not_fit_can_be_resumed_from_the_archive(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_parts, "BEGINNING", 0.0)
    monkeypatch.setattr(gpu_parts, "SAFETY", 100.0)
    results = parts.Results(tmp_path, "gpu")
    results.change("packed-8", state="ok", found={"runs at once": {"1": {"images/s": 500.0, "GiB": 0.5}}})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(parts.ROOT))
    kept, until = {}, time.monotonic() + gpu_parts.STOPPING + 20
    sizes = asdict(REHEARSAL) | {"iterations": 64_000}
    sentence = gpu_parts.table1(kept.__setitem__, until, sizes, 8, None, str(tmp_path))
    assert time.monotonic() < until
    assert sentence.endswith(" 1 interrupted")
    unpack(tmp_path / "checkpoints.tar.gz", tmp_path / "again")
    (run,) = read_runs(tmp_path / "again").runs
    assert (run.state, (run.folder / "checkpoint.pt").exists()) == ("interrupted", True)
