"""Reading a folder of runs: edited, copied, torn and old records are named and left out, the others are read."""

import json
from dataclasses import asdict

import pytest
import yaml

from ablate.base.errors import AblateError
from ablate.runs.identity import SCHEMA, folder_name
from ablate.runs.layout import PLANS
from ablate.runs.reading import read_runs

GATE = ("depth=8", "shortcut=gate")


def edit(file, change):
    """Apply `change` to the tree in a JSON or YAML file."""
    tree = json.loads(file.read_text()) if file.suffix == ".json" else yaml.safe_load(file.read_text())
    change(tree)
    file.write_text(json.dumps(tree))  # which is YAML too


@pytest.fixture
def study(write, tmp_path):
    write(*GATE, "seed=1", test_error=2.0)
    return tmp_path / "runs"


@pytest.fixture
def left_out(study, ask):
    """The reader's sentence about `folder`, which must be the only one that it leaves out; `status` shows the rest."""

    def check(folder):
        (sentence,) = read_runs(study).unread
        assert folder.name in sentence
        assert "\n" not in sentence
        for option in ([], ["--json"], ["--failed"]):
            assert ask("status", str(study), *option).status == 0
        return sentence

    return check


NUMBERS = ("test_error", "best_test_error", "train_loss", "parameters", "seconds", "images_per_second", "steps")


@pytest.mark.parametrize("value", ["3.0", [3.0], True])
@pytest.mark.parametrize("key", NUMBERS)
def test_value_that_is_not_a_number_is_reported(write, key, value, left_out):
    folder = write(*GATE, test_error=1.0)
    edit(folder / "result.json", lambda tree: tree.update({key: value}))
    assert f"its {key} is" in left_out(folder)


def test_number_may_be_null_or_absent(study, write):
    folder = write(*GATE, test_error=1.0, images_per_second=None)
    edit(folder / "result.json", lambda tree: tree.pop("train_loss"))
    assert not read_runs(study).unread


@pytest.mark.parametrize("key", ["git", "versions", "code"])
def test_value_that_is_not_a_mapping_is_reported(write, key, left_out):
    folder = write(*GATE, test_error=1.0)
    edit(folder / "result.json", lambda tree: tree.update({key: "mine"}))
    assert f"its {key} is 'mine'" in left_out(folder)


DAMAGE = {
    "seed": lambda tree: tree.update(seed="one"),
    "depth": lambda tree: tree.update(depth=None),
    "shortcut": lambda tree: tree.update(shortcut="gate"),
    "name": lambda tree: tree["shortcut"].pop("name"),
    "unit.name": lambda tree: tree["unit"].update(name={}),
    "batch": lambda tree: tree["recipe"].pop("batch"),
    "validation": lambda tree: tree["data"].update(validation="no"),
    "device": lambda tree: tree.pop("device"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("state", ["ended", "unfinished", "missing"])
def test_incomplete_configuration_is_reported(study, write, damage, state, left_out, resolve):
    if state == "missing":
        tree = asdict(resolve(*GATE))
        folder = study / folder_name(tree)
        damage(tree)
        write_plan(study, {folder.name: tree})
    else:
        folder = write(*GATE, ended=state == "ended", test_error=1.0)
        if state == "ended":
            edit(folder / "result.json", lambda tree: damage(tree["config"]))
        else:
            edit(folder / "config.yaml", damage)
    left_out(folder)


@pytest.mark.parametrize("ended", [True, False])
def test_copied_record_and_edited_configuration_are_reported(write, ended, left_out):
    folder = write(*GATE, ended=ended, test_error=1.0)
    copy = folder.rename(folder.with_name(folder.name + "-copy"))
    assert "copied" in left_out(copy)
    folder = copy.rename(folder)
    if ended:
        edit(folder / "result.json", lambda tree: tree["config"].update(depth=14))
    else:
        edit(folder / "config.yaml", lambda tree: tree.update(depth=14))
    assert "signature" in left_out(folder)


def write_plan(study, runs, schema=SCHEMA, experiment="mine"):
    (study / PLANS / experiment).mkdir(parents=True, exist_ok=True)
    (study / PLANS / experiment / f"{len(runs)}.json").write_text(json.dumps({"schema": schema, "runs": runs}))


def test_records_and_plans_of_another_version_are_counted_in_one_sentence(study, write, ask):
    for seed, schema in ((2, 1), (3, 1), (4, SCHEMA + 1)):
        write(*GATE, f"seed={seed}", test_error=1.0, schema=schema)
    write_plan(study, {}, schema=1)
    sentence = f"{study}: left out 3 records and 1 grid plan of another version of ablate; train these runs again"
    assert read_runs(study).unread == [sentence]
    shown = ask("status", str(study))
    assert (shown.status, shown.err) == (0, f"ablate status: {sentence}\n")
    assert "1 of 1" in shown.out


def test_only_records_of_another_version_are_an_error(write, tmp_path):
    write(*GATE, test_error=1.0, schema=1)
    with pytest.raises(AblateError, match=r"left out 1 record of another version of ablate; train these runs again$"):
        read_runs(tmp_path / "runs")


def test_experiment_whose_only_plan_is_of_another_version_is_an_error(study):
    write_plan(study, {}, schema=1)
    with pytest.raises(
        AblateError, match=r"left out 1 grid plan of another version of ablate; train these runs again$"
    ):
        read_runs(study, "mine")


def test_runs_of_an_experiment_are_those_of_all_its_plans(study, resolve):
    asked = [(folder_name(tree), tree) for tree in (asdict(resolve(*GATE, f"seed={seed}")) for seed in (2, 3, 4))]
    write_plan(study, {})
    write_plan(study, dict(asked[:1]))
    write_plan(study, dict(asked[:2]))
    write_plan(study, dict(asked[2:]), experiment="other")
    assert [run.folder.name for run in read_runs(study, "mine").runs] == [name for name, _ in asked[:2]]
    assert len(read_runs(study).runs) == 4


def test_seeds_of_a_cell_keep_their_own_configuration(write, tmp_path):
    # Keys that are not part of the identity may differ from seed to seed.
    for seed, more in ((0, ("graph=true",)), (1, ()), (2, ("results=elsewhere",)), (3, ("graph=true",))):
        write(*GATE, f"seed={seed}", *more, test_error=1.0)
    runs = {run.config["seed"]: run.config for run in read_runs(tmp_path / "runs").runs}
    assert [runs[seed]["graph"] for seed in range(4)] == [True, False, False, True]
    assert [runs[seed]["results"] for seed in range(4)] == ["results/runs", "results/runs", "elsewhere", "results/runs"]
    assert runs[0]["recipe"] is runs[3]["recipe"]  # equal ones are one object, for a hundred thousand runs
