"""Cells compared with their baseline: differences against scipy, the choice of the baseline, verdicts."""

import math
from dataclasses import asdict

import numpy
import pytest
from scipy import stats as scipy_stats

from ablate.base.errors import AblateError, ConfigError
from ablate.report import comparison, tables
from ablate.runs.code import code

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
        baseline=[("recipe.learning_rate", "0.1")],
    )
    assert list(frame.verdict) == ["baseline", "worse"]
    assert frame.difference.iloc[1] == pytest.approx((1.0 + 1.1 + 1.1) / 3)
    assert "Δ vs recipe.learning_rate=0.1" in tables.words(frame).columns


def test_baseline_cannot_be_a_seed(study):
    with pytest.raises(ConfigError, match="rows do not differ in seed"):
        study({"": [5.0]}, baseline=[("seed", "0")])


def mixed_study(write, facts, seeds=3):
    """Two rows of three seeds; the last run of the second, the gate, has `facts`."""
    for shortcut, error in (("identity", 5.0), ("gate", 9.0)):
        for seed in range(seeds):
            other = facts if (shortcut, seed) == ("gate", seeds - 1) else {}
            write(f"shortcut={shortcut}", f"seed={seed}", test_error=error + seed / 5 + error * seed**2 / 90, **other)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"device_type": "cuda"}, "cpu, cuda"),
        ({"precision": "bfloat16"}, "bfloat16, float32"),
        ({"sessions": [{"processes": 2}], "normalised_over": 32}, "parts of a batch for normalisation: 1, 2"),
        ({"sessions": [{"processes": 2}, {"processes": 1}]}, "parts of a batch for normalisation: 1, 1 and 2"),
        ({"versions": {"torch": "2.10.1+cu128"}}, "torch 2.10, 2.9"),
        ({"device_type": "cuda", "precision": "bfloat16"}, "cpu, cuda; bfloat16, float32"),
        ({"code": {"training/loop.py": "0"}}, "code differs in"),
        ({"sessions": [{"versions": {"torch": "2.8"}}, {}]}, "torch 2.8, 2.9"),
        ({"sessions": [{"code": {"training/loop.py": "0"}}, {}]}, "code differs in"),
    ],
)
def test_rows_that_other_things_computed_are_not_compared(facts, why, write, study):
    mixed_study(write, facts)
    frame = study({}).set_index("label")
    row = frame.loc["gate bias_init=-6"]
    assert row.verdict.startswith(f"not compared: {why}")
    assert numpy.isnan([row.difference, row.difference_low, row.p, row.p_holm]).all()
    assert row["mean"] > 9
    assert frame.loc["identity"].verdict == "baseline"
    assert not any("Verdict: paired" in note for note in tables.notes(study({})))


def test_row_that_diverged_has_no_verdict_in_a_study_with_seeds_until_settled(study):
    frame = study({"": [3.0, 3.1, 3.2, 3.3, 3.1], "shortcut=none": [9.0, None, 9.1, 9.2, 9.3]}, most=5)
    assert frame.verdict[1] == "not tested: diverged"
    assert numpy.isnan(frame.p_holm[1])


def test_verdict_that_later_seeds_turn_round_says_so(study):
    frame = study({"": [3.0, 3.1, 3.2, 9.0, 9.5], "shortcut=none": [4.0, 4.1, 4.21, 3.0, 3.1]}, most=5)
    assert frame.difference[1] == pytest.approx(-1.878)
    assert frame.verdict[1] == "better, but not after 3 seeds, where it was settled"


def test_rows_that_are_not_compared_do_not_count_for_holm(write, study):
    mixed_study(write, {"device_type": "cuda"})
    frame = study({"shortcut=none": [60.0, 71.0, 65.0]}).set_index("label")
    assert frame.loc["none", "p_holm"] == frame.loc["none", "p"]


@pytest.mark.parametrize(
    "facts",
    [
        {"versions": {"torch": "2.9.1+cpu"}},
        {"threads": 4},
        {"cpu": "Another CPU"},
        {"device": "another GPU of this kind"},
        {"git": {"commit": "1234", "dirty": True}},
    ],
)
def test_rows_are_compared_across_what_decides_bits_alone(facts, write, study):
    mixed_study(write, facts)
    assert study({}).verdict[1] == "worse"


def test_mixed_compares_and_says_so_by_name(write, study):
    mixed_study(write, {"versions": {"torch": "2.10.1"}})
    frame = study({}, mixed=True)
    assert frame.verdict[1] == "worse"
    assert frame.p_holm.count() == 1
    assert "Compared in spite of differences: gate bias_init=-6 (torch 2.10, 2.9)." in tables.notes(frame)


def test_code_is_named_file_by_file_and_own_code_only_within_a_row(write, study, resolve):
    known = code(asdict(resolve()))
    loop, batches, sgd, step = ("loop", "data/batches.py", "sgd", "step")
    for seed in range(3):
        write("shortcut=identity", f"seed={seed}", test_error=5 + seed, code={**known, "shortcut": "identity"})
        write("shortcut=gate", f"seed={seed}", test_error=6 + seed**2, code={**known, "shortcut": "gate", loop: "0"})
        changed = {**known, **dict.fromkeys((loop, batches, sgd, step), "0")}
        write("shortcut=conv1x1", f"seed={seed}", test_error=7 + seed**2, code={**changed, "shortcut": "conv"})
        write("shortcut=none", f"seed={seed}", test_error=8 + seed**2, code={**known, "shortcut": f"none {seed > 1}"})
        write("shortcut=dropout", f"seed={seed}", test_error=9 + seed**2, code={**known, "shortcut": "dropout"})
        write("shortcut=gate_b0", f"seed={seed}", test_error=9 + seed**2, code={**known, "unit": "another"})
    assert study({}).set_index("label").verdict.to_dict() == {
        "identity": "baseline",
        "gate bias_init=-6": "not compared: code differs in loop",
        "conv1x1 norm=false": "not compared: code differs in data/batches.py, loop, sgd and 1 more",
        "none": "not compared: code differs in shortcut",
        "dropout p=0.5": "worse",
        "gate bias_init=0": "not compared: code differs in unit",
    }
    against_gate = study({}, baseline=[("shortcut.bias_init", "0")]).set_index("label").verdict
    assert against_gate["gate bias_init=-6"] == "not compared: code differs in loop, shortcut, unit"


def test_row_whose_own_runs_differ_says_so(write, study):
    for seed, precision in ((0, "float32"), (1, "bfloat16"), (2, "float32")):
        write(f"seed={seed}", test_error=5.0 + seed, precision=precision)
        write("shortcut=gate", f"seed={seed}", test_error=5.5 + seed**2)
        write("depth=32", "shortcut=gate", f"seed={seed}", test_error=6.0, precision=precision)
    frame = study({})
    verdicts = {(row.label, row.depth): row.verdict for row in frame.itertuples()}
    assert verdicts == {
        ("identity", 20): "baseline; its runs differ: bfloat16, float32",
        ("gate bias_init=-6", 20): "not compared: bfloat16, float32",
        ("gate bias_init=-6", 32): "its runs differ: bfloat16, float32",
    }
    assert "verdict" in tables.words(frame[frame.depth == 32])


def test_rows_of_two_precisions_are_compared_if_that_is_the_question(write, study):
    for seed in range(3):
        write("precision=float32", f"seed={seed}", test_error=5.0 + seed, precision="float32")
        write("precision=bfloat16", f"seed={seed}", test_error=5.5 + seed**2, precision="bfloat16")
    assert set(study({}, baseline=[("precision", "float32")]).verdict) == {"baseline", "not separable with 3 seeds"}


def test_baseline_that_matches_several_rows_is_refused_with_their_names(study):
    frame = study({f"shortcut={name}": [5.0, 5.2, 5.5] for name in ("identity", "gate", "gate_b0")})
    gate = [("shortcut", "gate")]
    with pytest.raises(AblateError, match="no row has this value"):
        comparison.check_baseline(study({}, baseline=[("shortcut", "none")]), [("shortcut", "none")])
    with pytest.raises(
        AblateError, match="several rows: gate bias_init=0, gate bias_init=-6; choose one by adding"
    ) as error:
        comparison.check_baseline(study({}, baseline=gate), gate)
    key, _, value = str(error.value).rpartition(" ")[2].partition("=")
    chosen = study({}, baseline=[*gate, (key, value)])
    comparison.check_baseline(chosen, [*gate, (key, value)])
    assert chosen.baseline.tolist() == ["gate bias_init=0"] * len(frame)
    assert "Δ vs gate, shortcut.bias_init=0" in tables.words(chosen)


def test_options_of_one_shortcut_are_not_several_baselines(study):
    frame = study({"shortcut=identity": [2.0, 2.2, 2.1], "shortcut.option=B": [3.0, 3.3, 3.1]})
    comparison.check_baseline(frame, comparison.IDENTITY)


def test_more_comparisons_need_a_smaller_p(study):
    close = {"shortcut=gate": [6.4, 7.6, 8.3, 6.9, 7.6]}
    alone = study({"shortcut=identity": IDENTITY, **close}).set_index("label")
    assert alone.loc["gate bias_init=-6"].verdict == "worse"
    rest = {f"shortcut=gate shortcut.bias_init={b}": [6.4 + b / 10, 7.6, 8.3, 6.9, 7.6] for b in range(1, 9)}
    frame = study(rest)
    row = frame.set_index("label").loc["gate bias_init=-6"]
    assert row.verdict == "not separable with 5 seeds"
    assert row.difference_low > 0  # which docs/reports.md explains
