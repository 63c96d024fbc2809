"""Cells from runs: median, mean and spread over seeds, and runs that diverged or did not finish."""

import json
from dataclasses import asdict

import pytest

from ablate.runs.identity import SCHEMA, folder_name
from tests.report.studies import HEAD


@pytest.mark.parametrize(
    ("errors", "median", "mean", "std"),
    [
        ([7.0], 7.0, 7.0, None),
        ([9.0, 6.0, 7.5], 7.5, 7.5, 1.5),  # deviations 1.5, -1.5, 0: sqrt(4.5 / 2)
        ([6.0, 9.0, 7.0, 8.0], 7.5, 7.5, (5 / 3) ** 0.5),  # of the sample: sqrt((2.25+2.25+0.25+0.25) / 3)
        ([1.0, 2.0, 3.0, 4.0, 30.0], 3.0, 8.0, (610 / 4) ** 0.5),  # 49 + 36 + 25 + 16 + 484
    ],
)
def test_median_mean_and_spread_over_seeds(errors, median, mean, std, seeds, table):
    seeds("", errors)
    (words,), (numbers,), unread = table()
    assert not unread
    assert float(numbers["median"]) == pytest.approx(median)
    assert float(numbers["mean"]) == pytest.approx(mean)
    assert (float(numbers["std"]) if numbers["std"] else None) == pytest.approx(std)
    assert numbers["n"] == words["n"] == str(len(errors))
    assert words[HEAD] == f"{median:.2f}"
    assert words["mean ± std"] == (f"{mean:.2f} ± {std:.2f}" if std else f"{mean:.2f}")


def test_best_epoch_is_a_second_column_and_not_the_headline(write, table):
    for seed, (last, best) in enumerate([(9.0, 4.0), (8.0, 6.0), (7.0, 5.0)]):
        write(f"seed={seed}", test_error=last, best_test_error=best)
    (words,), (numbers,), _ = table()
    assert words[HEAD] == "8.00"
    assert words["best epoch (optimistic)"] == "5.00"
    assert float(numbers["best_epoch"]) == 5.0


@pytest.mark.parametrize(
    ("errors", "text"),
    [
        ([20.0], "20.00"),  # [B]: fail is above 20 %
        ([20.2], "fail (20.20)"),
        ([90.0], "fail (90.00)"),
        ([5.0, 30.0, 40.0], "fail (30.00)"),
        ([5.0, 6.0, 90.0], "6.00"),
    ],
)
def test_fail_is_a_median_above_20_percent(errors, text, seeds, table):
    seeds("", errors)
    assert table()[0][0][HEAD] == text


@pytest.mark.parametrize(
    ("errors", "text", "state"),
    [
        ([5.0, 6.0, None], "6.00", "diverged 1 of 3"),
        ([5.0, 6.0, 7.0, None], "6.50", "diverged 1 of 4"),
        ([5.0, None, None], "diverged", "diverged 2 of 3"),
        ([5.0, None], "diverged", "diverged 1 of 2"),
        ([None], "diverged", "diverged 1 of 1"),
    ],
)
def test_diverged_run_counts_as_the_worst_error(errors, text, state, seeds, table):
    seeds("", errors)
    (words,), (numbers,), _ = table()
    assert words[HEAD] == text
    assert words["state"] == state
    assert words["n"] == str(len(errors))
    assert "mean ± std" not in words
    assert numbers["mean"] == ""


def test_best_error_of_a_diverged_run_is_not_its_error(write, table):
    write(status="diverged", reason="the loss was not finite at step 4", best_test_error=3.0)
    (words,), _, _ = table()
    assert (words[HEAD], words["best epoch (optimistic)"]) == ("diverged", "3.00")


def test_unfinished_and_missing_runs_are_shown_but_not_counted(write, table, tmp_path, resolve):
    write("seed=0", test_error=5.0)
    write("seed=1", status="failed", reason="OSError: disk full", best_test_error=1.0)
    write("seed=2", status="interrupted", reason="KeyboardInterrupt", best_test_error=1.0)
    write("seed=3", ended=False)
    write("shortcut=gate", ended=False)
    plan = {"schema": SCHEMA, "runs": {}}
    for asked in [*((f"seed={seed}",) for seed in range(6)), ("shortcut=gate",), ("shortcut=none",)]:
        tree = asdict(resolve(*asked))
        plan["runs"][folder_name(tree)] = tree
    (tmp_path / "runs" / "_grids" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "_grids" / "mine" / "1.json").write_text(json.dumps(plan))
    for experiment in ("mine", None):
        words, numbers, _ = table(experiment)
        rows = {row["shortcut"]: (row[HEAD], row["n"], row["state"]) for row in words}
        assert rows == {
            "identity": ("5.00", "1 of 6", "failed 1 of 6, interrupted 1 of 6, stale 1 of 6, missing 2 of 6"),
            "none": ("missing", "0 of 1", "missing 1 of 1"),
            "gate bias_init=-6": ("stale", "0 of 1", "stale 1 of 1"),
        }
        assert [row["median"] for row in numbers if row["shortcut"] == "none"] == [""]


def test_all_runs_failed_is_a_row_without_an_error(write, table):
    for seed in range(2):
        write(f"seed={seed}", status="failed", reason="OSError: disk full")
    (words,), _, _ = table()
    assert (words[HEAD], words["n"], words["state"]) == ("failed", "0 of 2", "failed 2 of 2")
