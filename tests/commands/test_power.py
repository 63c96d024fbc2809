"""The planner's command."""

import pytest

from ablate.commands.power import main


def test_it_says_how_many_seeds_tell_6_61_from_6_91(capsys):
    assert main(["6.61", "6.91", "--spread", "0.16"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("7 seeds a row tell 6.61 from 6.91 in 80 of 100 studies")
    assert next(line for line in said.splitlines() if line.endswith("<- asked for")).split()[0] == "7"


def test_the_spread_seen_is_pooled_over_the_rows_that_train(write, capsys, tmp_path):
    for seed, error in enumerate([5.0, 7.0]):  # variance 2, one degree of freedom
        write(f"seed={seed}", test_error=error)
    for seed, error in enumerate([4.0, 6.0, 8.0]):  # variance 4, two
        write("shortcut=gate", f"seed={seed}", test_error=error)
    for seed, error in enumerate([40.0, 90.0]):  # fails, and is left out
        write("shortcut=none", f"seed={seed}", test_error=error)
    assert main(["6", "7", "--runs", str(tmp_path / "runs")]) == 0
    said = capsys.readouterr().out
    assert f"spread over seeds {(10 / 3) ** 0.5:.2f} (pooled over identity at depth 20 1.41, gate" in said
    assert "bias_init=-6 at depth 20 2.00, in" in said


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["6.6", "6.6", "--spread", "1"], 2, "no number of seeds"),
        (["6.6", "660", "--spread", "1"], 2, "percents from 0 to 100"),
        (["6", "7", "--spread", "0"], 2, "above 0"),
        (["6", "7", "--spread", "nan"], 2, "above 0"),
        (["6", "7", "--spread", "1", "--chance", "80"], 2, "between 0 and 1"),
        (["6", "7", "--spread", "1", "--rows", "0"], 2, "1 or more"),
        (["6", "7", "--runs", "nowhere"], 1, "nowhere"),
    ],
)
def test_bad_input_is_one_sentence(arguments, status, words, capsys):
    assert main(arguments) == status
    said = capsys.readouterr().err
    assert words in said
    assert len(said.splitlines()) == 1


def test_one_seed_a_row_shows_no_spread(write, capsys, tmp_path):
    write("seed=0", test_error=5.0)
    assert main(["6", "7", "--runs", str(tmp_path / "runs")]) == 1
    assert "give --spread" in capsys.readouterr().err
