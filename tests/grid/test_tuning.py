"""tune.trials: which runs are asked for, what is chosen, and that no trial sees the test set."""

import json
import math

import pytest
import torch
import yaml

from ablate.runs import layout
from tests.grid.tuned import RATE, distance

ROWS = ("-m", "name=fair", "depth=8", "iterations=2", "shortcut=identity,gate")


def configs(folder):
    return {path.parent.name: yaml.safe_load(path.read_text()) for path in folder.glob("*/config.yaml")}


def test_each_row_gets_the_same_trials_and_its_own_best_value(ask, trained, tmp_path):
    stages = trained(identity=distance(0.1), gate=distance(0.01))
    outcome = ask(*ROWS, "seed=0,1", "tune.trials=8", RATE)
    assert (outcome.status, outcome.err) == (0, "")
    assert stages[0] == [("gate", 0)] * 8 + [("identity", 0)] * 8
    assert stages[1] == [(row, seed) for row in ("gate", "identity") for seed in (0, 1) for _ in ("common", "own")]

    found = configs(tmp_path / "runs").values()
    trials = [config for config in found if config["data"]["validation"]]
    assert {config["data"]["validation"] for config in trials} == {1297 // 5}
    tried = {
        row: sorted(config["recipe"]["learning_rate"] for config in trials if config["shortcut"]["name"] == row)
        for row in ("identity", "gate")
    }
    assert tried["identity"] == tried["gate"]
    assert len(set(tried["gate"])) == 8
    for row, best in (("identity", 0.1), ("gate", 0.01)):
        nearest = min(tried[row], key=lambda rate: abs(math.log10(rate / best)))
        finals = [config for config in found if config["shortcut"]["name"] == row and not config["data"]["validation"]]
        assert {config["recipe"]["learning_rate"] for config in finals} == {0.02, nearest}

    assert ask(*ROWS, "seed=0,1", "tune.trials=8", RATE).status == 0
    assert len(stages) == 2  # nothing is left to train


def test_seeds_until_settled_need_another_name(ask, trained):
    trained(identity=5.0, gate=6.0)
    assert ask(*ROWS, "seed=0,1", "tune.trials=2", RATE).status == 0
    outcome = ask(*ROWS, "seeds=auto")
    sentence = "ablate: fair is a study with tune.trials, whose seeds are fixed: give seeds=auto another name\n"
    assert (outcome.status, outcome.err) == (2, sentence)


def test_a_study_until_settled_cannot_be_tuned(ask, trained):
    trained(identity=5.0, gate=60.0)
    assert ask(*ROWS, "seeds=auto").status == 0
    outcome = ask(*ROWS, "seed=0,1", "tune.trials=2", RATE)
    assert (outcome.status, outcome.err) == (
        2,
        "ablate: fair was begun with seeds=auto: give tune.trials another name\n",
    )


def test_a_diverged_trial_is_the_worst(ask, trained, tmp_path):
    trained(identity=lambda config: None if config.recipe.learning_rate > 0.05 else distance(0.1)(config), gate=9.0)
    assert ask(*ROWS, "tune.trials=4", RATE).status == 0
    (plan,) = (tmp_path / "runs" / layout.PLANS / "fair").glob("*.json")
    rows = json.loads(plan.read_text())["design"]["tuning"]["rows"]
    assert rows[0]["values"]["recipe.learning_rate"] < 0.05


def test_a_trial_that_cannot_be_read_chooses_nothing(ask, trained, tmp_path):
    trained(leave=True, identity=9.0, gate=9.0)
    assert ask(*ROWS, "tune.trials=2", RATE).status == 0  # trials alone
    file = next((tmp_path / "runs").glob("digits-gate-*/result.json"))
    file.write_text(json.dumps({**json.loads(file.read_text()), "multiply_adds": 1e300}))
    stages = trained()
    outcome = ask(*ROWS, "tune.trials=2", RATE)
    sentence = "a trial of gate bias_init=-6 cannot be read: ablate report --experiment fair-trials says why"
    assert (outcome.status, outcome.err, stages) == (1, f"ablate: {sentence}\n", [])


def test_the_median_study_counts(ask, trained, tmp_path):
    shift = {0: 0.0, 1: 5.0, 2: 9.0}  # by the seed of the study, so the second is the median
    trained(identity=lambda config: distance(0.1)(config) + shift[config.seed], gate=9.0)
    outcome = ask(*ROWS, "tune.trials=2", "tune.studies=3", RATE)
    assert outcome.status == 0, outcome
    (plan,) = (tmp_path / "runs" / layout.PLANS / "fair").glob("*.json")
    rows = json.loads(plan.read_text())["design"]["tuning"]["rows"]
    assert rows[0]["chosen"][0] == 1
    assert [len(study) for study in rows[0]["studies"]] == [2, 2, 2]
    draws = {tuple(study) for study in rows[0]["studies"]}
    assert len(draws) == 3


def test_on_a_cluster_the_same_command_continues(ask, trained):
    stages = trained(leave=True, identity=distance(0.1), gate=9.0)
    words = (*ROWS, "tune.trials=2", RATE)
    assert "fair: 4 trials come first; the same command continues with 2 runs" in ask(*words).out
    assert ask(*words).status == 0
    assert [len(stage) for stage in stages] == [4, 4]


def test_an_experiment_says_what_is_tuned(ask, trained, tmp_path):
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "own.yaml").write_text(
        "# @package _global_\nexperiment: own\ndepth: 8\niterations: 2\ntune: {trials: 3, held_out: 100}\n"
        "hydra: {mode: MULTIRUN, sweeper: {params: {shortcut: 'identity, gate', seed: '0, 1',\n"
        "  recipe.learning_rate: 'tag(log, interval(0.003, 0.3))'}}}\n"
    )
    stages = trained(identity=distance(0.1), gate=distance(0.01))
    outcome = ask("-m", "+experiment=own", f"--config-dir={tmp_path / 'conf'}")
    assert (outcome.status, outcome.err) == (0, "")
    assert [len(stage) for stage in stages] == [6, 8]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("tune.trials=4",), "tune.trials draws values in intervals, and the grid has none"),
        (("tune.trials=0", RATE), "tune.trials=0 is invalid: use 1 or more"),
        (("tune.trials=4", RATE, "name=null"), "tune.trials is for a named grid: add name=NAME"),
        (("tune.trials=4", RATE, "data.validation=100"), "data.validation is set for the trials alone"),
        (("tune.trials=4", RATE, "seeds=auto"), "tune.trials and seeds=auto are both given: give one of them"),
        (
            ("tune.trials=4", RATE, "hydra.sweeper.samples=16"),
            "hydra.sweeper.samples and hydra.sweeper.seed are set by",
        ),
        (("tune.trials=4", RATE, "hydra.sweeper.seed=-5"), "hydra.sweeper.samples and hydra.sweeper.seed are set by"),
        (("tune.trials=4", "seed=int(interval(0,4))"), "seed cannot be tuned: give one value"),
        (("tune.trials=4", "data.validation=int(interval(9,99))"), "data.validation cannot be tuned: give one value"),
        (("tune.trials=2,4", RATE), "tune.trials=2,4 is a list: give one value, because it is for the whole grid"),
        (("tune.trials=4", RATE, "name=a,b"), "name=a,b is a list: give one value"),
        (("tune.held_out=5", RATE), "recipe.learning_rate=tag(log,interval(0.003,0.3)) needs a number of samples"),
        (
            ("tune.trials=4", RATE, "recipe.weight_decay=${recipe.learning_rate}"),
            "another key depends on recipe.learning_rate: trials of a row may differ in",
        ),
        (("tune.held_out=5",), "tune.studies and tune.held_out are for tune.trials=N"),
        (("tune.trials=4", RATE, "data=digits,cifar10"), "a fifth of the training images is another number for each"),
        (("tune.trials=4", RATE, "tune.held_out=1297"), "recipe.batch=64 is more than the 0 training images"),
    ],
)
def test_what_cannot_be_tuned_is_refused(ask, trained, words, sentence):
    stages = trained()
    outcome = ask(*ROWS, *words)
    assert outcome.status == 2
    assert outcome.err.startswith(f"ablate: {sentence}"), outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert not stages


def test_a_name_that_needs_quotes(ask, trained, tmp_path):
    trained(identity=distance(0.1), gate=9.0)
    outcome = ask(*ROWS, 'name="o\'brien, a&b"', "tune.trials=2", RATE)
    assert outcome.status == 0, outcome
    plans = {folder.name for folder in (tmp_path / "runs" / layout.PLANS).iterdir()}
    assert plans == {"o'brien, a&b", "o'brien, a&b-trials"}


def test_a_key_that_a_plus_adds(ask, trained, tmp_path):
    words = ("-m", "name=p", "depth=8", "iterations=2", "shortcut._target_=ablate.models.shortcuts.Dropout")
    trained(dropout=lambda config: 5 + abs(config.shortcut.get("p", 0.5) - 0.5))
    outcome = ask(*words, "tune.trials=4", "+shortcut.p=interval(0.1,0.9)")
    assert outcome.status == 0, outcome
    (plan,) = (tmp_path / "runs" / layout.PLANS / "p").glob("*.json")
    (row,) = json.loads(plan.read_text())["design"]["tuning"]["rows"]
    assert 0.3 < row["values"]["shortcut.p"] < 0.7
    assert ask("report", "../runs", "--experiment", "p").status == 0


def test_a_row_whose_trials_all_diverged_is_said_to_be(ask, trained):
    trained(identity=distance(0.1), gate=lambda config: None if config.data.validation else 9.0)
    outcome = ask(*ROWS, "tune.trials=2", RATE)
    assert "gate bias_init=-6: recipe.learning_rate=" in outcome.out
    assert outcome.out.count("; all of its trials diverged") == 1
    report = ask("report", "../runs", "--experiment", "fair").out
    assert report.count("(all trials diverged)") == 1


def test_where_leaves_rows_out_of_the_table_of_chosen_values(ask, trained):
    trained(identity=distance(0.1), gate=9.0)
    ask(*ROWS, "tune.trials=2", RATE)
    report = ask("report", "../runs", "--experiment", "fair", "--where", "shortcut=gate").out
    rows = [line for line in report.split("held-out")[1].splitlines() if line.startswith("│")]
    assert [row.split("│")[1].strip() for row in rows] == ["gate bias_init=-6"]


def test_an_archive_has_the_trials_and_the_last_choice(ask, trained, tmp_path):
    trained(identity=distance(0.1), gate=distance(0.01))
    for trials in (8, 16, 8):
        assert ask(*ROWS, f"tune.trials={trials}", RATE).status == 0
    report = ask("report", "../runs", "--experiment", "fair").out
    assert ask("archive", "../runs", "--experiment", "fair", "--out", "fair.tar.gz").status == 0
    assert ask("archive", "../taken", "--from", "fair.tar.gz").status == 0
    taken = ask("report", "../taken", "--experiment", "fair")
    assert (taken.status, taken.out) == (0, report)


def test_no_trial_reads_a_test_image_or_label(ask, tmp_path, monkeypatch):
    """With a test set of white images of a class that does not exist, trials end with the same bits.

    The runs after them, which are evaluated on it, fail: the poison works.
    """
    from ablate.data import digits

    words = ("-m", "name=fair", "depth=8", "iterations=20", "shortcut=identity,gate", "tune.trials=2", RATE)
    assert ask(*words, f"results={tmp_path / 'clean'}").status == 0

    def poisoned(load=digits.load_digits):
        dataset = load()
        dataset.test_x.fill_(255)
        dataset.test_y.fill_(99)
        return dataset

    monkeypatch.setattr(digits, "load_digits", poisoned)
    assert ask(*words, f"results={tmp_path / 'poisoned'}").status == 1

    def ended(folder):
        results = {path.parent: json.loads(path.read_text()) for path in (tmp_path / folder).glob("*/result.json")}
        trials = {run: result for run, result in results.items() if result["evaluated_on"] == "validation"}
        return trials, [result["status"] for run, result in results.items() if run not in trials]

    clean, finals = ended("clean")
    trials, failed = ended("poisoned")
    assert set(finals) == {"finished"}
    assert "finished" not in failed
    assert len(trials) == len(clean) == 4
    for run, result in clean.items():
        other = tmp_path / "poisoned" / run.name
        assert trials[other]["test_error"] == result["test_error"]
        assert (other / layout.PREDICTIONS).read_bytes() == (run / layout.PREDICTIONS).read_bytes()
        weights, same = (torch.load(one / layout.WEIGHTS, weights_only=True) for one in (run, other))
        assert all(torch.equal(weights[name], same[name]) for name in weights)
