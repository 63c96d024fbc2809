"""What a run is on W&B, and what is read of a record that is odd, torn or hostile."""

import json
from dataclasses import asdict

import pytest
import yaml

from ablate.tracking import facts as module
from ablate.tracking.facts import facts, rows, run_id, summary

HOSTILE = "<img src=x onerror=alert(1)>" + "é" * 300


def test_names_beyond_all_bounds_are_cut(write, resolve):
    tree = asdict(resolve("shortcut=gate", "depth=8"))
    tree["shortcut"]["name"] = tree["data"]["name"] = tree["experiment"] = HOSTILE
    found = facts(write(tree=tree))
    assert max(map(len, found.tags)) <= module.TAG
    assert len(found.name) <= module.NAME
    assert len(found.group) <= module.NAME
    assert found.config["config"]["shortcut"]["name"] == HOSTILE  # the configuration itself is left whole


def test_an_id_has_no_sign_that_is_refused(write, resolve):
    tree = asdict(resolve("depth=8"))
    tree["shortcut"]["name"] = "a/b:c#d?e"
    assert set(facts(write(tree=tree)).id) <= set("0123456789abcdef")


def test_a_record_of_before_there_was_a_tracker_has_its_defaults(write, resolve):
    tree = asdict(resolve("depth=8"))
    del tree["tracker"]
    found = facts(write(tree=tree))
    assert (found.project, found.entity, found.name) == ("ablate", None, "identity d8 s0")


def test_an_id_counts_the_records_that_were_set_aside(write, tmp_path):
    folder = write("depth=8")
    signature = run_id(folder)
    aside = tmp_path / "runs" / "_archived"
    for number in (1, 2):
        (aside / f"{folder.name}.{number}").mkdir(parents=True)
    (aside / "digits-none-d8-s0-0123456789abcdef.1").mkdir()
    assert run_id(folder) == f"{signature}-3"


def test_in_a_sweep_id_project_and_entity_are_the_sweeps_and_stay_so_after_it(write, monkeypatch):
    folder = write("depth=8")
    monkeypatch.setenv("WANDB_RUN_ID", "given")
    assert run_id(folder) != "given"  # somebody's setting, and no sweep's
    for key, value in (("SWEEP_ID", "sweep"), ("PROJECT", "elsewhere"), ("ENTITY", "lab")):
        monkeypatch.setenv(f"WANDB_{key}", value)
    found = facts(folder)
    assert (found.id, found.project, found.entity, found.sweep) == ("given", "elsewhere", "lab", "sweep")
    note = {"id": "given", "project": "elsewhere", "entity": "lab", "sweep": "sweep"}
    (folder / module.LEDGER).write_text(json.dumps(note))
    for key in ("RUN_ID", "SWEEP_ID", "PROJECT", "ENTITY"):
        monkeypatch.delenv(f"WANDB_{key}")
    again = facts(folder)
    assert (again.id, again.project, again.entity) == ("given", "elsewhere", "lab")


def test_a_torn_line_waits_and_a_foreign_one_is_passed_over(write):
    folder = write("depth=8")
    lines = [
        {"step": 20, "test_error": 9.0, "probes": {"gradient/stage1": 0.5, "gate_openness/stage1": None}},
        {"step": 40.0, "test_error": None},
    ]
    whole = "".join(json.dumps(line) + "\n" for line in lines)
    path = folder / "metrics.jsonl"
    path.write_text(whole + '[1]\n{"no": "step"}\n\nnull\n{"step": "many"}\n' + '{"step": 60, "test_error": 3.')
    wanted = [{"step": 20, "test_error": 9.0, "gradient/stage1": 0.5}, {"step": 40}]
    assert rows(folder) == wanted
    path.write_text(whole + '{"step": 60, "test_error": 3.5}\n')
    assert rows(folder) == [*wanted, {"step": 60, "test_error": 3.5}]
    path.write_bytes(b"\xff\xfe\x00\n" + whole.encode())
    assert rows(folder) == wanted
    path.unlink()
    assert rows(folder) == []


def test_a_summary_takes_away_what_a_result_does_not_have():
    ended = {"status": "diverged", "test_error": None}
    assert summary({**ended, "config": {}}) == ended


@pytest.mark.parametrize("content", ["", "[]", "{", "null", yaml.safe_dump({"depth": 8})])
def test_what_is_no_configuration_is_no_record(content, tmp_path):
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(ValueError, match=r"config\.yaml"):
        facts(tmp_path)
