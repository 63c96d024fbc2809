"""What must be chosen besides a shortcut or unit for a network of it to be built."""

from ablate.base.source import load
from ablate.config.files import declared, options
from ablate.models.connection import Connection

LAYERS = {"single": 1, "bottleneck": 3}
STATEFUL = {
    name for name in options("shortcut") if issubclass(load(declared("shortcut", name)["_target_"]), Connection)
} - {"dense"}
"""Shortcuts that need an order with nothing after the addition."""
ORDERED = {name for name in options("unit") if "order" in declared("unit", name)}
REFUSED = {("dense", unit) for unit in {*options("unit")} - ORDERED} | {(name, "fixup") for name in STATEFUL}
"""Shortcuts and units that no network has together: net=densenet needs an order, and Fixup has ReLU after the sum."""


def words(group: str, name: str, **chosen: str) -> list[str]:
    """The words of the shallowest network: `words("shortcut", "deepnorm", unit="basic")`."""
    chosen[group] = name
    unit = chosen.get("unit", "single" if chosen.get("shortcut") == "dense" else "basic")
    rest = 2
    if chosen.get("shortcut") == "dense" or chosen.get("net") == "densenet":
        chosen["net"], rest = "densenet", 4
    elif unit == "normfree":
        chosen["net"] = "nf_resnet"
    layers = LAYERS.get(unit, declared("unit", unit).get("layers", 2))
    chosen |= {"unit.order": "full_preactivation"} if chosen.get("shortcut") in STATEFUL and unit in ORDERED else {}
    return [f"depth={3 * layers + rest}", *(f"{one}={choice}" for one, choice in chosen.items())]
