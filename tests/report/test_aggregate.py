"""Cells from runs: mean, median and spread over seeds, and runs that diverged or did not finish."""

import json
from dataclasses import asdict

import pytest

from ablate.report import aggregate, records, tables
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
    assert words[HEAD] == (f"{mean:.2f} ± {std:.2f}" if std else f"{mean:.2f}")


def test_best_epoch_is_a_second_column_and_not_the_headline(write, table):
    for seed, (last, best) in enumerate([(9.0, 4.0), (8.0, 6.0), (7.0, 5.6)]):
        write(f"seed={seed}", test_error=last, best_test_error=best)
    (words,), (numbers,), _ = table()
    assert words[HEAD] == "8.00 ± 1.00"
    assert words["best epoch (optimistic)"] == "5.20"
    assert float(numbers["best_epoch"]) == pytest.approx(5.2)


@pytest.mark.parametrize("data", ["digits", "cifar10", "cifar100"])
def test_error_above_20_percent_is_a_number(data, seeds, table):
    seeds(f"data={data}", [25.26])
    (words,), _, _ = table()
    assert words[HEAD] == "25.26"


def test_headline_interval_and_difference_are_of_one_statistic(study):
    cells = study({"shortcut=identity": [1.0, 2.0, 9.0], "shortcut=gate": [2.0, 4.0, 18.0]})
    identity, gate = tables.words(cells)[HEAD]
    assert (identity, gate) == ("4.00 ± 4.36", "8.00 ± 8.72")
    assert cells.difference[1] == pytest.approx(8.0 - 4.0)
    assert (cells.low[1] + cells.high[1]) / 2 != pytest.approx(cells["median"][1])


def test_interval_of_an_error_is_within_0_and_100(study):
    cells = study({"shortcut=identity": [0.2, 0.4, 1.2], "shortcut=none": [90.0, 95.0, 99.8]})
    assert (cells.low[0], cells.high[1]) == (0.0, 100.0)
    assert cells.high[0] == pytest.approx(0.6 + 4.3027 * 0.52915 / 3**0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("errors", "text"),
    [
        ([5.0, 6.0, None], "diverged 1 of 3"),
        ([5.0, None, None], "diverged 2 of 3"),
        ([None], "diverged 1 of 1"),
    ],
)
def test_row_with_a_diverged_run_has_no_mean(errors, text, seeds, table):
    seeds("", errors)
    (words,), (numbers,), _ = table()
    assert words[HEAD] == text
    assert words["n"] == str(len(errors))
    assert "state" not in words
    assert "best epoch (optimistic)" not in words
    assert [numbers[name] for name in ("mean", "std", "low", "high", "best_epoch")] == [""] * 5
    assert numbers["diverged"] == text.split()[1]


STOPPED = {"status": "stopped", "stopped_at": 120, "reason": "at chance after 120 of 400 steps"}


def test_error_of_a_stopped_run_counts_and_the_table_says_so(seeds, write, table, tmp_path):
    seeds("", [4.0, 5.0, 6.0])
    for seed, error in enumerate([8.0, 90.0, 91.0]):
        write("shortcut=none", f"seed={seed}", test_error=error, **(STOPPED if error > 50 else {}))
    words, numbers, unread = table()
    assert not unread
    assert [row["state"] for row in words] == ["", "stopped 2 of 3"]
    assert words[1][HEAD] == "63.00 ± 47.63"  # deviations -55, 27, 28: sqrt((3025 + 729 + 784) / 2)
    assert words[1]["n"] == "3"
    assert words[1]["Δ vs identity"].startswith("+58.00 [")  # of 4, 85 and 85
    assert words[1]["verdict"] == "not separable with 3 seeds"
    assert [(row["stopped"], row["diverged"]) for row in numbers] == [("0", "0"), ("2", "0")]
    cells = aggregate.cells(records.read(tmp_path / "runs").runs)
    [sentence] = [line for line in tables.notes(cells) if "stopped" in line]
    assert sentence == "Runs that were stopped at chance count with the error that they had there: none (2 of 3)."


GUESSES = {"chance": {"loss": 2.3026, "error": 90.0}, "train_loss": 2.302, "train_error": 89.9}


def test_rows_at_chance_at_the_end_are_named(seeds, write, tmp_path):
    seeds("", [4.0, 5.0], **GUESSES | {"train_loss": 0.1, "train_error": 4.0})
    write("shortcut=none", test_error=88.0, **GUESSES)
    write("shortcut=none", "seed=1", test_error=88.0, **GUESSES | {"train_error": 60.0})
    write("shortcut=none", "seed=2", test_error=60.0, **GUESSES)  # as with dropout
    write("shortcut=gate", test_error=90.0, **{**GUESSES, "chance": None})  # an early record
    runs = records.read(tmp_path / "runs").runs
    assert runs.set_index("label").at_chance.groupby("label").sum().to_dict() == {
        **{"identity": 0, "none": 1, "gate bias_init=-6": 0}
    }
    cells = aggregate.cells(runs)
    sentence = "At chance in the last epoch, in training and in evaluation no better than guessing: none (1 of 3)."
    assert sentence in tables.notes(cells)


def test_stopped_row_has_no_difference_from_a_published_error(seeds, write, tmp_path):
    """None of the papers' runs was stopped."""
    words = ("data=cifar10", "depth=110")
    seeds(" ".join(words), [6.5])
    write(*words, "shortcut=gate", test_error=90.0, **STOPPED)
    cells = aggregate.cells(records.read(tmp_path / "runs").runs)
    assert cells.from_published.notna().tolist() == [True, False]
    assert "or runs that were stopped." in " ".join(tables.notes(cells))


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
