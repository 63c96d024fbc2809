"""The figures as Markdown."""

from typing import Any


def markdown(found: dict[str, Any]) -> str:
    """All of one measurement, the machine first."""
    machine = "; ".join(f"{key} {value}" for key, value in found["machine"].items())
    parts = [f"# {found['what']}\n\nOn: {machine}.\n"]
    parts += [_setting(name, one) for name, one in found.get("settings", {}).items()]
    if "grids" in found:
        parts.append(_grids(found["grids"]))
    if "figures" in found:
        rows = [
            [name, *(f"{one[key]:.3f}" for key in ("min", "median", "max"))] for name, one in found["figures"].items()
        ]
        parts.append(_table(["figure", "min", "median", "max"], rows))
    return "\n".join(parts)


def _setting(name: str, one: dict[str, Any]) -> str:
    speeds = one["images_per_second"]
    rows = [
        [
            contestant,
            f"{spread['median']:,.0f}",
            f"{spread['min']:,.0f} to {spread['max']:,.0f}",
            f"{spread['median'] / one['batch']:.1f}",
            _ratio(one["against_reference"].get(contestant)),
            _ratio(one["against_harness"].get(contestant)),
        ]
        for contestant, spread in speeds.items()
    ]
    evaluation = {key: f"{spread['median']:,.0f}" for key, spread in one["evaluation"].items()}
    whole = sum(one["parts_ms"].values())
    threads = f"{one['threads']} thread{'s' * (one['threads'] > 1)}"
    return "\n".join(
        [
            f"## {name}\n",
            f"shortcut {one['shortcut']}, batch {one['batch']}, {one['precision']}, {threads}; training, "
            "one process; medians of interleaved rounds, ratios round by round.\n",
            _table(["", "images/s", "min to max", "steps/s", "to the reference", "to the harness"], rows),
            f"\nEvaluating, images/s: {', '.join(f'{key} {value}' for key, value in evaluation.items())}.",
            "\nParts of a step, ms: "
            + ", ".join(f"{key} {value:.2f} ({100 * value / whole:.0f} %)" for key, value in one["parts_ms"].items())
            + ".",
            f"\n{_convolutions(one)}",
            f"\nLimit: {_limit(one['limit'])}\n",
        ]
    )


def _convolutions(one: dict[str, Any]) -> str:
    alone, step = one["convolutions_ms"], 1000 * one["batch"] / one["images_per_second"]["harness"]["median"]
    return (
        f"Convolutions: those of a step, called by themselves, take {alone:.1f} ms of its {step:.1f} "
        f"({100 * alone / step:.0f} %). Were all else free, it would be {1000 * one['batch'] / alone:,.0f} images/s."
    )


def _limit(bound: dict[str, Any]) -> str:
    moved, done = f"{bound['bytes'] / 1e6:,.1f} MB", f"{bound['operations'] / 1e9:,.2f} GFLOP"
    copy, product = bound["copy_bytes_per_second"] / 1e9, bound["matrix_operations_per_second"] / 1e9
    return (
        f"a step must move {moved} and do {done}. In the same call a copy moves {copy:,.1f} GB/s, and the faster of a "
        f"matrix product and a wide convolution does {product:,.0f} GFLOP/s. So {bound['bound']} allows "
        f"{bound['images_per_second']:,.0f} images/s, and the harness reaches {bound['percent']:.0f} % of that."
    )


def _grids(grids: dict[str, Any]) -> str:
    rows = [
        [
            name,
            f"{one['runs']}, {one['images']:,} images",
            f"{', '.join(one['precision'])}, {', '.join(map(str, one['runs_at_once']))} at once, "
            f"{', '.join(map(str, one['threads']))} thread(s) each",
            *(f"{one['seconds'][key]:,.0f} s, {one['images_per_second'][key]:,.0f}" for key in one["seconds"]),
            f"{one['times_faster']:.1f}",
        ]
        for name, one in grids.items()
    ]
    head = ["grid", "runs", "how", "harness: wall, images/s", "reference: wall, images/s", "times faster"]
    return _table(head, rows) + "\n"


def _ratio(spread: dict[str, float] | None) -> str:
    return "–" if spread is None else f"{spread['median']:.2f} ({spread['min']:.2f} to {spread['max']:.2f})"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
