"""What must be chosen besides a shortcut or unit for a network of it to be built."""

from ablate.config.files import declared

LAYERS = {"single": 1, "bottleneck": 3}


def words(group: str, name: str, **chosen: str) -> list[str]:
    """The words of the shallowest network: `words("shortcut", "deepnorm", unit="basic")`."""
    chosen[group] = name
    unit = chosen.get("unit", "basic")
    layers = LAYERS.get(unit, declared("unit", unit).get("layers", 2))
    return [f"depth={3 * layers + 2}", *(f"{one}={choice}" for one, choice in chosen.items())]
