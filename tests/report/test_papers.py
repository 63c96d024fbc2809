"""The published values beside ours: which run is which row, and the papers' tables."""

import math
import re
from dataclasses import asdict, replace

import pytest
from scipy.stats import spearmanr

from ablate.report import published, tables
from ablate.report.papers import papers
from ablate.report.wording import INTERVAL
from tests.report.studies import HEAD

# [B] Table 1, by the files of conf/shortcut.
TABLE_1 = {
    "identity": "6.61",
    "none": "> 20",
    "constant": "> 20",
    "frozen_gate": "12.35",
    **{f"exclusive_gate_b{b}": "> 20" for b in range(6)},
    "exclusive_gate": "8.70",
    "exclusive_gate_b7": "9.81",
    "gate_b0": "12.86",
    "gate": "6.91",
    "conv1x1": "12.22",
    "dropout": "> 20",
}


# The columns before the error and the error, as the papers print them.
PRINTED = {
    "table1": """
        case              on shortcut  on F  remark
        original          1            1     Fig. 2a         6.61
        constant scaling  0            1     plain network   fail
        constant scaling  0.5          1                     fail
        constant scaling  0.5          0.5   frozen gating   12.35
        exclusive gating  1−g(x)       g(x)  b_g = 0         fail
        exclusive gating  1−g(x)       g(x)  b_g = -1        fail
        exclusive gating  1−g(x)       g(x)  b_g = -2        fail
        exclusive gating  1−g(x)       g(x)  b_g = -3        fail
        exclusive gating  1−g(x)       g(x)  b_g = -4        fail
        exclusive gating  1−g(x)       g(x)  b_g = -5        fail
        exclusive gating  1−g(x)       g(x)  b_g = -6        8.70
        exclusive gating  1−g(x)       g(x)  b_g = -7        9.81
        shortcut-only gating  1−g(x)   1     b_g = 0         12.86
        shortcut-only gating  1−g(x)   1     b_g = -6        6.91
        1×1 conv          conv(x)      1     Fig. 2e         12.22
        dropout           dropout(x)   1     ratio 0.5       fail
    """,
    "table2": """
        case                      Fig.     depth
        original                  Fig. 4a  110    6.61
        BN after addition         Fig. 4b  110    8.17
        ReLU before addition      Fig. 4c  110    7.84
        ReLU-only pre-activation  Fig. 4d  110    6.71
        full pre-activation       Fig. 4e  110    6.37
        original                  Fig. 4a  164    5.93
        BN after addition         Fig. 4b  164    6.50
        ReLU before addition      Fig. 4c  164    6.14
        ReLU-only pre-activation  Fig. 4d  164    5.91
        full pre-activation       Fig. 4e  164    5.46
    """,
    "table3": """
        net          unit              order
        ResNet-110   single units      original             9.90
        ResNet-110   single units      full pre-activation  8.91
        ResNet-110   basic units       original             6.61
        ResNet-110   basic units       full pre-activation  6.37
        ResNet-164   bottleneck units  original             5.93
        ResNet-164   bottleneck units  full pre-activation  5.46
        ResNet-1001  bottleneck units  original             7.61
        ResNet-1001  bottleneck units  full pre-activation  4.92
    """,
    "table3-cifar100": """
        net          unit              order
        ResNet-164   bottleneck units  original             25.16
        ResNet-164   bottleneck units  full pre-activation  24.33
        ResNet-1001  bottleneck units  original             27.82
        ResNet-1001  bottleneck units  full pre-activation  22.71
    """,
    "table6": """
        net          parameters
        ResNet-20    0.27 M      8.75
        ResNet-32    0.46 M      7.51
        ResNet-44    0.66 M      7.17
        ResNet-56    0.85 M      6.97
        ResNet-110   1.7 M       6.61
        ResNet-1202  19.4 M      7.93
    """,
    "table2-imagenet": """
        net          top-5
        plain-18             27.94
        plain-34             28.54
        ResNet-18            27.88
        ResNet-34 A          25.03
    """,
    "table3-imagenet": """
        net          top-5
        plain-34     10.02   28.54
        ResNet-34 A  7.76    25.03
        ResNet-34 B  7.46    24.52
        ResNet-34 C  7.40    24.19
        ResNet-50    6.71    22.85
        ResNet-101   6.05    21.75
        ResNet-152   5.71    21.43
    """,
    "table4-imagenet": """
        net          top-5
        ResNet-34 B  5.71    21.84
        ResNet-34 C  5.60    21.53
        ResNet-50    5.25    20.74
        ResNet-101   4.60    19.87
        ResNet-152   4.49    19.38
    """,
}


@pytest.mark.parametrize("table", published.TABLES, ids=lambda table: table.name)
def test_tables_are_printed_as_in_the_papers(table):
    head, *lines = (re.split(r"\s{2,}", line.strip()) for line in PRINTED[table.name].strip().splitlines())
    assert list(table.headings) == head
    rows = [[*row.printed, "fail" if row.error == math.inf else f"{row.error:.2f}"] for row in table.rows]
    assert [[word for word in row if word] for row in rows] == lines
    assert all(len(row) == len(head) + 1 for row in rows)


def test_published_rows_have_their_setting():
    rows = {(row.source, row.depth): row for row in published.ROWS if row.data != "imagenet"}
    facts = {key: (row.statistic, row.runs, row.warmup) for key, row in rows.items()}
    assert facts == {
        ("[B] Table 1", 110): ("median", 5, 400),
        ("[B] Table 2", 110): ("median", 5, 400),
        ("[B] Table 2", 164): ("median", 5, 400),
        **{("[B] Table 3", depth): ("median", 5, 400) for depth in (110, 164, 1001)},
        **{("[A] Table 6", depth): ("single", 1, 0) for depth in (20, 32, 44, 56)},
        ("[A] Table 6", 110): ("mean", 5, 400),
        ("[A] Table 6", 1202): ("single", 1, 400),
    }
    cifar = [row for row in published.ROWS if row.data != "imagenet"]
    assert {(row.batch, row.iterations) for row in cifar} == {(128, 64_000)}
    assert {row.source for row in cifar if row.data != "cifar10"} == {"[B] Table 3"}
    imagenet = [row for row in published.ROWS if row.data == "imagenet"]
    assert {(row.runs, row.batch, row.iterations, row.warmup) for row in imagenet} == {(1, 256, 600_000, 0)}  # [A] §3.4


def test_setting_is_that_of_the_keys_that_the_paper_names():
    own = {"_target_": "ablate.", "name": "identity", "option": "A"}
    recipe = {"batch": 128, "iterations": 64_000, "warmup": 400 / 64_000, "learning_rate": 0.1, "momentum": 0.9}
    config = {
        **{"depth": 110, "shortcut": own, "unit": {**own, "name": "basic"}},
        "data": {"name": "cifar10", "validation": 0, "shift": 4, "flip": True},
        "recipe": {**recipe, "weight_decay": 1e-4, "milestones": [0.5, 0.75]},
    }
    assert published.same_setting(config, published.TABLE_1[0])
    assert not published.same_setting({**config, "depth": 56}, published.TABLE_1[0])
    for group, key, value in (("data", "size", 16), ("recipe", "schedule", "cosine"), ("recipe", "nesterov", True)):
        other = {**config, group: {**config[group], key: value}}
        assert not published.same_setting(other, published.TABLE_1[0])


def test_error_of_ten_crops_or_several_scales_is_not_of_the_setting_of_one_view():
    row = published.IMAGENET_3[1]  # ResNet-34 A
    config = {
        **{"depth": 34, "shortcut": {"name": "identity", "option": "A"}, "unit": {"name": "basic"}},
        **{"net": {"name": "resnet34"}, "data": {"name": "imagenet", "validation": 0, "shift": 4, "flip": True}},
        "recipe": {**published.OPTIMISER, "batch": 256, "iterations": row.iterations, "warmup": 0},
    }
    assert published.same_setting(config, replace(row, views="one"))
    assert not published.same_setting(config, row)


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
    assert {row["source"] for row in numbers} == {"[B] Table 1, 110 layers, cifar10, median of 5 runs"}
    assert {row["same_setting"] for row in numbers} == {"True"}
    assert [row["published"] for row in numbers if row["label"].startswith("gate")] == ["12.86", "6.91"]


@pytest.mark.parametrize(
    ("depth", "error"), [(20, "8.75"), (32, "7.51"), (44, "7.17"), (56, "6.97"), (110, "6.61"), (1202, "7.93")]
)
def test_each_depth_has_its_published_error(depth, error, write, table):
    warmup = "0.00625" if depth >= 110 else "0"
    write("data=cifar10", f"depth={depth}", f"recipe.warmup={warmup}", test_error=6.0)
    (words,), (numbers,), _ = table()
    assert words["published"] == error
    assert numbers["same_setting"] == "True"


@pytest.mark.parametrize(("depth", "warmup"), [(20, 0.00625), (56, 0.00625), (110, 0)])
def test_warmup_that_the_paper_has_not_is_another_setting(depth, warmup, study):
    cells = study({f"data=cifar10 depth={depth} recipe.warmup={warmup}": [6.0]})
    assert list(cells.same_setting) == [False]
    assert "Δ vs published" not in tables.words(cells)


@pytest.mark.parametrize("data", ["digits", "cifar100", "cifar10 16x16"])
def test_published_error_stands_beside_runs_of_its_dataset_only(data, study):
    words = data.replace(" 16x16", " data.size=16")
    cells = study({f"data={words} depth=110": [25.26], "data=cifar10 depth=110": [6.5]})
    assert dict(zip(cells.data, tables.words(cells).published, strict=True)) == {data: "–", "cifar10": "6.61"}
    assert "fail" not in tables.words(cells).to_string()


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
    [
        *(("iterations=1000",), ("recipe=digits",), ("recipe.batch=64",), ("recipe.learning_rate=0.2",)),
        *(("recipe.momentum=0.8",), ("recipe.weight_decay=2e-4",), ("recipe.milestones=[0.5,0.8]",)),
        *(("data.validation=5000",), ("data.flip=false",), ("data.shift=2",)),
    ],
    ids=" ".join,
)
def test_another_setting_than_the_published_one_is_noted(overrides, study):
    cells = study({f"data=cifar10 depth=110 {' '.join(overrides)}": [6.0]})
    assert list(cells.same_setting) == [False]
    assert any("have another depth or recipe than the paper's" in note for note in tables.notes(cells))


def test_one_depth_of_the_study_is_compared_with_one_published_depth(write, table):
    for shortcut in ("identity", "gate", "conv1x1"):
        write("data=cifar10", "depth=56", f"shortcut={shortcut}", test_error=6.0)
    words, numbers, _ = table()
    assert [row["published"] for row in words] == ["6.61", "6.91", "12.22"]
    assert {row["source"] for row in numbers} == {"[B] Table 1, 110 layers, cifar10, median of 5 runs"}


def test_table_1_has_all_rows_in_the_papers_order(study):
    (made,) = papers(study({"shortcut=gate": [6.0], "shortcut=identity": [5.0], "shortcut=none": [70.0]})).values()
    table, caption = made
    assert caption.startswith("[B] Table 1")
    assert "CIFAR-10" in caption
    assert "Ours: data digits" in caption
    assert list(table.case[:3]) == ["original", "constant scaling", "constant scaling"]
    assert list(table["ours on digits (median)"][:3]) == ["5.00", "70.00", "not run"]
    assert list(table.published) == [
        "6.61",
        "fail",
        "fail",
        "12.35",
        *["fail"] * 6,
        *["8.70", "9.81", "12.86", "6.91", "12.22", "fail"],
    ]
    assert "Δ vs published" not in table  # digits is not CIFAR-10


def test_fail_is_a_word_for_cifar10_in_table_1(study):
    errors = {"": [5.0], " shortcut=none": [20.0], " shortcut=constant": [20.1], " shortcut=dropout": [None]}
    cells = study({f"data=cifar10 depth=110{name}": values for name, values in errors.items()})
    table, _ = papers(cells)["table1"]
    ours = dict(zip(table.case + table["on F"] + table.remark, table["ours on cifar10 (median)"], strict=True))
    assert (ours["constant scaling1plain network"], ours["constant scaling1"]) == ("20.00", "fail (20.10)")
    assert ours["dropout1ratio 0.5"] == "fail (diverged)"


def test_stopped_row_neither_fails_nor_differs_from_the_papers(seeds, study):
    """The papers trained every run to its end."""
    stopped = {"status": "stopped", "stopped_at": 19_200, "reason": "at chance"}
    seeds("data=cifar10 depth=110 shortcut=none", [90.0], **stopped)
    seeds("data=cifar10 depth=110 shortcut=gate_b0", [90.0], **stopped)
    table, _ = papers(study({"data=cifar10 depth=110": [6.0]}))["table1"]
    shown = table[table["n"] == "1"]
    assert shown["ours on cifar10 (median)"].tolist() == ["6.00", "90.00", "90.00"]
    assert shown["Δ vs published"].tolist() == ["-0.61", "–", "–"]


def test_ours_is_shown_in_the_papers_statistic_and_as_the_mean(study):
    cells = study({f"data=cifar10 depth=110 shortcut={name}": [6.0, 6.3, 7.5] for name in ("identity", "gate")})
    table, _ = papers(cells)["table1"]
    assert list(table) == [
        *("case", "on shortcut", "on F", "remark", "published"),
        *("ours on cifar10 (median)", "ours on cifar10 (mean)", INTERVAL, "n", "Δ vs published"),
    ]
    assert (table["ours on cifar10 (median)"][0], table.n[0]) == ("6.30", "3")
    assert table["ours on cifar10 (mean)"][0] == "6.60 ± 0.79"
    assert table["Δ vs published"][0] == "-0.31"  # of medians: 6.30 - 6.61
    cells = study({f"data=cifar10 depth={depth} recipe.warmup=0": [6.0, 6.3, 7.5] for depth in (20, 32)})
    table, _ = papers(cells[cells.depth < 110])["table6"]
    assert "ours on cifar10 (median)" not in table
    assert list(table["Δ vs published"])[:2] == ["-2.15", "-0.91"]  # of means: 6.60 - 8.75, 6.60 - 7.51


# The medians of five seeds on digits at 56 layers, once in results/quickstart, and [B] Table 1; None is 'fail'.
QUICKSTART = {
    "identity": (3.2, 6.61),
    "none": (76.4, None),
    "constant": (57.2, None),
    "frozen_gate": (48.4, 12.35),
    "exclusive_gate_b3": (21.2, None),
    "exclusive_gate": (45.2, 8.70),
    "exclusive_gate_b7": (45.8, 9.81),
    "gate_b0": (76.4, 12.86),
    "gate": (3.0, 6.91),
    "conv1x1": (10.2, 12.22),
    "dropout": (90.0, None),
}


def test_order_of_rows_of_another_setting_is_compared_by_rank_correlation(study):
    seeds = {f"depth=56 shortcut={name}": [error] for name, (error, _) in QUICKSTART.items()}
    seeds["depth=56 shortcut=identity"] = [3.2, 3.2, 40.0]  # the same median, as [B] prints it
    cells = study(seeds)
    rho = spearmanr([ours for ours, _ in QUICKSTART.values()], [error or 99 for _, error in QUICKSTART.values()])
    _, caption = papers(cells)["table1"]
    (note,) = (line for line in tables.notes(cells) if "Spearman" in line)
    for text in (caption, note):
        assert text.startswith("[B] Table 1")
        assert f"Spearman's rank correlation {rho.statistic:.2f}, 95 % interval [0." in text
        assert text.endswith("out of place by 3 ranks or more: exclusive_gate bias_init=-3.")
    assert f"{rho.statistic:.2f}" == "0.74"


def test_rows_at_chance_share_the_last_rank(seeds, study):
    guesses = {"chance": {"loss": 2.3026, "error": 90.0}, "train_loss": 2.302, "train_error": 89.9}
    for name, error in {"frozen_gate": 89.1, "gate_b0": 90.3, "none": 88.0}.items():
        seeds(f"depth=110 shortcut={name}", [error], **guesses)
    cells = study(
        {f"depth=110 shortcut={name}": [error] for name, error in {"identity": 50.0, "conv1x1": 70.0}.items()}
    )
    _, caption = papers(cells)["table1"]
    # Ranks 1 2 4 4 4 of ours; 6.61, 12.22, 12.35, 12.86 and fail of [B]: 8 / sqrt(8 · 10).
    assert "rank correlation 0.89" in caption


def test_rows_that_all_fail_have_no_order(study):
    errors = {"none": None, "constant": None, "exclusive_gate_b3": None, "dropout": None}
    _, caption = papers(study({f"depth=110 shortcut={name}": [error] for name, error in errors.items()}))["table1"]
    assert "Spearman" not in caption


def test_order_of_depths_names_the_depth_and_counts_a_diverged_row_as_the_worst(study):
    errors = {20: [6.0], 32: [5.0], 44: [4.0], 56: [3.0], 110: [3.5, None]}
    _, caption = papers(study({f"depth={depth}": values for depth, values in errors.items()}))["table6"]
    assert "Ours: data digits, recipe digits of 20 epochs, batch 64. Order of the 5 rows" in caption
    # Ranks 4 3 2 1 5 of ours, 5 4 3 2 1 of [A].
    assert "rank correlation 0.00" in caption
    assert caption.endswith("out of place by 3 ranks or more: identity, depth 110.")


def test_row_that_is_out_of_place_by_exactly_three_ranks_is_named(study):
    errors = {20: [2.0], 32: [6.0], 44: [5.0], 56: [4.0], 110: [1.0]}
    _, caption = papers(study({f"depth={depth}": values for depth, values in errors.items()}))["table6"]
    # Ranks 2 5 4 3 1 of ours, 5 4 3 2 1 of [A]: 1 − 6 · (9 + 1 + 1 + 1) / (5 · 24).
    assert "rank correlation 0.40" in caption
    assert caption.endswith("out of place by 3 ranks or more: identity, depth 20.")


@pytest.mark.parametrize("rows", [3, 4])
def test_order_of_few_rows_or_of_the_published_setting_is_not_compared(rows, study):
    names = ["identity", "gate", "conv1x1", "gate_b0"][:rows]
    published = {f"data=cifar10 depth=110 shortcut={name}": [6 + at] for at, name in enumerate(names)}
    assert not any("Spearman" in line for line in tables.notes(study(published)))
    digits = {f"depth=110 shortcut={name}": [6 + at] for at, name in enumerate(names)}
    cells = study(digits)
    assert any("Spearman" in line for line in tables.notes(cells[cells.data == "digits"])) == (rows == 4)


def test_difference_from_the_published_error_is_only_in_the_published_setting(study):
    cells = study(
        {
            f"data=cifar10 depth={depth} recipe.warmup=0": [error]
            for depth, error in ((20, 8.5), (32, 7.61), (110, 6.41))
        }
        | {"data=cifar10 depth=44 recipe.warmup=0 iterations=100": [50.0]}
    )
    table, caption = papers(cells)["table6"]
    assert caption.startswith("[A] Table 6")
    assert list(table.net) == ["ResNet-20", "ResNet-32", "ResNet-44", "ResNet-56", "ResNet-110", "ResNet-1202"]
    assert list(table["Δ vs published"]) == ["-0.25", "+0.10", "–", "–", "–", "–"]


def test_run_that_starts_from_weights_is_not_in_the_published_setting(resolve):
    config = asdict(resolve("data=cifar10", "depth=110"))
    row = next(row for row in published.ROWS if row.depth == 110 and published.is_row(config, row))
    assert published.same_setting(config, row)
    assert not published.same_setting(config | {"init_fingerprint": "abcdef"}, row)


def test_table_over_depths_has_the_warm_up_that_each_depth_has_in_the_paper(study):
    cells = study({"data=cifar10 depth=20 recipe.warmup=0": [8.5], "data=cifar10 depth=110": [6.41]})
    table, _ = papers(cells)["table6"]
    assert list(table["Δ vs published"])[0:5:4] == ["-0.25", "-0.20"]


def test_table_2_of_b_is_by_order(study):
    orders = {"original": 6.5, "full_preactivation": 6.3}
    cells = study({f"data=cifar10 depth=110 unit.order={order}": [error] for order, error in orders.items()})
    table, _ = papers(cells)["table2"]
    assert list(table.case[:5]) == [
        "original", "BN after addition", "ReLU before addition", "ReLU-only pre-activation", "full pre-activation",
    ]  # fmt: skip
    assert list(table.published) == ["6.61", "8.17", "7.84", "6.71", "6.37", "5.93", "6.50", "6.14", "5.91", "5.46"]
    assert table["ours on cifar10 (median)"][0] == "6.50"


def test_units_of_table_2_are_the_five_orders_with_and_without_bottleneck():
    orders = ["original", "bn_after_addition", "relu_before_addition", "relu_only_preactivation", "full_preactivation"]
    wanted = [(110, "basic", order, "A") for order in orders]
    wanted += [(164, "bottleneck", order, "B_bare") for order in orders]
    assert [(row.depth, row.unit, row.order, row.option) for row in published.TABLE_2] == wanted
    assert {row.shortcut for row in published.TABLE_2} == {"identity"}


def test_164_layers_of_table_2_have_bare_projections_and_the_stride_in_the_first_convolution(study):
    order = "data=cifar10 unit.order=full_preactivation"
    bottleneck = f"{order} depth=164 unit=bottleneck"
    asked = {
        f"{order} depth=110": [6.3],
        f"{bottleneck} shortcut.option=A": [9.9],
        f"{bottleneck} shortcut.option=B": [5.6],
        f"{bottleneck} unit.stride_in=1x1 shortcut.option=B": [5.7],
        f"{bottleneck} shortcut.option=B_bare": [5.8],
        f"{bottleneck} unit.stride_in=1x1 shortcut.option=B_bare": [5.5],
    }
    cells = study(asked)
    table, _ = papers(cells)["table2"]
    ours = dict(zip(table["ours on cifar10 (median)"], table["Δ vs published"], strict=True))
    assert ours == {"not run": "–", "6.30": "-0.07", "5.60": "–", "5.70": "–", "5.80": "–", "5.50": "+0.04"}
    assert dict(zip(cells["median"], cells.published.fillna(-1), strict=True)) == {
        **{6.3: 6.37, 9.9: -1},
        **dict.fromkeys((5.6, 5.7, 5.8, 5.5), 5.46),
    }


def test_cifar100_has_its_published_errors(study):
    network = "data=cifar100 depth=164 unit=bottleneck shortcut.option=B unit.order="
    cells = study({f"{network}original": [25.0], f"{network}full_preactivation": [24.0]})
    assert dict(zip(cells.unit, cells.published, strict=True)) == {
        "bottleneck": 25.16,
        "bottleneck order=full_preactivation": 24.33,
    }
    assert list(papers(cells)) == ["table3-cifar100"]


def test_wider_network_is_not_the_papers(study):
    assert study({"data=cifar10 depth=110 width=2": [5.0]}).published.isna().all()


def test_published_setting_is_preferred_to_a_set_with_more_rows(study):
    short = {f"data=cifar10 depth=110 iterations=2000 shortcut={name}": [15.0] for name in ("identity", "gate", "none")}
    long = {f"data=cifar10 depth=110 shortcut={name}": [6.6] for name in ("identity", "gate")}
    table, caption = papers(study({**short, **long}))["table1"]
    assert next(iter(table["ours on cifar10 (median)"])) == "6.60"
    assert list(table["ours on cifar10 (median)"]).count("not run") == 14
    assert "64,000 iterations" in caption


def test_depth_of_the_paper_is_preferred(study):
    grid = {f"depth={depth} shortcut={name}": [depth / 10] for depth in (20, 110) for name in ("identity", "none")}
    table, caption = papers(study(grid))["table1"]
    assert list(table["ours on digits (median)"][:2]) == ["11.00", "11.00"]
    assert "depth 110." in caption


def test_row_that_was_run_in_two_ways_is_there_twice(study):
    cells = study({"shortcut=identity": [5.0], "shortcut=conv1x1": [6.0], "shortcut=conv1x1 shortcut.norm=true": [7.0]})
    table, _ = papers(cells)["table1"]
    twice = table[table.case == "1×1 conv"]
    assert dict(zip(twice["run as"], twice["ours on digits (median)"], strict=True)) == {
        "conv1x1 norm=false": "6.00",
        "conv1x1 norm=true": "7.00",
    }
