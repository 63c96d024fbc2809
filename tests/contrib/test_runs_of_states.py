"""Runs of connections with a state: resumed, and with activation checkpointing, they end in the same bits."""

import json

import pytest

from tests.contrib.words import STATEFUL
from tests.runs.test_run import only, stopped


@pytest.mark.parametrize("name", sorted(STATEFUL))
def test_run_goes_on_where_it_was_stopped(name, ask, tmp_path, monkeypatch):
    words = (f"shortcut={name}", "unit.order=full_preactivation", "depth=8", "iterations=3", "device=cpu", "threads=1")
    assert ask(*words, f"results={tmp_path / 'whole'}", "activation_checkpointing=true").status == 0
    stopped(ask, monkeypatch, 2, *words, "probes=signal")
    assert ask(*words, "probes=signal").status == 0
    whole, resumed = (json.loads((only(tmp_path / one) / "result.json").read_text()) for one in ("whole", "runs"))
    assert resumed["resumed"] == 1
    assert resumed["weights_sha256"] == whole["weights_sha256"]
