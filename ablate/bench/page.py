"""What a benchmark measured, as Markdown."""

from typing import Any


def markdown(found: dict[str, Any]) -> str:
    """All that a benchmark found."""
    how = f"Rounds: {found['rounds']}, interleaved. Medians (min to max); ratios are taken within a round."
    parts = [f"# {found['benchmark']}", f"machine: {listed(found['machine'])}", how]
    for name, workload in found["workloads"].items():
        parts += [f"## {name}", *(section(key, value) for key, value in workload.items())]
    return "\n\n".join(parts)


def section(title: str, content: dict[str, Any]) -> str:
    """A table of variants and their figures, or a line of values."""
    first = next(iter(content.values()))
    if not isinstance(first, dict):
        return f"{title}: {listed(content)}"
    columns = list(first)
    rows = []
    for name, figures in content.items():
        rows.append([name, *(_cell(figures[column]) for column in columns)])
    return table([title, *columns], rows)


def table(headings: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, its columns after the first aligned to the right."""
    lines = [headings, ["---", *["--:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def listed(values: dict[str, Any]) -> str:
    """Values in a line."""
    return "; ".join(f"{key} {_plain(value)}" for key, value in values.items()) + "."


def _cell(value: Any) -> str:
    """A value, or the spread of one (`compare`)."""
    if not isinstance(value, dict):
        return _plain(value)
    median, least, most = (_plain(value[key]) for key in ("median", "min", "max"))
    return f"{median} ({least} to {most})"


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
