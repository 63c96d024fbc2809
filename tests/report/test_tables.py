"""The main table and the notes under it."""

import pytest

from ablate.report import tables, wording
from tests.report.studies import HEAD


def notes(cells):
    return "\n".join(tables.notes(cells))


def test_headings_of_a_compared_study(study):
    cells = study({"shortcut=identity": [5.0, 5.2, 5.4], "shortcut=gate": [6.0, 6.1, 6.5]})
    assert list(tables.words(cells)) == [
        "shortcut", "n", HEAD, "verdict", "mean ± std", "95 % interval of the mean", "Δ vs identity", "p (Holm)",
        "best epoch (optimistic)", "published", "parameters", "seconds",
    ]  # fmt: skip
    assert tables.words(cells).iloc[1].tolist()[:8] == [
        "gate bias_init=-6", "3", "6.10", "worse", "6.20 ± 0.26", "[5.54, 6.86]", "+1.00 [+0.75, +1.25]", "0.00332",
    ]  # fmt: skip


def test_setting_that_differs_has_a_column(study):
    table = tables.words(study({"depth=20": [5.0], "depth=32": [4.0]}))
    assert list(table.depth) == ["20", "32"]
    assert "data" not in table


def test_note_explains_the_coverage_of_the_interval(study):
    (interval,) = (line for line in tables.notes(study({"": [6.0, 7.0, 8.0]})) if line.startswith("Interval"))
    assert "coverage is 95 % if errors are nearly normal over seeds" in interval
    assert "93 % or less if they are skewed" in interval


def test_note_names_shared_settings_and_their_exceptions(study):
    said = notes(study({"shortcut=identity": [5.0], "shortcut=gate recipe.epochs=1": [60.0]}))
    assert "All rows: data digits, recipe digits (except as a row's name says), unit basic, depth 20." in said


@pytest.mark.parametrize(("errors", "noted"), [([5.0], True), ([5.0, 6.0], False)])
def test_note_warns_of_single_seeds(errors, noted, study):
    assert ("One seed per row" in notes(study({"": errors}))) == noted


def test_note_says_that_seeds_were_computed_in_different_precisions(write, study):
    for seed, precision in ((0, "float32"), (1, "bfloat16")):
        write(f"seed={seed}", test_error=5.0, precision=precision, threads=1)
    assert "different precisions" in notes(study({}))


def test_validation_errors_are_named_so(write, table):
    write("data.validation=200", test_error=5.0, evaluated_on="validation")
    (words,), _, _ = table()
    assert words["validation error, last epoch (median)"] == "5.00"


def test_rows_evaluated_on_different_images_say_on_which(write, study):
    write("seed=0", test_error=5.0)
    write("data.validation=200", "shortcut=gate", test_error=4.0, evaluated_on="validation")
    cells = study({})
    table = tables.words(cells)
    assert list(table["evaluated on"]) == ["test", "validation"]
    assert list(table["error, last epoch (median)"]) == ["5.00", "4.00"]
    assert "No baseline for 1 of 2 rows: no row has shortcut=identity" in notes(cells)
    assert "held out of the training set" in notes(cells)


def test_rounded_zero_has_no_minus_sign():
    assert wording.signed(-1e-16) == "+0.00"
    assert wording.signed(-0.004) == "+0.00"
    assert wording.signed(-0.006) == "-0.01"
