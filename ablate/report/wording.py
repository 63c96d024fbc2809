"""Numbers as the tables, figures and the page show them."""

import math
from typing import Any

NONE = "–"


def error(cell: Any) -> str:
    """A cell's headline: its median error, or why there is none."""
    if math.isnan(cell.median):
        return cell.state.split()[0] if cell.state else NONE
    if cell.outcome == "diverged":
        return "diverged"
    return f"fail ({cell.median:.2f})" if cell.outcome else f"{cell.median:.2f}"


def published(value: float) -> str:
    return "fail" if value == math.inf else number(value)


def number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else NONE


def whole(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else NONE


def signed(value: float) -> str:
    return f"{value:+z.2f}" if math.isfinite(value) else NONE


def interval(low: float, high: float) -> str:
    return NONE if math.isnan(low) else f"[{low:.2f}, {high:.2f}]"


def mean(cell: Any) -> str:
    return number(cell.mean) + (f" ± {cell.std:.2f}" if math.isfinite(cell.std) else "")


def difference(cell: Any) -> str:
    """The mean difference from the baseline and its interval."""
    if math.isnan(cell.difference) or math.isnan(cell.difference_low):
        return signed(cell.difference)
    return f"{signed(cell.difference)} [{cell.difference_low:+z.2f}, {cell.difference_high:+z.2f}]"


def p_value(value: float) -> str:
    return NONE if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3g}"
