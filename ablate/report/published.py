"""The published tables, row by row as printed, and which of our runs each row corresponds to.

[A] He et al. 2016, arXiv:1512.03385, Table 6. [B] He et al. 2016, arXiv:1603.05027, Table 1 (median of 5 runs) and
Table 2. Errors in percent on the CIFAR-10 test set.
"""

import math
from dataclasses import dataclass, field
from typing import Any

FAIL = 20.0
"""Percent above which [B] Table 1 prints 'fail'."""


@dataclass(frozen=True)
class Published:
    """One published row: `error` in percent, infinite for 'fail'.

    `parameters` are the shortcut's that the row fixes, `option` is the shortcut where the shape changes, and `printed`
    are the columns of the paper's table before the error.
    """

    shortcut: str
    error: float
    parameters: dict[str, float | bool] = field(default_factory=dict)
    depth: int = 110
    unit: str = "basic"
    option: str = "A"
    source: str = "[B] Table 1"
    printed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A published table: its name in file names, its title, its first columns and its rows in the paper's order."""

    name: str
    title: str
    headings: tuple[str, ...]
    rows: list[Published]
    varies: tuple[str, ...]
    """The keys in which its rows differ; all others are equal within a table."""


def _row(shortcut: str, error: float, *printed: str, **parameters: float | bool) -> Published:
    return Published(shortcut, error, parameters, printed=printed)


SCALE, EXCLUSIVE, GATE = "constant scaling", "exclusive gating", "shortcut-only gating"
TABLE_1 = [
    _row("identity", 6.61, "original", "1", "1", "Fig. 2a"),
    _row("none", math.inf, SCALE, "0", "1", "plain network"),
    _row("constant", math.inf, SCALE, "0.5", "1", "", scale=0.5, residual_scale=1.0),
    _row("constant", 12.35, SCALE, "0.5", "0.5", "frozen gating", scale=0.5, residual_scale=0.5),
    *(
        _row("exclusive_gate", math.inf, EXCLUSIVE, "1−g(x)", "g(x)", f"b_g = {-b}", bias_init=-float(b))
        for b in range(6)
    ),
    _row("exclusive_gate", 8.70, EXCLUSIVE, "1−g(x)", "g(x)", "b_g = -6", bias_init=-6.0),
    _row("exclusive_gate", 9.81, EXCLUSIVE, "1−g(x)", "g(x)", "b_g = -7", bias_init=-7.0),
    _row("gate", 12.86, GATE, "1−g(x)", "1", "b_g = 0", bias_init=0.0),
    _row("gate", 6.91, GATE, "1−g(x)", "1", "b_g = -6", bias_init=-6.0),
    _row("conv1x1", 12.22, "1×1 conv", "conv(x)", "1", "Fig. 2e"),
    _row("dropout", math.inf, "dropout", "dropout(x)", "1", "ratio 0.5", p=0.5),
]

ORDERS = {
    "basic": ("original", "Fig. 4a", 6.61, 5.93),
    "bn_after_addition": ("BN after addition", "Fig. 4b", 8.17, 6.50),
    "relu_before_addition": ("ReLU before addition", "Fig. 4c", 7.84, 6.14),
    "relu_only_preactivation": ("ReLU-only pre-activation", "Fig. 4d", 6.71, 5.91),
    "full_preactivation": ("full pre-activation", "Fig. 4e", 6.37, 5.46),
}
"""By unit, in the paper's order: case, figure, errors of ResNet-110 and of ResNet-164, which has bottleneck units."""


def _order(unit: str, case: str, figure: str, depth: int, error: float) -> Published:
    # [B]'s release projects where the shape of a bottleneck unit changes.
    option = "B" if unit.startswith("bottleneck") else "A"
    printed = (case, figure, str(depth))
    return Published("identity", error, depth=depth, unit=unit, option=option, source="[B] Table 2", printed=printed)


TABLE_2 = [_order(unit, case, figure, 110, error) for unit, (case, figure, error, _) in ORDERS.items()]
TABLE_2 += [
    _order("bottleneck" if unit == "basic" else f"bottleneck_{unit}", case, figure, 164, error)
    for unit, (case, figure, _, error) in ORDERS.items()
]
TABLE_6 = [
    Published("identity", error, depth=depth, source="[A] Table 6", printed=(f"ResNet-{depth}", size))
    for depth, error, size in (
        (20, 8.75, "0.27 M"),
        (32, 7.51, "0.46 M"),
        (44, 7.17, "0.66 M"),
        (56, 6.97, "0.85 M"),
        (110, 6.61, "1.7 M"),  # of 5 runs, 6.61 ± 0.16; their best 6.43
        (1202, 7.93, "19.4 M"),
    )
]
ROWS = [*TABLE_1, *TABLE_2, *TABLE_6]
TABLES = [
    Table(
        "table1",
        "[B] Table 1: shortcuts in every unit of ResNet-110, CIFAR-10, median of 5 runs",
        ("case", "on shortcut", "on F", "remark"),
        TABLE_1,
        ("shortcut",),
    ),
    Table(
        "table2",
        "[B] Table 2: activation orders, CIFAR-10",
        ("case", "Fig.", "depth"),
        TABLE_2,
        ("unit", "depth", "shortcut.option"),
    ),
    Table("table6", "[A] Table 6: depth, option A shortcuts, CIFAR-10", ("net", "parameters"), TABLE_6, ("depth",)),
]


def is_row(config: dict[str, Any], row: Published, *, any_depth: bool = False) -> bool:
    """Whether a run's network is that of a published row, on any data and by any recipe."""
    shortcut, unit = config["shortcut"], config["unit"]
    return (
        all(str(node.get("_target_", "")).startswith("ablate.") for node in (shortcut, unit))
        and shortcut.get("option", row.option) == row.option
        and (shortcut["name"], unit["name"]) == (row.shortcut, row.unit)
        and all(shortcut.get(key) == value for key, value in row.parameters.items())
        and (any_depth or config["depth"] == row.depth)
    )


def by_own_depth(configs: list[dict[str, Any]]) -> bool:
    """Whether each run is compared with the published network of its own depth, or all runs with [B] Table 1.

    A study uses one rule for all its runs: the 6.97 of 56 layers next to the 6.91 of 110 would mislead.
    """
    known = [config for config in configs if find(config, own_depth=False)[0]]
    return len({config["depth"] for config in configs}) > 1 or all(find(config, own_depth=True)[0] for config in known)


def find(config: dict[str, Any], *, own_depth: bool) -> tuple[Published | None, int]:
    """The published row of a run's network, of its own depth or else the first, and its place in the papers' order.

    `same_setting` checks whether the run was also trained as in the paper.
    """
    rows = [row for row in ROWS if is_row(config, row, any_depth=True)]
    if not rows:
        return None, len(ROWS)
    exact = next((row for row in rows if row.depth == config["depth"]), None)
    return exact if own_depth else rows[0], ROWS.index(rows[0])


def same_setting(config: dict[str, Any], row: Published) -> bool:
    """Whether a run has the setting of the paper: depth, data, unit and the whole recipe."""
    recipe = config["recipe"]
    return (
        is_row(config, row)
        and config["data"]["name"] == "cifar10"
        and config["data"]["validation"] == 0
        and (config["data"]["shift"], config["data"]["flip"]) == (4, True)
        and (recipe["name"], recipe["iterations"], recipe["batch"]) == ("he2016", 64000, 128)
        and (recipe["learning_rate"], recipe["momentum"], recipe["weight_decay"]) == (0.1, 0.9, 1e-4)
        and (recipe["milestones"], recipe["warmup"]) == ([0.5, 0.75], 0.00625)
    )
