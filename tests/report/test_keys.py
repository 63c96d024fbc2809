"""Names of rows: each says in what it differs from the others, and nothing twice."""

from dataclasses import asdict

import pytest

from ablate.report.keys import is_value, labels, typed
from tests.report.studies import HEAD


def names(table):
    return [row["shortcut"] for row in table()[0]]


def test_different_cells_have_different_names(write, table):
    write("recipe.learning_rate=0.1", test_error=5.0)
    write("recipe.learning_rate=0.2", test_error=6.0)
    assert names(table) == ["identity recipe.learning_rate=0.1", "identity recipe.learning_rate=0.2"]


def test_rows_that_differ_in_more_than_their_shortcut_name_the_keys(write, table):
    write("shortcut=identity", test_error=5.0)
    write("shortcut=gate", "recipe.epochs=1", test_error=60.0)
    write("shortcut=none", "recipe.learning_rate=5", "device=cpu", test_error=70.0)
    assert names(table) == [
        "identity device=auto recipe.epochs=20 recipe.learning_rate=0.02",
        "none device=cpu recipe.epochs=20 recipe.learning_rate=5",
        "gate bias_init=-6 device=auto recipe.epochs=1 recipe.learning_rate=0.02",
    ]


def test_neutral_values_are_named_where_other_rows_have_another(write, table):
    write(test_error=5.0)
    write("probes=signal", "threads=1", test_error=6.0)
    assert names(table) == ["identity probes=none threads=null", "identity probes=signal threads=1"]


def test_keys_of_a_dataset_or_recipe_with_another_name_are_not_repeated(write, table):
    for data in ("digits", "cifar10"):
        write(f"data={data}", test_error=5.0)
        write(f"data={data}", "shortcut=gate", test_error=6.0)
    assert set(names(table)) == {"identity", "gate bias_init=-6"}


def test_settings_that_differ_and_axes_are_as_asked(study):
    cells = study({"depth=8": [5.0], "depth=20 shortcut=gate": [6.0], "depth=20 shortcut=gate_b0": [7.0]})
    assert labels(cells) == ["identity", "gate bias_init=0", "gate bias_init=-6"]
    assert labels(cells, settings=True) == [
        "identity, depth 8",
        "gate bias_init=0, depth 20",
        "gate bias_init=-6, depth 20",
    ]
    assert labels(cells, "depth", "shortcut.bias_init", settings=True) == ["identity", "gate", "gate"]


def test_words_that_all_units_share_are_left_out_of_names(study):
    order = "unit.order=full_preactivation"
    cells = study({f"unit=zero_gamma {order}": [6.0], order: [5.0]})
    assert sorted(labels(cells, settings=True)) == ["identity, unit basic", "identity, unit zero_gamma"]


def test_words_that_all_units_share_are_kept_where_a_name_would_be_empty(study):
    cells = study({"unit.order=full_preactivation": [5.0], "unit.order=original": [6.0]})
    names = ["identity, unit basic", "identity, unit basic order=full_preactivation"]
    assert sorted(labels(cells, settings=True)) == names


@pytest.mark.parametrize(
    ("key", "word"), [("depth", "20"), ("shortcut", "gate"), ("shortcut.bias_init", "-6"), ("recipe.batch", "64"),
                      ("iterations", "null"), ("dry_run", "false"), ("depht", None), ("depth.x", None)]
)  # fmt: skip
def test_typed_values(key, word, resolve):
    assert typed(asdict(resolve("shortcut=gate")), key) == word


@pytest.mark.parametrize(
    ("key", "word", "equal"),
    [
        ("recipe.weight_decay", "1e-4", True), ("recipe.weight_decay", "0.0001", True),
        ("recipe.weight_decay", "1e-3", False),
        ("recipe.batch", "64", True), ("recipe.batch", "64.0", True), ("depth", "20", True), ("depth", "true", False),
        ("recipe.milestones", "[0.5,0.75]", True), ("recipe.milestones", "[0.5]", False), ("iterations", "null", True),
        ("dry_run", "False", True), ("dry_run", "0", False), ("shortcut", "gate", True), ("shortcut", "'gate'", True),
        ("shortcut", "a,b", False), ("shortcut", "=cmd()", False), ("depht", "20", False),
    ],
)  # fmt: skip
def test_values_are_read_as_on_the_command_line(key, word, equal, resolve):
    assert is_value(asdict(resolve("shortcut=gate")), key, word) == equal


def test_custom_shortcut_is_named_by_its_text(write, table, resolve):
    tree = asdict(resolve()) | {"shortcut": {"name": 'a|b<c>,"d" `e` *f* [g]', "_target_": "mine.H", "source": "0123"}}
    write(tree=tree, test_error=5.0)
    (words,), (numbers,), _ = table()
    assert words["shortcut"] == numbers["shortcut"] == numbers["label"] == tree["shortcut"]["name"]
    assert words[HEAD] == "5.00"
    assert numbers["published"] == ""
