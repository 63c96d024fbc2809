"""Records that were edited by hand, copied or torn are named and left out, and the others are read."""

import json
from dataclasses import asdict

import pytest
import yaml

from ablate.commands import status
from ablate.runs import memory
from ablate.runs.reading import PLANS, read_runs

GATE = ("depth=8", "shortcut=gate")


def edit(file, change):
    """Let `change` spoil what a file says."""
    tree = json.loads(file.read_text()) if file.suffix == ".json" else yaml.safe_load(file.read_text())
    change(tree)
    file.write_text(json.dumps(tree))  # which is YAML too


@pytest.fixture
def study(write, tmp_path):
    write(*GATE, "seed=1", test_error=2.0)
    return tmp_path / "runs"


def left_out(runs, folder, capsys):
    """What is said of `folder`, the only one that is left out, by the reader and by a command that shows the rest."""
    found = read_runs(runs)
    (sentence,) = found.unread
    assert folder.name in sentence
    assert "\n" not in sentence
    for arguments in ([], ["--json"], ["--failed"]):
        assert status.main([str(runs), *arguments]) == 0
    capsys.readouterr()
    return sentence


NUMBERS = ("test_error", "best_test_error", "train_loss", "parameters", "seconds", "images_per_second", "steps")


@pytest.mark.parametrize("value", ["3.0", [3.0], True])
@pytest.mark.parametrize("key", NUMBERS)
def test_a_number_that_is_none_is_named(study, write, key, value, capsys):
    folder = write(*GATE, test_error=1.0)
    edit(folder / "result.json", lambda tree: tree.update({key: value}))
    assert f"its {key} is" in left_out(study, folder, capsys)


def test_a_number_that_is_null_or_absent_is_none(study, write):
    folder = write(*GATE, test_error=1.0, images_per_second=None)
    edit(folder / "result.json", lambda tree: tree.pop("train_loss"))
    assert not read_runs(study).unread


@pytest.mark.parametrize("key", ["git", "versions"])
def test_what_should_be_a_list_of_facts_and_is_not_is_named(study, write, key, capsys):
    folder = write(*GATE, test_error=1.0)
    edit(folder / "result.json", lambda tree: tree.update({key: "mine"}))
    assert f"its {key} is 'mine'" in left_out(study, folder, capsys)


SPOILT = {
    "seed": lambda tree: tree.update(seed="one"),
    "depth": lambda tree: tree.update(depth=None),
    "shortcut": lambda tree: tree.update(shortcut="gate"),
    "name": lambda tree: tree["shortcut"].pop("name"),
    "unit.name": lambda tree: tree["unit"].update(name={}),
    "batch": lambda tree: tree["recipe"].pop("batch"),
    "validation": lambda tree: tree["data"].update(validation="no"),
    "device": lambda tree: tree.pop("device"),
}


@pytest.mark.parametrize("how", ["ended", "under way", "missing"])
@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_configuration_that_lacks_what_is_read_is_named(study, write, spoil, how, capsys, resolve, monkeypatch):
    # Somebody who can compute signatures: what is missing is found without their help.
    monkeypatch.setattr("ablate.runs.reading.signature_and_cell", lambda tree: (tree["device"] and "-", "a cell"))
    for file in study.glob("*/result.json"):
        edit(file, lambda tree: tree.update(signature="-"))
    (study / next(study.iterdir()).name).rename(study / "good-")
    if how == "missing":
        tree = asdict(resolve(*GATE))
        spoil(tree)
        folder = study / "asked-"
        (study / PLANS / "mine").mkdir(parents=True)
        monkeypatch.setattr("ablate.runs.reading.cell", lambda tree: tree["device"])
        plan = study / PLANS / "mine" / "1.json"
        plan.write_text(json.dumps({"schema": 1, "runs": {folder.name: tree}}))
        if "device" not in tree:
            return  # a plan whose cells have no signature is refused as a whole
    else:
        folder = write(*GATE, ended=how == "ended", test_error=1.0).rename(study / "bad-")
        if how == "ended":
            edit(folder / "result.json", lambda tree: tree.update(signature="-"))
            edit(folder / "result.json", lambda tree: spoil(tree["config"]))
        else:
            edit(folder / "config.yaml", spoil)
    left_out(study, folder, capsys)


@pytest.mark.parametrize("ended", [True, False])
def test_a_copy_and_an_edited_configuration_are_named(study, write, ended, capsys):
    folder = write(*GATE, ended=ended, test_error=1.0)
    copy = folder.rename(folder.with_name(folder.name + "-copy"))
    assert "a copy" in left_out(study, copy, capsys)
    folder = copy.rename(folder)
    if ended:
        edit(folder / "result.json", lambda tree: tree["config"].update(depth=14))
    else:
        edit(folder / "config.yaml", lambda tree: tree.update(depth=14))
    assert "signature" in left_out(study, folder, capsys)


def test_what_is_remembered_was_verified(study, write, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(memory, "WORTHWHILE", 1)
    good = write(*GATE, test_error=1.0)
    bad = write(*GATE, "seed=2", test_error=1.0, seconds="ten")
    for _ in range(2):
        found = read_runs(study)
        assert good in [run.folder for run in found.runs]
        assert [bad.name in sentence for sentence in found.unread] == [True]
    (kept,) = (tmp_path / "cache").rglob("records-*.json")
    assert bad.name not in json.loads(kept.read_text())["runs"]
    older = json.loads(kept.read_text())
    older["form"][0] -= 1  # by a version that verified less
    older["runs"][good.name][1] = "failed"
    kept.write_text(json.dumps(older))
    assert {run.state for run in read_runs(study).runs} == {"finished"}
