"""The figures of a study, in black and white too: a shape or a dash for each colour, from a palette for every eye.

Each function gives a Drawing, or None where the records have nothing for it to show. Errors are in percent, on a
logarithmic axis where rows that train stand beside rows that fail.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import matplotlib
import numpy
import pandas
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ablate.report.aggregate import SETTINGS, labels
from ablate.report.curves import band, thin
from ablate.report.drawing import (
    COLOURS,
    DASHES,
    GREY,
    MARKERS,
    STYLE,
    TICKS,
    TRAINING,
    Drawing,
    blank,
    legend_above,
    log_axis,
    short,
)
from ablate.report.published import FAIL, TABLE_6
from ablate.report.records import every, said
from ablate.report.tables import between, error, number

MOST_ROWS, MOST_LINES, HOVERED = 40, 8, 60


def draw(cells: pandas.DataFrame, runs: pandas.DataFrame, curves: pandas.DataFrame) -> Iterator[tuple[str, Drawing]]:
    """Every figure that the records have something for, by the name of its file, one after another."""
    with matplotlib.rc_context(STYLE):
        whole = {
            "shortcuts": by_shortcut(cells, runs),
            "depth": by_depth(cells),
            "bias": by_bias(cells),
            "cost": by_cost(cells),
        }
    yield from ((name, drawing) for name, drawing in whole.items() if drawing)
    bands: dict[str, pandas.DataFrame] = {}
    ended = runs[runs.state.isin(["finished", "diverged"])]
    folders = ended.groupby("cell").folder.apply(list).to_dict()

    def band_of(cell: str) -> pandas.DataFrame:
        if cell not in bands:
            bands[cell] = band(curves, folders.get(cell, []))
        return bands[cell]

    number = 0
    for cell, base in comparisons(cells):
        ours, its = band_of(cell.cell), band_of(base.cell)
        if len(ours) > 1 and len(its) > 1:
            number += 1
            with matplotlib.rc_context(STYLE):
                yield f"curves-{number:02}", compared(cell, ours, base, its, cells)


def comparisons(cells: pandas.DataFrame) -> Iterator[tuple[Any, Any]]:
    """Each cell with its baseline."""
    rows = every(cells)
    for cell in rows:
        if cell.baseline_cell and not cell.is_baseline:
            yield cell, next(row for row in rows if row.cell == cell.baseline_cell)


def name(cell: Any, cells: pandas.DataFrame, *without: str, label: str | None = None) -> str:
    """A cell in words that tell it from the others, less the settings that the figure itself shows."""
    vary = [key for key in SETTINGS if key not in without and cells[key].nunique() > 1]
    return ", ".join([label or cell.label, *(f"{key} {getattr(cell, key)}" for key in vary)])


def compared(cell: Any, ours: pandas.DataFrame, base: Any, its: pandas.DataFrame, cells: pandas.DataFrame) -> Drawing:
    """Training and test error against iterations, a cell and its baseline, as in [B] Fig. 3."""
    figure, axes = blank(5.2, 3.4)
    title = f"{name(cell, cells)} against {base.label}"
    several, word = max(cell.n, base.n) > 1, cell.evaluated_on
    last = max(ours.test_error.iloc[-1], its.test_error.iloc[-1])
    top = FAIL if last < 0.8 * FAIL else 100.0
    caption = [
        f"Solid: {word} error; thin and broken: training error, with augmentation, mean over the epoch.",
        f"Median of {_seeds(cell, base)}; bands from the best seed to the worst." if several else "One seed.",
        "A curve ends where the first of its runs diverged." if math.inf in (cell.maximum, base.maximum) else "",
        f"The axis ends at {top:g} %." if top < 100 else "",
    ]
    drawing = Drawing(figure, title, " ".join(sentence for sentence in caption if sentence))
    axes.set(xlabel="iterations", ylabel="error (%)", ylim=(0, top))
    for at, (row, frame) in enumerate(((base, its), (cell, ours))):
        colour, marker, label = COLOURS[at], MARKERS[at], short(row.label)
        marked = list(thin(frame, 8))
        solid: dict[str, Any] = {"lw": 1.8, "marker": marker, "markevery": marked, "ms": 5, "label": f"{label}, {word}"}
        axes.plot(frame.step, frame.test_error, color=colour, **solid)
        axes.plot(frame.step, frame.train_error, color=colour, lw=0.9, ls=TRAINING[at], label=f"{label}, training")
        for key, kind, alpha in (("test_error", word, 0.18), ("train_error", "training", 0.08)):
            low, high = frame[f"{key}_low"], frame[f"{key}_high"]
            if row.n > 1:
                axes.fill_between(frame.step, low, high, color=colour, alpha=alpha, lw=0)
            points = frame.iloc[list(thin(frame, HOVERED))]
            points = points[points[key] <= top]  # a mark beyond the axis is not written
            words = [
                f"{row.label}, iteration {int(p.step):,}: {kind} error {getattr(p, key):.2f} %"
                + (f" ({getattr(p, key + '_low'):.2f} to {getattr(p, key + '_high'):.2f})" if p.n > 1 else "")
                for p in every(points)
            ]
            drawing.points(axes, points.step, points[key], words)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    legend_above(axes, 2)
    return drawing


def by_shortcut(cells: pandas.DataFrame, runs: pandas.DataFrame) -> Drawing | None:
    """The last epoch's error of each row: every seed, the median, the interval of the mean, the published value."""
    if len(cells) < 2 or not cells.n.any():
        return None
    shown = cells.iloc[:MOST_ROWS]
    figure, axes = blank(6.2, 0.8 + 0.27 * len(shown))
    drawing = Drawing(figure, "Error by shortcut", _shortcuts_caption(cells, shown))
    errors = runs[runs.state == "finished"].groupby("cell").test_error.apply(list).to_dict()
    finite = [value for cell in shown.cell for value in errors.get(cell, [])]
    bottom, top = log_axis(axes, "x", [*finite, *shown.published[numpy.isfinite(shown.published)]])
    for y, cell in enumerate(every(shown)):
        own = numpy.clip(errors.get(cell.cell, []), bottom, None)
        axes.plot(own, [y] * len(own), "|", color=COLOURS[2], ms=8, mew=1)
        if not numpy.isnan(cell.low):
            axes.plot(numpy.clip([cell.low, cell.high], bottom, top), [y, y], color=COLOURS[0], lw=1.6, zorder=2)
        words = f"{name(cell, shown)}: {error(cell)}, n = {cell.n}"
        if not numpy.isnan(cell.low):
            words += f", mean {cell.mean:.2f}, 95 % interval {between(cell.low, cell.high)}"
        if numpy.isfinite(cell.median):
            drawing.points(axes, [max(cell.median, bottom)], [y], [words], s=26, color=COLOURS[0], zorder=3)
        else:
            axes.text(top, y, f"{error(cell)} ", ha="right", va="center", style="italic")
        if not numpy.isnan(cell.published):
            failed = numpy.isinf(cell.published)
            text = f"{name(cell, shown)}: published {'fail, above 20 %' if failed else number(cell.published)}"
            drawing.points(axes, [FAIL if failed else cell.published], [y], [text], s=34, zorder=4, linewidths=1.2,
                           marker=">" if failed else "D", facecolors="none", edgecolors=COLOURS[1])  # fmt: skip
    axes.axvline(FAIL, color=GREY, lw=0.8, ls=":")
    axes.set_yticks(range(len(shown)), [short(name(cell, shown)) for cell in every(shown)])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"{_evaluated(cells)} error, last epoch (%)")
    _key(axes, cells)
    return drawing


def _shortcuts_caption(cells: pandas.DataFrame, shown: pandas.DataFrame) -> str:
    said_of = "Dot: median over seeds; ticks: each seed."
    if shown.low.notna().any():
        said_of += " Line: 95 % interval of the mean (Student's t)."
    if shown.published.notna().any():
        said_of += " Hollow: published for CIFAR-10 (He et al. 2016); a triangle at 20 % is 'fail'."
    if len(shown) < len(cells):
        said_of += f" The first {len(shown)} of {len(cells)} rows."
    return said_of


def _key(axes: Axes, cells: pandas.DataFrame) -> None:
    axes.scatter([], [], s=26, color=COLOURS[0], label="median")
    axes.plot([], [], "|", color=COLOURS[2], ms=8, label="a seed")
    if cells.low.notna().any():
        axes.plot([], [], color=COLOURS[0], lw=1.6, label="95 % interval")
    if cells.published.notna().any():
        axes.scatter([], [], s=34, marker="D", facecolors="none", edgecolors=COLOURS[1], label="published")
        axes.scatter([], [], s=34, marker=">", facecolors="none", edgecolors=COLOURS[1], label="published: fail")
    legend_above(axes, 5)


def by_depth(cells: pandas.DataFrame) -> Drawing | None:
    """Error against depth, plain against residual, as [A] Fig. 6 and Table 6."""
    lines = _lines(cells, "depth", lambda cell: name(cell, cells, "depth"))
    if not lines:
        return None
    figure, axes = blank(5.2, 3.6)
    drawing = Drawing(figure, "Error against depth", _lines_caption(cells))
    depths = sorted({int(cell.depth) for line in lines.values() for cell in line})
    values = _draw_lines(drawing, axes, lines, lambda cell: float(cell.depth), "depth")
    if set(cells.data) == {"cifar10"}:
        rows = [row for row in TABLE_6 if row.depth in depths]
        text = [f"published, {row.source}, {row.depth} layers: {row.error:.2f}" for row in rows]
        style = {"s": 34, "marker": "D", "facecolors": "none", "edgecolors": GREY, "label": "[A] Table 6"}
        drawing.points(axes, [row.depth for row in rows], [row.error for row in rows], text, **style)
        values += [row.error for row in rows]
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(depths))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    log_axis(axes, "y", values)
    axes.set(xlabel="layers", ylabel=f"{_evaluated(cells)} error, last epoch (%)")
    axes.legend(fontsize=8)
    return drawing


def by_bias(cells: pandas.DataFrame) -> Drawing | None:
    """Error against the gates' initial bias, each gate a line; the identity, where it was run, a level."""
    gated = cells[[_bias(config) is not None for config in cells.config]]
    own = dict(zip(gated.cell, labels(gated, "shortcut.bias_init"), strict=True))
    lines = _lines(gated, "shortcut.bias_init", lambda cell: name(cell, gated, label=own[cell.cell]))
    if not lines:
        return None
    figure, axes = blank(5.2, 3.4)
    drawing = Drawing(figure, "Error against the gate's initial bias", _lines_caption(gated))
    values = _draw_lines(drawing, axes, lines, lambda cell: _bias(cell.config), "b_g", first=1)
    levels = cells[cells.cell.isin(set(gated.baseline_cell)) & numpy.isfinite(cells["median"])]
    for at, level in enumerate(every(levels), 1):
        axes.axhline(level.median, color=COLOURS[0], lw=1.2, ls=DASHES[at % 8], label=name(level, levels))
        values.append(level.median)
    log_axis(axes, "y", values)
    axes.set(xlabel="initial bias b_g of the gate (left: open; right: half shut)",
             ylabel=f"{_evaluated(cells)} error, last epoch (%)")  # fmt: skip
    axes.legend(fontsize=8)
    return drawing


def _bias(config: dict[str, Any]) -> float | None:
    """A gate's initial bias, where it has one that is a number."""
    value = config["shortcut"].get("bias_init")
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def by_cost(cells: pandas.DataFrame) -> Drawing | None:
    """Error against multiply-adds of one image, the area being the parameters; None of networks that cost the same."""
    shown = cells[numpy.isfinite(cells["median"]) & cells.multiply_adds.notna()]
    if not len(shown) or shown.multiply_adds.max() < 1.25 * shown.multiply_adds.min():
        return None
    figure, axes = blank(5.6, 3.8)
    drawing = Drawing(
        figure,
        "Error against operations",
        "Median over seeds. The area of a mark is the number of the network's parameters: "
        f"{shown.parameters.min() / 1e6:.2f} to {shown.parameters.max() / 1e6:.2f} million.",
    )
    lines: dict[str, list[Any]] = {}
    for cell in every(shown):
        lines.setdefault(cell.shortcut, []).append(cell)
    scale = 260 / shown.parameters.max()
    for at, (label, row) in enumerate(lines.items()):
        text = [
            f"{name(cell, shown)}: {error(cell)}, {cell.multiply_adds / 1e6:,.2f} million multiply-adds, "
            f"{cell.parameters:,.0f} parameters"
            for cell in row
        ]
        style: dict[str, Any] = {
            "s": [max(12, scale * cell.parameters) for cell in row],
            "facecolors": COLOURS[at % 8] + "55",
            "edgecolors": COLOURS[at % 8],
            "linewidths": 1.2,
            "marker": MARKERS[at % 8],
        }
        drawing.points(axes, [c.multiply_adds for c in row], [max(c.median, TICKS[0]) for c in row], text, **style)
        axes.scatter([], [], s=30, label=short(label), **{key: value for key, value in style.items() if key != "s"})
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1e6:g}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
    low, high = shown.multiply_adds.min(), shown.multiply_adds.max()
    if high / low < 10:
        axes.xaxis.set_major_locator(FixedLocator(list(numpy.unique(_round(numpy.geomspace(low, high, 4))))))
    axes.margins(0.12)
    log_axis(axes, "y", list(shown["median"]))
    axes.set(xlabel="multiply-adds of one image (millions)", ylabel=f"{_evaluated(cells)} error, last epoch (%)")
    axes.legend(fontsize=8, bbox_to_anchor=(1.0, 1.0), loc="upper left")
    return drawing


def _lines(cells: pandas.DataFrame, key: str, label: Any) -> dict[str, list[Any]]:
    """Cells by label, along `key`, for each label that has two places on it or more; at most so many as can be told."""
    lines: dict[str, list[Any]] = {}
    for cell in every(cells):
        lines.setdefault(label(cell), []).append(cell)
    along = {
        label: sorted(line, key=lambda cell: float(said(cell.config, key) or 0))
        for label, line in lines.items()
        if len({said(cell.config, key) for cell in line}) > 1
    }
    return dict(list(along.items())[:MOST_LINES])


def _draw_lines(
    drawing: Drawing, axes: Axes, lines: dict[str, list[Any]], x: Any, word: str, first: int = 0
) -> list[float]:
    """Medians joined, seeds' extremes as bars; a gap where there is no number. Gives the numbers drawn."""
    values = []
    for at, (label, line) in enumerate(lines.items(), first):
        colour, marker = COLOURS[at % 8], MARKERS[at % 8]
        for left, right in pairwise(line):
            if numpy.isfinite([left.median, right.median]).all():
                axes.plot([x(left), x(right)], numpy.maximum([left.median, right.median], TICKS[0]), color=colour,
                          ls=DASHES[at % 8], lw=1.4)  # fmt: skip
        known = [cell for cell in line if numpy.isfinite(cell.median)]
        for cell in known:
            if numpy.isfinite(cell.maximum) and cell.maximum > cell.minimum:
                ends = numpy.maximum([cell.minimum, cell.maximum], TICKS[0])
                axes.plot([x(cell)] * 2, ends, color=colour, lw=1, marker="_", ms=5)
                values += [cell.minimum, cell.maximum]
        text = [f"{label}, {word} {x(cell):g}: {error(cell)}, n = {cell.n}" for cell in known]
        medians = [max(cell.median, TICKS[0]) for cell in known]
        drawing.points(axes, [x(cell) for cell in known], medians, text, s=36, color=colour, marker=marker, zorder=3)
        axes.plot([], [], color=colour, ls=DASHES[at % 8], marker=marker, ms=6, lw=1.4, label=short(label))
        values += medians
        for cell in line:
            if numpy.isinf(cell.median):
                axes.text(x(cell), 97, "diverged", rotation=90, ha="center", va="top", style="italic", color=colour)
                values.append(100)
    return values


def _lines_caption(cells: pandas.DataFrame) -> str:
    return "Median over seeds" + ("; bars from the best seed to the worst." if (cells.n > 1).any() else ", one seed.")


def _seeds(*rows: Any) -> str:
    counts = sorted({row.n for row in rows})
    return f"{counts[0]} seeds" if len(counts) == 1 else " and ".join(map(str, counts)) + " seeds"


def _evaluated(cells: pandas.DataFrame) -> str:
    return "test" if (cells.evaluated_on == "test").all() else "validation"


def _round(values: numpy.ndarray) -> numpy.ndarray:
    """To two digits, for ticks."""
    scale = 10.0 ** (numpy.floor(numpy.log10(values)) - 1)
    return numpy.asarray(numpy.round(values / scale) * scale)
