"""Cells compared with their baseline: differences against scipy, the choice of the baseline, verdicts."""

import math

import numpy
import pytest
from scipy import stats as scipy_stats

from ablate.base.errors import ConfigError
from ablate.report import tables

IDENTITY = [6.0, 7.0, 8.0, 6.5, 7.5]


def test_five_studies_agree_with_scipy(study):
    errors = {
        "shortcut=identity": IDENTITY,
        "shortcut=gate": [6.4, 7.1, 8.9, 6.6, 7.9],
        "shortcut=conv1x1": [9.0, 9.5, 8.5, 9.9, 10.0],
        "shortcut=none": [70.0, 60.0, 80.0, 75.0, 72.0],
        "shortcut=gate_b0": [7.0, 7.0, 7.0, 7.5, 6.5],
    }
    frame = study(errors).set_index("label")
    names = ["identity", "gate bias_init=-6", "conv1x1 norm=false", "none", "gate bias_init=0"]
    p = []
    for name, values in zip(names, errors.values(), strict=True):
        row = frame.loc[name]
        assert row["mean"] == pytest.approx(numpy.mean(values), abs=1e-9)
        within = scipy_stats.ttest_1samp(values, 0).confidence_interval()
        assert (row.low, row.high) == pytest.approx((within.low, within.high), abs=1e-9)
        if name != "identity":
            theirs = scipy_stats.ttest_rel(values, IDENTITY)
            between = theirs.confidence_interval()
            assert row.difference == pytest.approx(numpy.mean(values) - numpy.mean(IDENTITY), abs=1e-9)
            assert (row.difference_low, row.difference_high) == pytest.approx((between.low, between.high), abs=1e-9)
            assert row.p == pytest.approx(theirs.pvalue, abs=1e-9)
            p.append(theirs.pvalue)
    by_hand = numpy.maximum.accumulate([min(1, (4 - at) * value) for at, value in enumerate(sorted(p))])
    assert sorted(frame.p_holm.dropna()) == pytest.approx(list(by_hand), abs=1e-9)


def test_verdicts(study):
    frame = study(
        {
            "shortcut=identity": IDENTITY,
            "shortcut=conv1x1": [9.0, 10.2, 10.9, 9.4, 10.6],
            "shortcut=gate": [6.1, 6.9, 8.1, 6.4, 7.6],
            "shortcut=gate_b0": [5.0, 6.1, 6.9, 5.4, 6.6],
            "shortcut=none": [None, 70.0, 80.0, 75.0, 72.0],
            "shortcut=dropout": [90.0, 90.0],
            "shortcut=frozen_gate": [6.5, 7.5, 8.5, 7.0, 8.0],
        }
    ).set_index("label")
    assert frame.verdict.to_dict() == {
        "identity": "baseline",
        "conv1x1 norm=false": "worse",
        "gate bias_init=-6": "not separable with 5 seeds",
        "gate bias_init=0": "better",
        "none": "not tested: diverged",
        "dropout p=0.5": "not tested: 2 seeds",
        "constant scale=0.5 residual_scale=0.5": "not tested: no spread over seeds",
    }
    assert math.isnan(frame.loc["none", "mean"])
    assert frame.loc["none", "maximum"] == math.inf


@pytest.mark.parametrize(
    ("identity", "gate", "verdict"),
    [
        ([6.0, 7.0, 8.0], [5.0, 6.1, 6.9, None, None], "not tested: diverged"),
        ([6.0, 7.0, 8.0, None], [5.0, 6.1, 6.9], "not tested: the baseline diverged"),
        ([6.0, 7.0, 8.0, None], [5.0, 6.1, 6.9, 6.0, None], "not tested: diverged"),
    ],
)
def test_run_that_diverged_on_an_unpaired_seed_prevents_the_test(identity, gate, verdict, study):
    frame = study({"shortcut=identity": identity, "shortcut=gate": gate})
    row = frame.set_index("label").loc["gate bias_init=-6"]
    assert row.verdict == verdict
    assert numpy.isnan([row.difference, row.difference_low, row.p, row.p_holm]).all()


def test_only_common_seeds_are_paired(study):
    frame = study({"shortcut=identity": IDENTITY[:3], "shortcut=gate": [7.0, 7.5, 9.5, 1.0, 1.0]})
    row = frame.set_index("label").loc["gate bias_init=-6"]
    assert row.common == 3
    assert row.difference == pytest.approx((1.0 + 0.5 + 1.5) / 3)


def test_baseline_has_the_same_depth(study):
    frame = study(
        {
            "shortcut=identity depth=20": [2.0, 2.2, 2.1],
            "shortcut=identity depth=32": [3.0, 3.3, 3.1],
            "shortcut=none depth=32": [8.0, 9.0, 8.1],
            "shortcut=none depth=44": [8.0, 9.0, 8.1],
        }
    )
    none = frame[frame.label == "none"].set_index("depth")
    assert none.loc[32].difference == pytest.approx((5.0 + 5.7 + 5.0) / 3)
    assert none.loc[44].baseline == ""
    assert none.loc[44].verdict == ""


def test_of_several_baselines_the_one_with_the_same_option_is_used(study):
    frame = study(
        {
            "shortcut=identity": [2.0, 2.2, 2.1],
            "shortcut=identity shortcut.option=B": [3.0, 3.3, 3.1],
            "shortcut=gate": [4.0, 4.1, 4.3],
            "shortcut=gate shortcut.option=B": [5.0, 5.2, 5.4],
            "shortcut=gate shortcut.option=C": [6.0, 6.1, 6.3],
            "shortcut=none": [9.0, 9.1, 9.3],
        }
    )
    rows = frame.set_index("label")
    assert rows.baseline.to_dict() == {
        "identity": "identity",
        "identity option=B": "identity",
        "gate bias_init=-6": "identity",
        "gate bias_init=-6 option=B": "identity option=B",
        "gate bias_init=-6 option=C": "identity",
        "none": "identity",
    }
    assert rows.loc["gate bias_init=-6 option=B", "difference"] == pytest.approx((2.0 + 1.9 + 2.3) / 3)
    assert list(rows.index[rows.is_baseline]) == ["identity"]
    assert any("different baselines" in note and "identity option=B" in note for note in tables.notes(frame))


def test_another_baseline_can_be_chosen(study):
    frame = study(
        {"recipe.learning_rate=0.1": [2.0, 2.2, 2.1], "recipe.learning_rate=0.2": [3.0, 3.3, 3.2]},
        baseline=("recipe.learning_rate", "0.1"),
    )
    assert list(frame.verdict) == ["baseline", "worse"]
    assert frame.difference.iloc[1] == pytest.approx((1.0 + 1.1 + 1.1) / 3)
    assert "Δ vs recipe.learning_rate=0.1" in tables.words(frame).columns


def test_baseline_cannot_be_a_seed(study):
    with pytest.raises(ConfigError, match="rows do not differ in seed"):
        study({"": [5.0]}, baseline=("seed", "0"))


def test_more_comparisons_need_a_smaller_p(study):
    close = {"shortcut=gate": [6.4, 7.6, 8.3, 6.9, 7.6]}
    alone = study({"shortcut=identity": IDENTITY, **close}).set_index("label")
    assert alone.loc["gate bias_init=-6"].verdict == "worse"
    rest = {f"shortcut=gate shortcut.bias_init={b}": [6.4 + b / 10, 7.6, 8.3, 6.9, 7.6] for b in range(1, 9)}
    frame = study(rest)
    row = frame.set_index("label").loc["gate bias_init=-6"]
    assert row.verdict == "not separable with 5 seeds"
    assert row.difference_low > 0  # which the notes have to explain
    assert any("can exclude 0" in note for note in tables.notes(frame))
