"""Figures of lesions: Veit et al. 2016 (arXiv:1605.06431), Fig. 3, 5 and 6, of one's own runs."""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import numpy
from matplotlib.axes import Axes

from ablate.report.figures.drawing import GREY, Drawing, look, styled
from ablate.report.lesions import Row

BAND = "Lines are means over seeds; bands are from the lowest to the highest."


def draw(rows: Sequence[Row]) -> Iterator[tuple[str, Drawing]]:
    """Every figure for which there are numbers, with its name."""
    for name, figure in (("alone", alone), ("several", several), ("swapped", swapped), ("paths", paths)):
        measured = [row for row in rows if _has(row, name)]
        if measured:
            yield name, figure(measured)


def _has(row: Row, kind: str) -> bool:
    """Whether there are numbers of a kind: no swaps if no two units have one shape, no shares if a norm is infinite."""
    measured = all(kind in run and any(one.get("errors", True) for one in run[kind]) for run in row.runs)
    return measured and (kind != "paths" or any(map(any, row.shares())))


@styled
def alone(rows: Sequence[Row], *, width: float | None = None) -> Drawing:
    """The error without each unit, by its place in the network."""
    caption = f"Each mark is one unit dropped; open marks change the shape. Grey: all units. {BAND}"
    drawing = Drawing("Error without one unit", caption, (6.4, 3.6), width)
    axes = drawing.axes
    axes.set(xlabel="place of the dropped unit, from the first (0) to the last (1)", ylabel="error (%)")
    for at, row in enumerate(rows):
        errors, colour, marker, _ = numpy.array(row.alone()), *look(at)
        place = numpy.linspace(0, 1, errors.shape[1])
        changes = numpy.array([unit["changes_shape"] for unit in row.runs[0]["units"]])
        _band(axes, place, errors, at, row.name, marker="")
        for shown, face in ((~changes, colour), (changes, "white")):
            axes.plot(place[shown], errors.mean(0)[shown], ls="", marker=marker, color=colour, mfc=face, ms=4, zorder=3)
        axes.axhline(statistics.fmean(row.intact), color=GREY, lw=0.8, ls=":")
        words = [
            f"{row.name}, unit {unit['unit']} of stage {unit['stage']}: error {error:.2f} %"
            for unit, error in zip(row.runs[0]["units"], errors.mean(0), strict=True)
        ]
        drawing.points(place, errors.mean(0), words)
    axes.set_ylim(bottom=0)
    drawing.legend()
    return drawing


@styled
def several(rows: Sequence[Row], *, width: float | None = None) -> Drawing:
    """The error without several units drawn at random."""
    return _counted(rows, "several", "dropped", "Error without several units", "units dropped, drawn at random", width)


@styled
def swapped(rows: Sequence[Row], *, width: float | None = None) -> Drawing:
    """The error after random swaps of two units of one shape."""
    return _counted(rows, "swapped", "swaps", "Error with units in another order", "swaps of two units", width)


@styled
def paths(rows: Sequence[Row], *, width: float | None = None) -> Drawing:
    """The share of the gradient by path length."""
    caption = f"The number of paths of each length times the mean gradient of one. {BAND}"
    drawing = Drawing("Gradient by path length", caption, (6.4, 3.4), width)
    axes = drawing.axes
    axes.set(xlabel="residual functions on a path", ylabel="share of the gradient")
    last = 1
    for at, row in enumerate(rows):
        shares = numpy.array([one for one in row.shares() if any(one)])
        last = max([last, *numpy.flatnonzero(shares.mean(0) > 1e-3)])
        lengths = numpy.arange(shares.shape[1])
        _band(axes, lengths, shares, at, row.name)
        words = [f"{row.name}, length {length}: {share:.1%}" for length, share in enumerate(shares.mean(0))]
        drawing.points(lengths, shares.mean(0), words)
    axes.set(xlim=(-0.5, last + 1.5), ylim=(0, None))
    drawing.legend()
    return drawing


def _counted(rows: Sequence[Row], kind: str, key: str, title: str, label: str, width: float | None) -> Drawing:
    draws = sorted({len(one["errors"]) for row in rows for run in row.runs for one in run[kind]})
    caption = f"Each point is the mean of {' or '.join(map(str, draws))} random draws. {BAND}"
    drawing = Drawing(title, caption, (6.4, 3.4), width)
    axes = drawing.axes
    axes.set(xlabel=label, ylabel="error (%)")
    for at, row in enumerate(rows):
        counts = numpy.array([0, *(one[key] for one in row.runs[0][kind])])
        errors = numpy.array(
            [[run["intact"], *(statistics.fmean(one["errors"]) for one in run[kind])] for run in row.runs]
        )
        _band(axes, counts, errors, at, row.name)
        pairs = zip(counts, errors.mean(0), strict=True)
        words = [f"{row.name}, {label}: {count}; error {error:.2f} %" for count, error in pairs]
        drawing.points(counts, errors.mean(0), words)
    axes.set_ylim(bottom=0)
    drawing.legend()
    return drawing


def _band(axes: Axes, x: Any, y: Any, at: int, name: str, *, marker: str | None = None) -> None:
    """The mean of the rows of y, and the band that they fill."""
    colour, usual, dash = look(at)
    axes.plot(x, y.mean(0), color=colour, ls=dash, marker=usual if marker is None else marker, ms=4, lw=1.2, label=name)
    if len(y) > 1:
        axes.fill_between(x, y.min(0), y.max(0), color=colour, alpha=0.15, lw=0)
