"""`ablate power`: how many seeds separate two errors."""

import pytest


def test_seeds_that_separate_6_61_from_6_91(ask):
    outcome = ask("power", "6.61", "6.91", "--spread", "0.16")
    assert outcome.status == 0
    assert outcome.out.startswith("7 seeds per row separate 6.61 from 6.91 in 80 of 100 studies")
    assert next(line for line in outcome.out.splitlines() if line.endswith("<- requested")).split()[0] == "7"


def test_spread_is_pooled_over_the_rows_that_train(write, ask, tmp_path):
    for seed, error in enumerate([5.0, 7.0]):  # variance 2, one degree of freedom
        write(f"seed={seed}", test_error=error)
    for seed, error in enumerate([4.0, 6.0, 8.0]):  # variance 4, two
        write("shortcut=gate", f"seed={seed}", test_error=error)
    for seed, error in enumerate([40.0, 90.0]):  # fails, and is left out
        write("shortcut=none", f"seed={seed}", test_error=error)
    outcome = ask("power", "6", "7", "--runs", str(tmp_path / "runs"))
    assert outcome.status == 0
    assert f"spread over seeds {(10 / 3) ** 0.5:.2f} (pooled over 2 rows in " in outcome.out


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["6.6", "6.6", "--spread", "1"], 2, "no number of seeds"),
        (["6.6", "660", "--spread", "1"], 2, "percent, from 0 to 100"),
        (["6", "7", "--spread", "0"], 2, "above 0"),
        (["6", "7", "--spread", "nan"], 2, "above 0"),
        (["6", "7", "--spread", "1", "--chance", "80"], 2, "between 0 and 1"),
        (["6", "7", "--spread", "1", "--rows", "0"], 2, "1 or more"),
        (["6", "7", "--runs", "nowhere"], 1, "nowhere"),
    ],
)
def test_wrong_request_is_one_sentence(arguments, status, words, ask):
    outcome = ask("power", *arguments)
    assert outcome.status == status
    assert words in outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize("errors", [[5.0], [5.0, 5.0]])
def test_rows_without_spread_are_one_sentence(errors, write, ask, tmp_path):
    for seed, error in enumerate(errors):
        write(f"seed={seed}", test_error=error)
    outcome = ask("power", "6", "7", "--runs", str(tmp_path / "runs"))
    assert outcome.status == 1
    assert "give --spread" in outcome.err
