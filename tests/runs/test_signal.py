"""signal.jsonl over an interruption."""

from ablate.runs import layout
from tests.runs.test_run import only, stopped

WORDS = (
    "shortcut=gate",
    "depth=8",
    "iterations=22",
    "probes=signal",
    "probe_every=3",
    "device=cpu",
    "checkpoint.steps=1",
)


def test_resumed_run_has_the_lines_of_an_undisturbed_one(ask, monkeypatch, tmp_path):
    assert ask(*WORDS, f"results={tmp_path / 'whole'}").status == 0
    stopped(ask, monkeypatch, 7, *WORDS[:-1])
    assert ask(*WORDS).status == 0
    whole, resumed = (only(tmp_path / name) / layout.SIGNAL for name in ("whole", "runs"))
    assert len(whole.read_text().splitlines()) == 9  # steps 1, 2, 3, 6, 9, ..., 21
    assert resumed.read_text() == whole.read_text()


def test_run_that_diverges_in_its_first_epoch_keeps_the_lines(ask, tmp_path, strict_json):
    said = ask("depth=8", "device=cpu", "threads=1", "recipe.learning_rate=1e30", "iterations=10", "probes=signal")
    assert "diverged" in said.out
    (file,) = (tmp_path / "runs").glob("*/signal.jsonl")
    lines = [strict_json(line) for line in file.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 4, 8]
    assert min(lines[0]["gradient"]) > 0
    assert lines[-1]["gradient"] == [None] * 3  # not finite
