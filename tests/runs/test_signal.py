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
