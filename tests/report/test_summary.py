"""The result in words, for each kind of study."""

import pytest

from ablate.report.summary import summary

IDENTITY = [6.0, 7.0, 8.0, 6.5, 7.5]
WORSE = [9.0, 10.2, 10.9, 9.4, 10.6]
EQUAL = [6.1, 6.9, 8.1, 6.4, 7.6]
BETTER = [5.0, 6.1, 6.9, 5.4, 6.6]


def test_rows_are_named_by_their_verdict(study):
    cells = study({"": IDENTITY, "shortcut=gate": EQUAL, "shortcut=conv1x1": WORSE, "shortcut=gate_b0": BETTER})
    assert summary(cells) == [
        "With 5 seeds, gate bias_init=-6 cannot be separated from identity; conv1x1 norm=false is worse than identity; "
        "gate bias_init=0 is better than identity.",
        "Mean errors are from 6.00\u00a0% (gate bias_init=0) to 10.02\u00a0% (conv1x1 norm=false).",
    ]


def test_many_rows_are_counted(study):
    rows = {f"shortcut=gate shortcut.bias_init={b}": [error + b / 10 for error in WORSE] for b in range(4)}
    assert summary(study({"": IDENTITY, **rows, "shortcut=none": EQUAL}))[0] == (
        "With 5 seeds, none cannot be separated from identity; four rows are worse than identity."
    )


def test_numbers_of_seeds_that_differ_are_a_range(study):
    cells = study({"": IDENTITY, "shortcut=none": WORSE, "shortcut=conv1x1": WORSE[:3]})
    assert summary(cells)[0].startswith("With 3 to 5 seeds, none and conv1x1 norm=false are worse")


@pytest.mark.parametrize("errors", [[5.0, None, 6.0], [5.0, 6.0]])
def test_rows_without_a_verdict_are_counted(errors, study):
    cells = study({"": IDENTITY, "shortcut=none": WORSE, "shortcut=gate": errors})
    assert summary(cells)[1] == "One row without a verdict: the column says why."


def test_study_of_single_seeds_says_that_nothing_was_tested(study):
    first, second = summary(study({"": [5.0], "shortcut=gate": [6.0]}))
    assert first.startswith("No row has been tested against identity: differences are tested from 3 seeds per row")
    assert second == "Mean errors are from 5.00\u00a0% (identity) to 6.00\u00a0% (gate bias_init=-6)."


def test_several_baselines_are_not_named_and_rows_have_their_depth(study):
    errors = {
        "depth=20": IDENTITY,
        "depth=32": IDENTITY,
        "depth=20 shortcut=none": EQUAL,
        "depth=32 shortcut=none": WORSE,
    }
    assert summary(study(errors))[0] == (
        "With 5 seeds, none, depth 20 cannot be separated from their baselines; none, depth 32 is worse than their "
        "baselines."
    )


def test_single_row_has_no_summary(study):
    assert summary(study({"": IDENTITY})) == []


def test_row_that_is_not_compared_has_no_verdict(write, study):
    for seed, error in enumerate(WORSE):
        write("shortcut=none", f"seed={seed}", test_error=error, device_type="cuda")
    assert summary(study({"": IDENTITY}))[0].startswith("No row has been tested against identity")
