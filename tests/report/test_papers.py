"""The published values beside ours: which run is which row, and the papers' tables."""

import pytest

from ablate.report import tables
from ablate.report.papers import papers
from tests.report.studies import HEAD

# [B] Table 1, by the files of conf/shortcut.
TABLE_1 = {
    "identity": "6.61",
    "none": "fail",
    "constant": "fail",
    "frozen_gate": "12.35",
    **{f"exclusive_gate_b{b}": "fail" for b in range(6)},
    "exclusive_gate": "8.70",
    "exclusive_gate_b7": "9.81",
    "gate_b0": "12.86",
    "gate": "6.91",
    "conv1x1": "12.22",
    "dropout": "fail",
}


def test_published_values_are_in_the_papers_order(write, table):
    texts = {}
    for index, name in enumerate(reversed(TABLE_1)):
        error = 5 + index / 10
        write("data=cifar10", "depth=110", f"shortcut={name}", test_error=error)
        texts[f"{error:.2f}"] = name
    words, numbers, _ = table()
    assert {texts[row[HEAD]]: row["published"] for row in words} == TABLE_1
    assert len(words) == len(numbers) == 16
    order = [texts[row[HEAD]] for row in words]
    assert order[:4] == ["identity", "none", "constant", "frozen_gate"]
    assert order[-4:] == ["gate_b0", "gate", "conv1x1", "dropout"]
    assert {row["source"] for row in numbers} == {"[B] Table 1, 110 layers"}
    assert {row["same_setting"] for row in numbers} == {"True"}
    assert [row["published"] for row in numbers if row["label"].startswith("gate")] == ["12.86", "6.91"]


@pytest.mark.parametrize(
    ("depth", "published"), [(20, "8.75"), (32, "7.51"), (44, "7.17"), (56, "6.97"), (110, "6.61"), (1202, "7.93")]
)
def test_each_depth_has_its_published_error(depth, published, write, table):
    write("data=cifar10", f"depth={depth}", test_error=6.0)
    (words,), (numbers,), _ = table()
    assert words["published"] == published
    assert numbers["same_setting"] == "True"


@pytest.mark.parametrize(
    "overrides",
    [
        ("shortcut.option=B",),
        ("shortcut=gate", "shortcut.bias_init=-5"),
        ("shortcut=constant", "shortcut.scale=0.4"),
        ("shortcut=dropout", "shortcut.p=0.4"),
    ],
    ids=" ".join,
)
def test_network_that_is_not_in_the_papers_has_no_published_value(overrides, write, table):
    write("data=cifar10", "depth=110", *overrides, test_error=6.0)
    (words,), (numbers,), _ = table()
    assert words.get("published", "–") == "–"
    assert numbers["published"] == ""


@pytest.mark.parametrize(
    "overrides",
    [("iterations=1000",), ("recipe=digits",), ("data.validation=5000",), ("data.flip=false",), ("recipe.batch=64",)],
    ids=" ".join,
)
def test_another_setting_than_the_published_one_is_noted(overrides, study):
    cells = study({f"data=cifar10 depth=110 {' '.join(overrides)}": [6.0]})
    assert list(cells.same_setting) == [False]
    assert any("compare the order of the rows, not the values" in note for note in tables.notes(cells))


def test_one_depth_of_the_study_is_compared_with_one_published_depth(write, table):
    for shortcut in ("identity", "gate", "conv1x1"):
        write("data=cifar10", "depth=56", f"shortcut={shortcut}", test_error=6.0)
    words, numbers, _ = table()
    assert [row["published"] for row in words] == ["6.61", "6.91", "12.22"]
    assert {row["source"] for row in numbers} == {"[B] Table 1, 110 layers"}


def test_table_1_has_all_rows_in_the_papers_order(study):
    (made,) = papers(study({"shortcut=gate": [6.0], "shortcut=identity": [5.0], "shortcut=none": [70.0]})).values()
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
    assert "Δ vs published" not in table  # digits is not CIFAR-10


def test_difference_from_the_published_error_is_only_in_the_published_setting(study):
    cells = study(
        {f"data=cifar10 depth={depth}": [error] for depth, error in ((20, 8.5), (32, 7.61), (110, 6.41))}
        | {"data=cifar10 depth=44 iterations=100": [50.0]}
    )
    table, caption = papers(cells)["table6"]
    assert caption.startswith("[A] Table 6")
    assert list(table.net) == ["ResNet-20", "ResNet-32", "ResNet-44", "ResNet-56", "ResNet-110", "ResNet-1202"]
    assert list(table["Δ vs published"]) == ["-0.25", "+0.10", "–", "–", "-0.20", "–"]


def test_table_2_of_b_is_by_unit(study):
    orders = {"basic": 6.5, "full_preactivation": 6.3}
    cells = study({f"data=cifar10 depth=110 unit.name={unit}": [error] for unit, error in orders.items()})
    table, _ = papers(cells)["table2"]
    assert list(table.case[:5]) == [
        "original", "BN after addition", "ReLU before addition", "ReLU-only pre-activation", "full pre-activation",
    ]  # fmt: skip
    assert list(table.published) == ["6.61", "8.17", "7.84", "6.71", "6.37", "5.93", "6.50", "6.14", "5.91", "5.46"]
    assert table["ours (median)"][0] == "6.50"


def test_164_layers_of_table_2_use_option_b(study):
    bottleneck = "data=cifar10 depth=164 unit.name=bottleneck_full_preactivation shortcut.option="
    cells = study(
        {"data=cifar10 depth=110 unit.name=full_preactivation": [6.3], f"{bottleneck}A": [9.9], f"{bottleneck}B": [5.5]}
    )
    table, _ = papers(cells)["table2"]
    assert list(table["ours (median)"]) == [*["not run"] * 4, "6.30", *["not run"] * 4, "5.50"]
    assert list(table["Δ vs published"])[4::5] == ["-0.07", "+0.04"]
    assert cells[cells.depth == 164].set_index("label").published.fillna(-1).to_dict() == {
        "identity": -1,
        "identity option=B": 5.46,
    }


def test_published_setting_is_preferred_to_a_set_with_more_rows(study):
    short = {f"data=cifar10 depth=110 iterations=2000 shortcut={name}": [15.0] for name in ("identity", "gate", "none")}
    long = {f"data=cifar10 depth=110 shortcut={name}": [6.6] for name in ("identity", "gate")}
    table, caption = papers(study({**short, **long}))["table1"]
    assert next(iter(table["ours (median)"])) == "6.60"
    assert list(table["ours (median)"]).count("not run") == 14
    assert "64,000 iterations" in caption


def test_depth_of_the_paper_is_preferred(study):
    grid = {f"depth={depth} shortcut={name}": [depth / 10] for depth in (20, 110) for name in ("identity", "none")}
    table, caption = papers(study(grid))["table1"]
    assert list(table["ours (median)"][:2]) == ["11.00", "11.00"]
    assert caption.endswith("depth 110.")


def test_row_that_was_run_in_two_ways_is_there_twice(study):
    cells = study({"shortcut=identity": [5.0], "shortcut=conv1x1": [6.0], "shortcut=conv1x1 shortcut.norm=true": [7.0]})
    table, _ = papers(cells)["table1"]
    twice = table[table.case == "1×1 conv"]
    assert dict(zip(twice["run as"], twice["ours (median)"], strict=True)) == {
        "conv1x1 norm=false": "6.00",
        "conv1x1 norm=true": "7.00",
    }
