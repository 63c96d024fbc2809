"""The published tables, row by row as printed, and which of our runs each row corresponds to.

[A] He et al. 2016, arXiv:1512.03385, Tables 2 to 4 and 6. [B] He et al. 2016, arXiv:1603.05027, Tables 1 to 3.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

FAIL = 20.0
"""Percent above which [B] Table 1 prints 'fail'."""
FAILED = math.inf


@dataclass(frozen=True)
class Published:
    """One published row: `error` in percent on the test set of `data`, infinite for 'fail'; of ImageNet, top-1 error on
    the validation images.

    `printed` are the columns of the paper's table before the error, `parameters` are those of the shortcut that the row
    fixes, and `option` is the shortcut where the shape changes. `error` is a `statistic` over `runs`; `batch` is in
    images, `iterations` and `warmup`, at a tenth of the learning rate, in steps. `views` are those of a test image over
    which scores are averaged.
    """

    printed: tuple[str, ...]
    error: float
    shortcut: str = "identity"
    parameters: dict[str, float] = field(default_factory=dict)
    depth: int = 110
    unit: str = "basic"
    order: str = "original"
    option: str = "A"
    source: str = "[B] Table 1"
    data: str = "cifar10"
    statistic: Literal["median", "mean", "single"] = "median"
    runs: int = 5
    batch: int = 128
    iterations: int = 64_000
    warmup: int = 400
    net: str = "resnet"
    views: str = "one"

    def described(self) -> str:
        """The source of `error` in words."""
        of = "single run" if self.statistic == "single" else f"{self.statistic} of {self.runs} runs"
        views = "" if self.views == "one" else f", {self.views}"
        return f"{self.source}, {self.depth} layers, {self.data}, {of}{views}"

    def difference(self, mean: float, median: float) -> float:
        """Our error minus this one, in the statistic that the paper prints; NaN if one of the two is not finite."""
        difference = (median if self.statistic == "median" else mean) - self.error
        return difference if math.isfinite(difference) else math.nan


class Table(NamedTuple):
    """A published table: its name in file names, its title, its first columns and its rows in the paper's order.

    Its rows differ in the keys `varies`; all other keys are equal within it.
    """

    name: str
    title: str
    headings: tuple[str, ...]
    varies: tuple[str, ...]
    rows: list[Published]


SCALE, EXCLUSIVE, GATE = "constant scaling", "exclusive gating", "shortcut-only gating"
TABLE_1 = [
    Published(("original", "1", "1", "Fig. 2a"), 6.61),
    Published((SCALE, "0", "1", "plain network"), FAILED, "none"),
    Published((SCALE, "0.5", "1", ""), FAILED, "constant", {"scale": 0.5, "residual_scale": 1}),
    Published((SCALE, "0.5", "0.5", "frozen gating"), 12.35, "constant", {"scale": 0.5, "residual_scale": 0.5}),
    *(
        Published((EXCLUSIVE, "1−g(x)", "g(x)", f"b_g = {-b}"), error, "exclusive_gate", {"bias_init": -b})
        for b, error in enumerate((FAILED, FAILED, FAILED, FAILED, FAILED, FAILED, 8.70, 9.81))
    ),
    Published((GATE, "1−g(x)", "1", "b_g = 0"), 12.86, "gate", {"bias_init": 0}),
    Published((GATE, "1−g(x)", "1", "b_g = -6"), 6.91, "gate", {"bias_init": -6}),
    Published(("1×1 conv", "conv(x)", "1", "Fig. 2e"), 12.22, "conv1x1"),
    Published(("dropout", "dropout(x)", "1", "ratio 0.5"), FAILED, "dropout", {"p": 0.5}),
]
ORDERS = (
    ("original", "Fig. 4a", "original", 6.61, 5.93),
    ("BN after addition", "Fig. 4b", "bn_after_addition", 8.17, 6.50),
    ("ReLU before addition", "Fig. 4c", "relu_before_addition", 7.84, 6.14),
    ("ReLU-only pre-activation", "Fig. 4d", "relu_only_preactivation", 6.71, 5.91),
    ("full pre-activation", "Fig. 4e", "full_preactivation", 6.37, 5.46),
)
"""Case, figure, order, errors of ResNet-110 and of ResNet-164, which has bottleneck units."""
TABLE_2 = [
    Published((case, figure, "110"), error, order=order, source="[B] Table 2")
    for case, figure, order, error, _ in ORDERS
]
# [B]'s release projects where the shape of a bottleneck unit changes, without normalisation.
TABLE_2 += [
    Published((case, figure, "164"), error, "identity", {}, 164, "bottleneck", order, "B_bare", "[B] Table 2")
    for case, figure, order, _, error in ORDERS
]
PREACTIVATION = (
    ("cifar10", 110, "single", 9.90, 8.91),
    ("cifar10", 110, "basic", 6.61, 6.37),
    ("cifar10", 164, "bottleneck", 5.93, 5.46),
    ("cifar10", 1001, "bottleneck", 7.61, 4.92),
    ("cifar100", 164, "bottleneck", 25.16, 24.33),
    ("cifar100", 1001, "bottleneck", 27.82, 22.71),
)
"""Data, depth, unit, errors with the original order and with full pre-activation."""
TABLE_3 = [
    Published(
        (f"ResNet-{depth}", f"{unit} units", order.replace("_", " ").replace("prea", "pre-a")),
        error,
        depth=depth,
        unit=unit,
        order=order,
        option="B_bare" if unit == "bottleneck" else "A",
        source="[B] Table 3",
        data=data,
    )
    for data, depth, unit, *errors in PREACTIVATION
    for order, error in zip(("original", "full_preactivation"), errors, strict=True)
]
# [A] warms up ResNet-110 and trains ResNet-1202 "as described above", which is taken to include it; [B] warms up all.
TABLE_6 = [
    Published(
        (f"ResNet-{depth}", size),
        error,
        depth=depth,
        source="[A] Table 6",
        statistic="mean" if depth == 110 else "single",
        runs=5 if depth == 110 else 1,
        warmup=400 if depth >= 110 else 0,
    )
    for depth, error, size in (
        (20, 8.75, "0.27 M"),
        (32, 7.51, "0.46 M"),
        (44, 7.17, "0.66 M"),
        (56, 6.97, "0.85 M"),
        (110, 6.61, "1.7 M"),  # ± 0.16; the best of the five is 6.43
        (1202, 7.93, "19.4 M"),
    )
]
TEN, DENSE = "10 crops", "fully convolutional at several scales"
ON_IMAGENET = [
    ("plain-18", 18, "none", "A", ("27.94", ""), ()),
    ("plain-34", 34, "none", "A", ("28.54", "10.02"), ()),
    ("ResNet-18", 18, "identity", "A", ("27.88", ""), ()),
    ("ResNet-34 A", 34, "identity", "A", ("25.03", "7.76"), ()),
    ("ResNet-34 B", 34, "identity", "B", ("24.52", "7.46"), ("21.84", "5.71")),
    ("ResNet-34 C", 34, "identity", "C", ("24.19", "7.40"), ("21.53", "5.60")),
    ("ResNet-50", 50, "identity", "B", ("22.85", "6.71"), ("20.74", "5.25")),
    ("ResNet-101", 101, "identity", "B", ("21.75", "6.05"), ("19.87", "4.60")),
    ("ResNet-152", 152, "identity", "B", ("21.43", "5.71"), ("19.38", "4.49")),
]
"""Network, depth, shortcut, option, top-1 and top-5 error with TEN views and with DENSE ones."""


def _imagenet(table: int, views: str, names: tuple[str, ...]) -> list[Published]:
    """The rows of a table of [A] for ImageNet; a top-5 error that it does not print is empty."""
    return [
        Published(
            (name, "" if table == 2 else top5),
            float(top1),
            shortcut,
            depth=depth,
            unit="basic" if depth < 50 else "bottleneck",
            option=option,
            net=f"resnet{depth}",
            views=views,
            source=f"[A] Table {table}",
            data="imagenet",
            statistic="single",
            runs=1,
            batch=256,
            iterations=600_000,
            warmup=0,
        )
        for name, depth, shortcut, option, ten, dense in ON_IMAGENET
        if name in names
        for top1, top5 in [ten if views == TEN else dense]
    ]


NAMES = tuple(name for name, *_ in ON_IMAGENET)
IMAGENET_2 = _imagenet(2, TEN, NAMES[:4])
IMAGENET_3 = _imagenet(3, TEN, (NAMES[1], *NAMES[3:]))
IMAGENET_4 = _imagenet(4, DENSE, NAMES[4:])
ROWS = [*TABLE_1, *TABLE_2, *TABLE_3, *TABLE_6, *IMAGENET_2, *IMAGENET_3, *IMAGENET_4]
TITLE_1 = "[B] Table 1: shortcuts in every unit of ResNet-110, CIFAR-10, median of 5 runs"
TITLE_2 = "[B] Table 2: activation orders, CIFAR-10, median of 5 runs"
TITLE_3 = "[B] Table 3: original order and full pre-activation, CIFAR-10, median of 5 runs"
TITLE_6 = "[A] Table 6: depth, option A shortcuts, CIFAR-10, single runs; 110 layers: mean of 5 runs"
TABLES = [
    Table("table1", TITLE_1, ("case", "on shortcut", "on F", "remark"), ("shortcut",), TABLE_1),
    Table("table2", TITLE_2, ("case", "Fig.", "depth"), ("unit", "depth", "shortcut.option"), TABLE_2),
    Table(
        "table3",
        TITLE_3,
        ("net", "unit", "order"),
        ("unit", "depth", "shortcut.option"),
        [row for row in TABLE_3 if row.data == "cifar10"],
    ),
    Table(
        "table3-cifar100",
        TITLE_3.replace("CIFAR-10", "CIFAR-100"),
        ("net", "unit", "order"),
        ("unit", "depth", "shortcut.option"),
        [row for row in TABLE_3 if row.data == "cifar100"],
    ),
    Table("table6", TITLE_6, ("net", "parameters"), ("depth", "recipe.warmup"), TABLE_6),
    *(
        Table(
            f"table{number}-imagenet",
            f"[A] Table {number}: ImageNet, top-1 error on validation images, single runs, {rows[0].views}",
            ("net", "top-5"),
            ("net", "unit", "depth", "shortcut"),
            rows,
        )
        for number, rows in ((2, IMAGENET_2), (3, IMAGENET_3), (4, IMAGENET_4))
    ),
]
DATA = {"validation": 0, "shift": 4, "flip": True}
OPTIMISER = {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-4, "milestones": [0.5, 0.75]}


def is_row(config: dict[str, Any], row: Published) -> bool:
    """Whether a run's network is that of a published row, at any depth, on any data and by any recipe.

    Projections with normalisation and without, and the two places of a bottleneck's stride, count as one network.
    """
    shortcut, unit, net = config["shortcut"], config["unit"], config.get("net", {})
    wanted = (row.shortcut, row.unit, row.order, row.net)
    return (
        all(str(node.get("_target_", "ablate.")).startswith("ablate.") for node in (shortcut, unit, net))
        and shortcut.get("option", row.option).removesuffix("_bare") == row.option.removesuffix("_bare")
        and (shortcut["name"], unit["name"], unit.get("order", "original"), net.get("name", "resnet")) == wanted
        and config.get("width", 1) == 1
        and row.parameters.items() <= shortcut.items()
    )


SIZES = (None, 224)
"""`data.size` of images in the papers' size: as they are, or ImageNet's."""
LATER = (
    ("data", "size", SIZES),
    ("recipe", "schedule", ("steps",)),
    ("recipe", "nesterov", (False,)),
    ("recipe", "decay_norm", (True,)),
)
"""Keys that early records lack, and the papers' values."""


def same_setting(config: dict[str, Any], row: Published) -> bool:
    """Whether a run has the setting of the paper: depth, data, unit and the whole recipe."""
    data = {**DATA, "name": row.data}
    recipe = {
        **OPTIMISER,
        **{"batch": row.batch, "iterations": row.iterations, "warmup": row.warmup / row.iterations},
    }
    alike = data.items() <= config["data"].items() and recipe.items() <= config["recipe"].items()
    alike &= not config.get("init_fingerprint")
    alike &= all(config[group].get(key, values[0]) in values for group, key, values in LATER)
    # In [B]'s release the first 1×1 of a bottleneck has the stride.
    alike &= row.unit != "bottleneck" or config["unit"].get("stride_in") == "1x1"
    alike &= config["shortcut"].get("option", row.option) == row.option and row.views == "one"
    return alike and is_row(config, row) and config["depth"] == row.depth


def find(config: dict[str, Any], *, own_depth: bool) -> tuple[Published | None, int]:
    """The published row of a run's network on its dataset, and the network's place in the papers' order.

    The row is of the run's own depth, or else the first. Images of another size are another dataset.
    """
    rows = [row for row in ROWS if is_row(config, row)]
    known = [row for row in rows if row.data == config["data"]["name"] and config["data"].get("size") in SIZES]
    exact = [row for row in known if row.depth == config["depth"]]
    return next(iter(exact if own_depth else known), None), ROWS.index(rows[0]) if rows else len(ROWS)


def by_own_depth(configs: list[dict[str, Any]]) -> bool:
    """Whether each run is compared with the published network of its own depth, or all runs with [B] Table 1.

    A study uses one rule for all its runs: the 6.97 of 56 layers next to the 6.91 of 110 would mislead.
    """
    known = [config for config in configs if find(config, own_depth=False)[0]]
    return len({config["depth"] for config in configs}) > 1 or all(find(config, own_depth=True)[0] for config in known)
