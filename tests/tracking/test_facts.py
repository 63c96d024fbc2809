"""What W&B is sent of a record, and reading records that are torn or hostile."""

import json
from dataclasses import asdict

import pytest
import yaml

from ablate.tracking.facts import NAME, TAG, facts, rows, run_id, summary

HOSTILE = "<img src=x onerror=alert(1)>" + "é" * 300


def test_long_names_are_cut_to_the_limits(write, resolve):
    tree = asdict(resolve("shortcut=gate", "depth=8"))
    tree["shortcut"]["name"] = tree["data"]["name"] = tree["experiment"] = HOSTILE
    found = facts(write(tree=tree))
    assert max(map(len, found["tags"])) <= TAG
    assert len(found["name"]) <= NAME
    assert len(found["group"]) <= NAME
    assert found["config"]["config"]["shortcut"]["name"] == HOSTILE  # the configuration itself stays whole


def test_id_is_hexadecimal(write, resolve):
    tree = asdict(resolve("depth=8"))
    tree["shortcut"]["name"] = "a/b:c#d?e"
    assert set(facts(write(tree=tree))["id"]) <= set("0123456789abcdef")


def test_id_counts_archived_records(write, tmp_path):
    folder = write("depth=8")
    signature = run_id(folder)
    archived = tmp_path / "runs" / "_archived"
    for number in (1, 2):
        (archived / f"{folder.name}.{number}").mkdir(parents=True)
    (archived / "digits-none-d8-s0-0123456789abcdef.1").mkdir()
    assert run_id(folder) == f"{signature}-3"


def test_id_project_and_entity_of_a_sweep_are_kept_after_it(write, monkeypatch):
    folder = write("depth=8")
    monkeypatch.setenv("WANDB_RUN_ID", "given")
    assert run_id(folder) != "given"  # set by the user, not by a sweep
    for key, value in (("SWEEP_ID", "sweep"), ("PROJECT", "elsewhere"), ("ENTITY", "lab")):
        monkeypatch.setenv(f"WANDB_{key}", value)
    where = {"id": "given", "project": "elsewhere", "entity": "lab"}
    assert facts(folder).items() >= where.items()
    note = {**where, "sweep": "sweep"}
    (folder / "wandb.json").write_text(json.dumps(note))
    for key in ("RUN_ID", "SWEEP_ID", "PROJECT", "ENTITY"):
        monkeypatch.delenv(f"WANDB_{key}")
    assert facts(folder).items() >= where.items()


def test_torn_and_invalid_lines_are_skipped(write):
    folder = write("depth=8")
    lines = [
        {"step": 20, "test_error": 9.0, "probes": {"gradient/stage1": 0.5, "gate_openness/stage1": None}},
        {"step": 40, "test_error": None},
    ]
    whole = "".join(json.dumps(line) + "\n" for line in lines)
    path = folder / "metrics.jsonl"
    path.write_text(
        whole
        + '[1]\n{"no": "step"}\n\nnull\n{"step": "many"}\n{"step": 50, "probes": [1]}\n'
        + '{"step": 60, "test_error": 3.'
    )
    wanted = [{"step": 20, "test_error": 9.0, "gradient/stage1": 0.5}, {"step": 40}]
    assert rows(folder) == wanted
    path.write_text(whole + '{"step": 60, "test_error": 3.5}\n')
    assert rows(folder) == [*wanted, {"step": 60, "test_error": 3.5}]
    path.write_bytes(b"\xff\xfe\x00\n" + whole.encode())
    assert rows(folder) == wanted
    path.unlink()
    assert rows(folder) == []


def test_summary_keeps_null_numbers():
    ended = {"status": "diverged", "test_error": None}
    assert summary({**ended, "config": {}}) == ended


def test_summary_says_where_a_run_was_stopped():
    ended = {"status": "stopped", "reason": "at chance", "stopped_at": 120, "test_error": 90.0}
    assert summary({**ended, "config": {}}) == ended


@pytest.mark.parametrize("content", ["", "[]", "{", "null", yaml.safe_dump({"depth": 8})])
def test_invalid_configuration_is_a_value_error(content, tmp_path):
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(ValueError, match=r"config\.yaml"):
        facts(tmp_path)
