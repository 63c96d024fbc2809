"""Cells, their intervals and what they are compared with, on records made by hand; each answer worked out here."""

import math

import numpy
import pytest
from scipy import stats as scipy_stats

import ablate.report
from ablate.base.errors import AblateError
from ablate.report import records, tables
from ablate.report.aggregate import cells

IDENTITY = [6.0, 7.0, 8.0, 6.5, 7.5]


@pytest.fixture
def study(write, tmp_path):
    """`study({"shortcut=gate": [6.0, None]}, ...)`: seeds' errors by overrides; the cells, by their labels."""

    def make(errors, **options):
        for overrides, values in errors.items():
            for seed, error in enumerate(values):
                how = {"status": "diverged", "reason": "step 3"} if error is None else {"test_error": error}
                write(*overrides.split(), f"seed={seed}", **how)
        frame = cells(records.read(tmp_path / "runs").runs, **options)
        return frame.set_index("label")

    return make


def test_five_studies_agree_with_scipy(study):
    errors = {
        "shortcut=identity": IDENTITY,
        "shortcut=gate": [6.4, 7.1, 8.9, 6.6, 7.9],
        "shortcut=conv1x1": [9.0, 9.5, 8.5, 9.9, 10.0],
        "shortcut=none": [70.0, 60.0, 80.0, 75.0, 72.0],
        "shortcut=gate_b0": [7.0, 7.0, 7.0, 7.5, 6.5],
    }
    frame = study(errors)
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
    ordered = sorted(p)
    by_hand = numpy.maximum.accumulate([min(1, (4 - at) * value) for at, value in enumerate(ordered)])
    assert sorted(frame.p_holm.dropna()) == pytest.approx(list(by_hand), abs=1e-9)


def test_verdicts_never_say_more_than_the_seeds_bear(study):
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
    )
    said = frame.verdict.to_dict()
    assert said == {
        "identity": "baseline",
        "conv1x1 norm=false": "worse",
        "gate bias_init=-6": "not separable with 5 seeds",
        "gate bias_init=0": "better",
        "none": "not tested: diverged",
        "dropout p=0.5": "2 seeds: too few to say",
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
def test_a_run_that_diverged_on_a_seed_of_one_row_alone_still_counts(identity, gate, verdict, study):
    row = study({"shortcut=identity": identity, "shortcut=gate": gate}).loc["gate bias_init=-6"]
    assert row.verdict == verdict
    assert numpy.isnan([row.difference, row.difference_low, row.p, row.p_holm]).all()


def test_only_seeds_that_both_have_are_paired(study):
    frame = study({"shortcut=identity": IDENTITY[:3], "shortcut=gate": [7.0, 7.5, 9.5, 1.0, 1.0]})
    row = frame.loc["gate bias_init=-6"]
    assert row.common == 3
    assert row.difference == pytest.approx((1.0 + 0.5 + 1.5) / 3)


def test_the_baseline_is_of_the_same_depth_data_and_recipe(study):
    frame = study(
        {
            "shortcut=identity depth=20": [2.0, 2.2, 2.1],
            "shortcut=identity depth=32": [3.0, 3.3, 3.1],
            "shortcut=none depth=32": [8.0, 9.0, 8.1],
            "shortcut=none depth=44": [8.0, 9.0, 8.1],
        }
    )
    none = frame.loc["none"].set_index("depth")
    assert none.loc[32].difference == pytest.approx((5.0 + 5.7 + 5.0) / 3)
    assert none.loc[44].baseline == ""
    assert none.loc[44].verdict == ""


def test_of_several_baselines_the_one_of_the_rows_own_option_is_taken(study):
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
    assert frame.baseline.to_dict() == {
        "identity": "identity",
        "identity option=B": "identity",
        "gate bias_init=-6": "identity",
        "gate bias_init=-6 option=B": "identity option=B",
        "gate bias_init=-6 option=C": "identity",
        "none": "identity",
    }
    assert frame.loc["gate bias_init=-6 option=B", "difference"] == pytest.approx((2.0 + 1.9 + 2.3) / 3)
    assert list(frame.index[frame.is_baseline]) == ["identity"]
    assert any(
        "different baselines" in note and "identity option=B" in note for note in tables.notes(frame.reset_index())
    )


def test_another_baseline_can_be_named(study):
    frame = study(
        {"recipe.learning_rate=0.1": [2.0, 2.2, 2.1], "recipe.learning_rate=0.2": [3.0, 3.3, 3.2]},
        baseline=("recipe.learning_rate", "0.1"),
    )
    assert list(frame.verdict) == ["baseline", "worse"]
    assert frame.difference.iloc[1] == pytest.approx((1.0 + 1.1 + 1.1) / 3)
    assert "less 0.1" in tables.words(frame.reset_index()).columns


def test_one_comparison_of_many_needs_a_smaller_p(study):
    close = {"shortcut=gate": [6.4, 7.6, 8.3, 6.9, 7.6]}
    alone = study({"shortcut=identity": IDENTITY, **close})
    assert alone.loc["gate bias_init=-6"].verdict == "worse"
    rest = {f"shortcut=gate shortcut.bias_init={b}": [6.4 + b / 10, 7.6, 8.3, 6.9, 7.6] for b in range(1, 9)}
    among = study(rest)
    assert among.loc["gate bias_init=-6"].verdict == "not separable with 5 seeds"
    assert among.loc["gate bias_init=-6"].difference_low > 0  # which the notes must explain
    assert any("interval is at 95 % for its row alone" in note for note in tables.notes(among.reset_index()))


def test_load_gives_one_row_a_run_with_the_documented_columns(write, tmp_path):
    write("seed=0", test_error=5.0)
    write("shortcut=gate", status="diverged", reason="the loss was not finite at step 4")
    runs = ablate.report.load(tmp_path / "runs")
    documented = {
        name.strip()
        for line in records.load.__doc__.splitlines()
        if line.strip().startswith("|") and "---" not in line and "column |" not in line
        for name in line.split("|")[1].split(",")
    }
    assert set(runs.columns) == documented
    assert sorted(runs.state) == ["diverged", "finished"]
    assert runs[runs.state == "finished"].test_error.item() == 5.0


def test_the_notes_say_for_which_errors_an_interval_keeps_its_promise(study):
    notes = tables.notes(study({"shortcut=identity": IDENTITY}).reset_index())
    (interval,) = (line for line in notes if line.startswith("Interval"))
    assert "95 times in 100 where errors are near normal over seeds" in interval
    assert "where now and then a run goes badly, 93 times or less" in interval


def test_where_keeps_the_runs_that_say_so_and_names_what_it_does_not_know(write, tmp_path):
    write("depth=20", test_error=5.0)
    write("depth=32", "shortcut=gate", test_error=6.0)
    runs = ablate.report.load(tmp_path / "runs")
    assert list(records.where(runs, ["depth=32"]).test_error) == [6.0]
    assert list(records.where(runs, ["shortcut=identity", "recipe.batch=64"]).test_error) == [5.0]
    assert list(records.where(runs, ["shortcut.bias_init=-6"]).test_error) == [6.0]
    with pytest.raises(AblateError, match="did you mean 'depth'"):
        records.where(runs, ["dpeth=32"])
    with pytest.raises(AblateError, match="depth is 20, 32"):
        records.where(runs, ["depth=56"])
    with pytest.raises(AblateError, match="KEY=VALUE"):
        records.where(runs, ["depth"])


def test_a_pivot_is_any_grid_by_two_keys(study):
    frame = study(
        {
            "shortcut=identity depth=20": [2.0],
            "shortcut=identity depth=110": [3.0, 4.0],
            "shortcut=none depth=20": [8.0],
            "shortcut=none depth=32": [None],
        }
    ).reset_index()
    table = tables.pivot(frame, "shortcut", "depth").set_index("shortcut")
    assert list(table.columns) == ["20", "32", "110"]
    assert list(table.loc["identity"]) == ["2.00", "not run", "3.50"]
    assert list(table.loc["none"]) == ["8.00", "diverged", "not run"]
    with pytest.raises(AblateError, match="no key 'dept'"):
        tables.pivot(frame, "shortcut", "dept")
    with pytest.raises(AblateError, match="--where KEY=VALUE, KEY being one of depth"):
        tables.pivot(frame, "shortcut", "data")


def test_a_pivot_by_a_key_of_the_recipe_has_one_row_a_shortcut(study):
    frame = study(
        {f"shortcut={name} recipe.batch={batch}": [batch / 10] for name in ("identity", "none") for batch in (32, 64)}
    ).reset_index()
    table = tables.pivot(frame, "shortcut", "recipe.batch")
    assert table.to_numpy().tolist() == [["identity", "3.20", "6.40"], ["none", "3.20", "6.40"]]


def test_a_papers_table_has_all_its_rows_in_its_order(study):
    frame = study({"shortcut=gate": [6.0], "shortcut=identity": [5.0], "shortcut=none": [70.0]}).reset_index()
    (made,) = tables.papers(frame).values()
    table, caption = made
    assert caption.startswith("[B] Table 1")
    assert list(table.case[:3]) == ["original", "constant scaling", "constant scaling"]
    assert list(table["ours (median)"][:3]) == ["5.00", "fail (70.00)", "not run"]
    assert list(table.published) == [
        "6.61",
        "fail",
        "fail",
        "12.35",
        *["fail"] * 6,
        *["8.70", "9.81", "12.86", "6.91", "12.22", "fail"],
    ]
    assert "less published" not in table  # digits are not CIFAR-10


def test_the_difference_to_the_published_error_is_given_in_the_published_setting_alone(study):
    frame = study(
        {f"data=cifar10 depth={depth}": [error] for depth, error in ((20, 8.5), (32, 7.61), (110, 6.41))}
        | {"data=cifar10 depth=44 iterations=100": [50.0]}
    ).reset_index()
    table, caption = tables.papers(frame)["table6"]
    assert caption.startswith("[A] Table 6")
    assert list(table.net) == ["ResNet-20", "ResNet-32", "ResNet-44", "ResNet-56", "ResNet-110", "ResNet-1202"]
    assert list(table["less published"]) == ["-0.25", "+0.10", "–", "–", "-0.20", "–"]


def test_table_2_of_b_goes_by_the_unit(study):
    orders = {"basic": 6.5, "full_preactivation": 6.3}
    frame = study({f"data=cifar10 depth=110 unit.name={unit}": [error] for unit, error in orders.items()}).reset_index()
    table, _ = tables.papers(frame)["table2"]
    assert list(table.case[:5]) == [
        "original", "BN after addition", "ReLU before addition", "ReLU-only pre-activation", "full pre-activation",
    ]  # fmt: skip
    assert list(table.published) == ["6.61", "8.17", "7.84", "6.71", "6.37", "5.93", "6.50", "6.14", "5.91", "5.46"]
    assert table["ours (median)"][0] == "6.50"


def test_the_164_layers_of_table_2_project_where_the_shape_changes(study):
    bottleneck = "data=cifar10 depth=164 unit.name=bottleneck_full_preactivation shortcut.option="
    frame = study(
        {"data=cifar10 depth=110 unit.name=full_preactivation": [6.3], f"{bottleneck}A": [9.9], f"{bottleneck}B": [5.5]}
    ).reset_index()
    table, _ = tables.papers(frame)["table2"]
    assert list(table["ours (median)"]) == [*["not run"] * 4, "6.30", *["not run"] * 4, "5.50"]
    assert list(table["less published"])[4::5] == ["-0.07", "+0.04"]
    assert frame[frame.depth == 164].set_index("label").published.fillna(-1).to_dict() == {
        "identity": -1,
        "identity option=B": 5.46,
    }


def test_a_papers_table_takes_the_published_setting_and_its_depth_before_others(study):
    short = {f"data=cifar10 depth=110 iterations=2000 shortcut={name}": [15.0] for name in ("identity", "gate", "none")}
    long = {f"data=cifar10 depth=110 shortcut={name}": [6.6] for name in ("identity", "gate")}
    frame = study({**short, **long}).reset_index()
    table, caption = tables.papers(frame)["table1"]
    assert next(iter(table["ours (median)"])) == "6.60"
    assert list(table["ours (median)"]).count("not run") == 14
    assert "64,000 iterations" in caption


def test_of_several_depths_table_1_takes_the_papers(study):
    grid = {f"depth={depth} shortcut={name}": [depth / 10] for depth in (20, 110) for name in ("identity", "none")}
    table, caption = tables.papers(study(grid).reset_index())["table1"]
    assert list(table["ours (median)"][:2]) == ["11.00", "11.00"]
    assert caption.endswith("depth 110.")


def test_a_row_that_was_run_in_two_ways_stands_there_twice(study):
    frame = study(
        {"shortcut=identity": [5.0], "shortcut=conv1x1": [6.0], "shortcut=conv1x1 shortcut.norm=true": [7.0]}
    ).reset_index()
    table, _ = tables.papers(frame)["table1"]
    twice = table[table.case == "1×1 conv"]
    assert dict(zip(twice["run as"], twice["ours (median)"], strict=True)) == {
        "conv1x1 norm=false": "6.00",
        "conv1x1 norm=true": "7.00",
    }


def test_a_difference_of_nothing_has_no_minus():
    assert tables.signed(-1e-16) == "+0.00"
    assert tables.signed(-0.004) == "+0.00"
    assert tables.signed(-0.006) == "-0.01"
