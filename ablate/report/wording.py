"""Numbers as the tables, figures and the page show them."""

import math
from typing import Any

from ablate.report.published import FAIL

NONE = "–"
INTERVAL = "95 % interval of the mean"
FROM_PUBLISHED = "Δ vs published"


def error(cell: Any) -> str:
    """A cell's headline: the mean of its errors and their spread over seeds, or why there is none."""
    if not cell.n:
        return cell.state.split()[0] if cell.state else NONE
    if cell.diverged:
        return f"diverged {cell.diverged} of {cell.n}"
    return number(cell.mean) + (f" ± {cell.std:.2f}" if math.isfinite(cell.std) else "")


def published(value: float) -> str:
    """A published error; [B] Table 1 prints 'fail' for one above FAIL."""
    return f"> {FAIL:g}" if value == math.inf else number(value)


def number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else NONE


def whole(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else NONE


def signed(value: float) -> str:
    return f"{value:+z.2f}" if math.isfinite(value) else NONE


def interval(low: float, high: float) -> str:
    return NONE if math.isnan(low) else f"[{low:.2f}, {high:.2f}]"


def difference(cell: Any) -> str:
    """The mean difference from the baseline and its interval."""
    if math.isnan(cell.difference) or math.isnan(cell.difference_low):
        return signed(cell.difference)
    return f"{signed(cell.difference)} [{cell.difference_low:+z.2f}, {cell.difference_high:+z.2f}]"


def p_value(value: float) -> str:
    return NONE if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3g}"
