"""The published errors, percent on the CIFAR-10 test set, each with the table it stands in.

[A] He et al. 2016, arXiv:1512.03385, Table 6. [B] He et al. 2016, arXiv:1603.05027, Table 1 (median of 5 runs).
"""

import math
from dataclasses import dataclass, field
from typing import Any

FAIL = 20.0
"""Percent above which [B] Table 1 prints 'fail'."""


@dataclass(frozen=True)
class Published:
    """One published row: `error` in percent, infinite for 'fail'. `parameters` are those that the row fixes."""

    shortcut: str
    error: float
    parameters: dict[str, float | bool] = field(default_factory=dict)
    depth: int = 110
    source: str = "[B] Table 1"


TABLE_1 = [
    Published("identity", 6.61),
    Published("none", math.inf),
    Published("constant", math.inf, {"scale": 0.5, "residual_scale": 1.0}),
    Published("constant", 12.35, {"scale": 0.5, "residual_scale": 0.5}),
    *(Published("exclusive_gate", math.inf, {"bias_init": -float(b)}) for b in range(6)),
    Published("exclusive_gate", 8.70, {"bias_init": -6.0}),
    Published("exclusive_gate", 9.81, {"bias_init": -7.0}),
    Published("gate", 12.86, {"bias_init": 0.0}),
    Published("gate", 6.91, {"bias_init": -6.0}),
    Published("conv1x1", 12.22),
    Published("dropout", math.inf, {"p": 0.5}),
]
TABLE_6 = [
    Published("identity", error, depth=depth, source="[A] Table 6")
    for depth, error in ((20, 8.75), (32, 7.51), (44, 7.17), (56, 6.97), (1202, 7.93))
]


def find(config: dict[str, Any], *, by_depth: bool) -> tuple[Published | None, int]:
    """The published row of a run's shortcut, and its place in the paper's order.

    In a study of several depths, or on CIFAR-10, a row of the run's own depth; else, in a study of one depth, the row
    of [B] Table 1 with the same shortcut. Whether the two settings are the same is `same_setting`'s to say.
    """
    shortcut, place = config["shortcut"], len(TABLE_1)
    if not str(shortcut.get("_target_", "")).startswith("ablate.") or shortcut.get("option", "A") != "A":
        return None, place
    rows = [row for row in TABLE_1 + TABLE_6 if row.shortcut == shortcut["name"] and _agrees(row, shortcut)]
    if not rows:
        return None, place
    place = TABLE_1.index(rows[0])
    exact = next((row for row in rows if row.depth == config["depth"]), None)
    if by_depth or (exact and config["data"]["name"] == "cifar10"):
        return exact, place
    return rows[0], place


def same_setting(config: dict[str, Any], row: Published) -> bool:
    """Whether a run is what the paper ran: its depth, data, unit and whole recipe."""
    recipe = config["recipe"]
    return (
        config["depth"] == row.depth
        and config["data"]["name"] == "cifar10"
        and config["data"]["validation"] == 0
        and (config["data"]["shift"], config["data"]["flip"]) == (4, True)
        and config["unit"]["name"] == "basic"
        and (recipe["name"], recipe["iterations"], recipe["batch"]) == ("he2016", 64000, 128)
        and (recipe["learning_rate"], recipe["momentum"], recipe["weight_decay"]) == (0.1, 0.9, 1e-4)
        and (recipe["milestones"], recipe["warmup"]) == ([0.5, 0.75], 0.00625)
    )


def _agrees(row: Published, shortcut: dict[str, Any]) -> bool:
    return all(shortcut.get(key) == value for key, value in row.parameters.items())
