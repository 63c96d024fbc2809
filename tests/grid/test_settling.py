"""seeds=auto: which runs are asked for, stage by stage. Errors are written by hand, without training."""

import json

import pytest

from ablate.runs import layout

ROWS = ("-m", "name=study", "depth=8", "iterations=2")


def test_settled_rows_get_no_more_seeds(ask, trained, of):
    stages = trained(identity=5.0, gate=5.1, none=80.0, dropout=None)
    outcome = ask(*ROWS, "seeds=auto", "shortcut=identity,gate,none,dropout")
    assert (outcome.status, outcome.err) == (0, "")
    first = sorted(item for row in ("identity", "gate", "none", "dropout") for item in of(row, 0, 1, 2))
    later = [[*of("gate", *seeds), *of("identity", *seeds)] for seeds in ((3,), (4,), (5, 6), (7, 8, 9))]
    assert stages == [first, *later]
    assert "2 of 3 rows are settled with up to 3 seeds; 1 gets more" in outcome.out
    assert outcome.out.splitlines()[-1] == "3 of 3 rows are settled with up to 10 seeds"

    again = trained()
    assert ask(*ROWS, "seeds=auto", "shortcut=identity,gate,none,dropout").status == 0
    assert again == []


def test_the_table_says_how_many_seeds_each_row_took_and_why(ask, trained):
    trained(identity=5.0, gate=5.1, none=80.0, dropout=None)
    ask(*ROWS, "seeds=auto", "shortcut=identity,gate,none,dropout", "most_seeds=5")
    report = ask("report", "../runs", "--experiment", "study", "--columns", "verdict,n,settled,p")
    rows = {line.split("│")[1].split()[0]: line for line in report.out.splitlines() if line.startswith("│")}
    assert [word.strip() for word in rows["none"].split("│")[2:5]] == ["worse", "3", "separable: 3"]
    assert [word.strip() for word in rows["gate"].split("│")[2:5]] == [
        "not separable with 5 seeds",
        "5",
        "most seeds: 5",
    ]
    assert [word.strip() for word in rows["dropout"].split("│")[2:5]] == [
        "not tested: diverged",
        "3",
        "all diverged: 3",
    ]
    assert "compared at 3, 4 and 5 seeds" in report.out
    assert "requested in steps" not in report.out


def test_a_plain_grid_is_continued(ask, trained, of):
    stages = trained(identity=5.0, gate=5.1)
    assert ask(*ROWS, "seed=range(4)", "shortcut=identity,gate").status == 0
    stages.clear()
    assert ask(*ROWS, "seeds=auto", "most_seeds=7", "shortcut=identity,gate").status == 0
    assert stages[0] == [*of("gate", 4), *of("identity", 4)]


def test_on_a_cluster_the_same_command_continues(ask, trained, of):
    stages = trained(leave=True, identity=5.0, gate=5.1)
    words = (*ROWS, "seeds=auto", "shortcut=identity,gate")
    first = ask(*words)
    assert (
        "study: up to 3 of at most 10 seeds were asked for; the same command, once they have ended, continues"
        in first.out
    )
    assert ask(*words).status == 0
    assert stages[1] == [*of("gate", 3), *of("identity", 3)]


def test_an_experiments_list_of_seeds_is_replaced(ask, trained, of):
    stages = trained(identity=5.0, none=80.0)
    words = ("shortcut=identity,none", "depth=8", "iterations=2", "seeds=auto", "hydra/launcher=basic")
    assert ask("-m", "+experiment=quickstart", *words).status == 0
    assert stages == [[*of("identity", 0, 1, 2), *of("none", 0, 1, 2)]]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("seeds=3",), "seeds=3 is invalid: use auto, or seed=0,1,2 for these seeds"),
        (("seeds=auto", "seed=0,1"), "seed and seeds=auto are both given: give one of them"),
        (("seeds=auto", "pairs=zip(seed=[0,1],width=[1,2])"), "seed and seeds=auto are both given: give one of them"),
        (("seeds=auto,null",), "seeds=auto,null is a list: give one value"),
        (("seeds=auto", "most_seeds=3,4"), "most_seeds=3,4 is a list: give one value"),
        (("seeds=auto", "results=a,b"), "results=a,b is a list: give one value"),
        (("seeds=auto", "most_seeds=2"), "most_seeds=2 is invalid: use 3 to 1000"),
        (("most_seeds=5",), "most_seeds=5 is for seeds=auto: add that, or leave it out"),
        (
            ("seeds=auto", "shortcut=gate,none"),
            "seeds=auto compares rows with shortcut=identity, all other settings equal",
        ),
        (("seeds=auto", "name=null"), "seeds=auto compares the rows of a named grid: add name=NAME"),
    ],
)
def test_what_cannot_be_settled_is_refused(ask, trained, words, sentence):
    stages = trained()
    outcome = ask("-m", "name=study", "depth=8", "iterations=2", "shortcut=identity,gate", *words)
    assert outcome.status == 2
    assert outcome.err.startswith(f"ablate: {sentence}")
    assert not stages


def test_rows_that_cannot_be_compared_are_not_called_settled(ask, trained, tmp_path):
    """A depth without the identity; and a grid in which no row has one."""
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "two.yaml").write_text(
        "# @package _global_\nexperiment: two\niterations: 2\nhydra: {mode: MULTIRUN, sweeper: {params: {rows: [\n"
        "  {shortcut: 'identity, none', depth: '8'}, {shortcut: none, depth: '14'}]}}}\n"
    )
    trained(identity=5.0, none=80.0)
    outcome = ask("-m", "+experiment=two", f"--config-dir={tmp_path / 'conf'}", "seeds=auto")
    assert outcome.status == 0, outcome
    last = "1 of 1 rows are settled with up to 3 seeds; 1 cannot be compared: see the report's verdict"
    assert outcome.out.splitlines()[-1] == last
    orders = ask(*ROWS, "seeds=auto", "unit.order=original,full_preactivation")
    assert orders.status == 2
    assert orders.err.startswith("ablate: seeds=auto compares rows with shortcut=identity, all other settings equal")


def test_rows_whose_baseline_diverged_stop(ask, trained):
    stages = trained(identity=None, gate=5.0, none=80.0)
    assert ask(*ROWS, "seeds=auto", "shortcut=identity,gate,none").status == 0
    assert len(stages) == 1


def test_a_verdict_stays_if_a_later_seed_of_the_baseline_diverges(ask, trained):
    trained(identity=lambda config: None if config.seed == 3 else 5.0, gate=5.1, none=80.0)
    assert ask(*ROWS, "seeds=auto", "most_seeds=4", "shortcut=identity,gate,none").status == 0
    report = ask("report", "../runs", "--experiment", "study", "--columns", "verdict,difference,settled")
    rows = {line.split("│")[1].split()[0]: line for line in report.out.splitlines() if line.startswith("│")}
    assert [word.strip() for word in rows["none"].split("│")[2:5]] == [
        *("worse", "+74.73 [+73.97, +75.49]", "separable: 3")  # 80 - 5 less twice the mean of SPREAD
    ]
    assert "not tested: the baseline diverged" in rows["gate"]


def test_an_edited_class_that_gave_no_result_is_not_a_row(ask, trained, tmp_path, monkeypatch):
    from ablate.grid import launcher
    from ablate.runs.attempt import Outcome

    module, folder = tmp_path / "editedshortcut.py", tmp_path / "conf" / "shortcut"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("name: mine\n_target_: editedshortcut.Mine\n")
    text = "from ablate.models.shortcuts import Identity\nclass Mine(Identity):\n    edition = 1\n"
    module.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    words = (*ROWS, "seeds=auto", "most_seeds=3", "shortcut=identity,mine", f"--config-dir={tmp_path / 'conf'}")
    with monkeypatch.context() as patch:
        patch.setattr(launcher.SerialLauncher, "carry_out", lambda _, records: [Outcome(1, "failed")] * len(records))
        assert ask(*words).status == 1
    module.write_text(text.replace("edition = 1", "edition = 2"))
    stages = trained(identity=5.0, mine=5.1)
    assert ask(*words).status == 0
    module.write_text(text.replace("edition = 1", "edition = 3"))
    outcome = ask(*words)
    assert outcome.status == 2
    assert outcome.err.startswith("ablate: study has 1 row that this command leaves out")
    assert len(stages) == 1


def test_dry_run_lists_the_stage_that_is_next(ask, trained):
    stages = trained(leave=True, identity=5.0, gate=5.1)
    words = (*ROWS, "seeds=auto", "most_seeds=4", "shortcut=identity,gate")
    first = ask(*words, "dry_run=true").out
    assert "6 runs;" in first
    assert first.splitlines()[-1].startswith("study: up to 3 of at most 4 seeds would be asked for")
    ask(*words)
    then = ask(*words, "dry_run=true").out
    assert "2 runs;" in then
    assert "seed 3" in then
    assert len(stages) == 1


@pytest.mark.parametrize("most", ["4.5", "true", '"4"', "null", "[]", "2", "}"])
def test_a_damaged_plan_is_written_again(ask, trained, tmp_path, most):
    trained(identity=5.0, none=80.0)
    words = (*ROWS, "shortcut=identity,none", "seeds=auto", "most_seeds=4")
    assert ask(*words).status == 0
    (plan,) = (tmp_path / "runs" / layout.PLANS / "study").glob("*.json")
    whole = plan.read_text()
    plan.write_text(whole.replace('"most_seeds": 4', f'"most_seeds": {most}'))
    assert plan.read_text() != whole
    damaged = ask("report", "../runs", "--experiment", "study")
    assert "cannot be read" in damaged.err
    again = ask(*words)
    assert (again.status, again.err) == (0, "")
    assert plan.read_text() == whole


def test_a_plain_request_keeps_the_design(ask, trained):
    trained(identity=5.0, none=80.0)
    words = (*ROWS, "shortcut=identity,none")
    assert ask(*words, "seeds=auto", "most_seeds=4").status == 0
    assert ask(*words, "seed=range(3)").status == 0
    assert ask(*words, "seeds=auto").err.startswith("ablate: study was begun with most_seeds=4")


def test_a_single_run_has_no_verdict(ask):
    assert ask("depth=8", "seeds=auto").err == "ablate: seeds=auto is for the runs of a grid: add -m\n"


def test_the_design_is_fixed_once_it_has_begun(ask, trained, tmp_path):
    trained(identity=5.0, gate=5.1, none=80.0)
    words = (*ROWS, "seeds=auto", "shortcut=identity,gate,none")
    assert ask(*words, "most_seeds=4").status == 0
    other = ask(*words)
    assert (other.status, other.err) == (
        2,
        "ablate: study was begun with most_seeds=4: give that, or another name\n",
    )
    fewer = ask(*ROWS, "seeds=auto", "shortcut=identity,gate", "most_seeds=4")
    assert fewer.status == 2
    assert fewer.err.startswith("ablate: study has 1 row that this command leaves out")
    for plan in (tmp_path / "runs" / layout.PLANS / "study").glob("*.json"):
        assert json.loads(plan.read_text())["design"] == {"most_seeds": 4}


def test_each_seed_has_a_name_of_its_own(ask, trained, tmp_path):
    trained(identity=5.0, gate=50.0)
    assert ask(*ROWS, "seeds=auto", "shortcut=identity,gate").status == 0
    plans = sorted((tmp_path / "runs" / layout.PLANS / "study").glob("*.json"))
    names = [tree["tracker"]["run"] for plan in plans for tree in json.loads(plan.read_text())["runs"].values()]
    assert sorted(names) == [f"{row} s{seed}" for row in ("gate bias_init=-6", "identity") for seed in range(3)]
