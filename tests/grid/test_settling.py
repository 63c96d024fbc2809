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
    assert "2 of 3 rows are settled with up to 3 seeds; 1 get more" in outcome.out
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
        (("seeds=auto", "most_seeds=2"), "most_seeds=2 is invalid: use 3 to 1000"),
        (("most_seeds=5",), "most_seeds=5 is for seeds=auto: add that, or leave it out"),
        (("seeds=auto", "shortcut=gate,none"), "seeds=auto compares rows with shortcut=identity: add it to the grid"),
        (("seeds=auto", "name=null"), "seeds=auto compares the rows of a named grid: add name=NAME"),
    ],
)
def test_what_cannot_be_settled_is_refused(ask, trained, words, sentence):
    stages = trained()
    outcome = ask("-m", "name=study", "depth=8", "iterations=2", "shortcut=identity,gate", *words)
    assert outcome.status == 2
    assert outcome.err.startswith(f"ablate: {sentence}")
    assert not stages


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
