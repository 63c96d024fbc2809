"""Rows at values of their own: the choice, the two tables, and what a damaged plan says."""

import json
import math

import pytest

from ablate.base.errors import AblateError
from ablate.report import records, tuning
from ablate.report.aggregate import cells
from ablate.runs import layout
from tests.grid.tuned import RATE, distance


@pytest.mark.parametrize(
    ("errors", "losses", "place"),
    [
        ([[5.0, 3.0, 4.0]], [[1.0, 1.0, 1.0]], (0, 1)),
        ([[3.0, 3.0, 3.0]], [[1.0, 0.5, 0.5]], (0, 1)),  # equal errors: the lower loss, then the first
        ([[math.inf, 90.0]], [[math.inf, 2.3]], (0, 1)),
        ([[math.inf, math.inf]], [[math.inf, math.inf]], (0, 0)),
        ([[9.0, 2.0], [4.0, 8.0], [7.0, 6.0]], [[1.0, 1.0]] * 3, (1, 0)),  # best 2, 4, 6: the median is 4
        ([[9.0, 2.0], [4.0, 8.0]], [[1.0, 1.0]] * 2, (0, 1)),  # of two, the lower
    ],
)
def test_choice(errors, losses, place):
    assert tuning.choose(errors, losses) == place


@pytest.fixture
def tuned(ask, trained, tmp_path):
    """Two rows whose best learning rates are 0.1 and 0.3, which is the end of the interval."""
    trained(identity=distance(0.1), gate=distance(0.3))
    words = ("-m", "name=fair", "depth=8", "iterations=2", "shortcut=identity,gate", "seed=0,1,2")
    assert ask(*words, "tune.trials=8", RATE).status == 0
    return tmp_path / "runs"


def test_the_two_tables_have_their_own_runs(tuned):
    read = records.read(tuned, "fair")
    found = tuning.Tuning.read(read.design, [tuned])
    common, own = cells(tuning.at_common(read.runs, found)), cells(tuning.at_own(read.runs, found))
    assert [*common.label] == [*own.label] == ["identity", "gate bias_init=-6"]
    assert [*common.n] == [*own.n] == [3, 3]
    rates = [row.values["recipe.learning_rate"] for row in found.rows]
    identity, gate = (5 + 10 * abs(math.log10(rate / best)) for rate, best in zip(rates, (0.1, 0.3), strict=True))
    over_seeds = (0.0 + 0.3 + 0.1) / 3
    assert own["mean"][0] == pytest.approx(identity + over_seeds, abs=0.01)
    assert common["mean"][0] == pytest.approx(5 + 10 * math.log10(5) + over_seeds, abs=0.01)
    # Rows differ in the learning rate, and are compared all the same.
    assert own.difference[1] == pytest.approx(gate - over_seeds - identity - over_seeds, abs=0.01)


def test_no_run_at_the_common_values_is_one_sentence(ask, tuned):
    outcome = ask("report", "../runs", "--experiment", "fair", "--where", "recipe.learning_rate=0.193")
    assert outcome.status == 1
    assert "no run at the common values is left: run the experiment's command again" in outcome.err


def test_the_report_has_both_tables_and_what_was_chosen(ask, tuned, tmp_path):
    outcome = ask("report", "../runs", "--experiment", "fair", "--out", "../out")
    assert (outcome.status, outcome.err) == (0, "")
    assert "Each row at its own values." in outcome.out
    assert "(the largest tried)" in outcome.out
    assert "a wider interval may have a better value: gate bias_init=-6." in outcome.out
    for name in ("table", "own", "tuning"):
        assert {path.suffix for path in (tmp_path / "out").glob(f"{name}.*")} == {".md", ".csv", ".tex"}
    drawn = {path.name for path in (tmp_path / "out" / "figures").glob("tuning*.svg")}
    assert drawn == {"tuning.svg", "tuning-recipe_learning_rate.svg"}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Held-out error by recipe.learning_rate" in page
    assert page.count("own recipe.learning_rate") == 1


def test_names_are_those_of_the_report(ask, tuned, tmp_path):
    (tmp_path / "names.yaml").write_text("gate bias_init=-6: shortcut-only gating\n")
    outcome = ask("report", "../runs", "--experiment", "fair", "--names", "../names.yaml")
    assert outcome.out.count("shortcut-only gating") >= 3
    assert "gate bias_init=-6" not in outcome.out


def test_a_lost_trial_or_a_damaged_plan_gets_a_sentence(tuned):
    design = records.read(tuned, "fair").design
    for damage in ({"rows": 3}, {"intervals": []}, {"rows": [{}]}, {"trials": "nothing"}):
        with pytest.raises(AblateError):
            tuning.Tuning.read({"tuning": design["tuning"] | damage}, [tuned])
    with pytest.raises(AblateError, match="a plan of this experiment is damaged"):
        tuning.Tuning.read({"tuning": 3}, [tuned])
    row = design["tuning"]["rows"][0]
    lost = {**row, "studies": [["digits-identity-d8-s0-0123456789abcdef"]]}
    with pytest.raises(AblateError, match="1 trials of fair-trials are not there"):
        tuning.Tuning.read({"tuning": {**design["tuning"], "rows": [lost]}}, [tuned])


def test_a_plan_with_an_impossible_most_is_named(ask, tuned):
    (plan,) = (tuned / layout.PLANS / "fair").glob("*.json")
    content = json.loads(plan.read_text())
    for most in (2, 10**9, "10", None):
        plan.write_text(json.dumps(content | {"design": {"most_seeds": most}}))
        outcome = ask("report", "../runs")
        assert f"{plan.name} cannot be read" in outcome.err
        assert "Traceback" not in outcome.err
