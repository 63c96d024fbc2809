"""What `ablate probe` measures, over the units of networks that are not trained yet.

A network is the plain values that `ablate probe --json` prints, with its `name`.
"""

import math
from collections.abc import Iterator
from typing import Any

from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ablate.report.figures.drawing import COLOURS, GREY, Drawing, look, power, short, styled

Network = dict[str, Any]
SIZE = (5.6, 3.6)


def draw(networks: list[Network], *, width: float | None = None) -> Iterator[tuple[str, Drawing]]:
    """Every figure with the name of its file; of the first networks, as many as there are colours."""
    for name, figure in (("shortcut-gain", gains), ("mean-squares", mean_squares), ("gradient", gradients)):
        yield name, figure(networks[: len(COLOURS)], width=width)


@styled
def gains(networks: list[Network], *, width: float | None = None) -> Drawing:
    """log2 of what the shortcuts alone keep from each unit to the last, with theory's line."""
    caption = (
        "The norm of a vector after all shortcuts from a unit to the last, F held constant and f left out, relative to "
        "the identity's ([B] eq. 7 and 8). Backward: of random signs at the last unit; forward: of x before the unit. "
        "0: nothing is left."
    )
    drawing = Drawing("What the shortcuts keep of x and of the gradient", caption, SIZE, width)
    kinds = {"theory": "theory", "forward": "forward", "backward": "backward"}
    kinds |= {"with_f": "backward, with f"} if len(networks) == 1 else {}
    curves = [
        (at, kind, points)
        for at, network in enumerate(networks)
        for kind in kinds
        if (points := [(unit["unit"], gain["log2"]) for unit in network["units"] if (gain := _of(unit, kind))])
    ]
    values = [y for _, _, points in curves for _, y in points if not math.isnan(y)]
    finite = [y for y in values if math.isfinite(y)]
    bottom, top = min([-2.0, *finite]), max([1.0, *finite])
    zero = bottom - 0.12 * (top - bottom)
    for at, kind, points in curves:
        x = [unit for unit, _ in points]
        for y in ([y if y > -math.inf else math.nan for _, y in points], [_zero(y, zero) for _, y in points]):
            drawing.axes.plot(x, y, color=look(at)[0], **_look(kind, at))
    ticks = [tick for tick in MaxNLocator(7, integer=True).tick_values(bottom, top) if bottom - 0.5 <= tick <= top]
    drawing.axes.set_yticks([*([zero] if -math.inf in values else []), *ticks])
    drawing.axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: "0" if y == zero else power(2, round(y))))
    drawing.axes.set(ylim=(zero - 0.03 * (top - zero), top + 0.06 * (top - zero)), ylabel="gain to the last unit")
    drawn = {kind for _, kind, _ in curves}
    shown = [kind for kind in ("backward", "forward", "theory", "with_f") if kind in drawn]
    return _finish(drawing, networks, {kinds[kind]: _look(kind, 0) for kind in shown})


def _zero(log2: float, place: float) -> float:
    return place if log2 == -math.inf else math.nan


def _look(kind: str, at: int) -> dict[str, Any]:
    """The style of a curve; of several networks each has a dash and a marker of its own."""
    _, marker, dash = look(at)
    if kind == "theory":
        return {"lw": 5, "alpha": 0.22, "solid_capstyle": "butt"}
    if kind == "forward":
        return {"ls": "", "marker": marker, "ms": 4, "mew": 0.8, "mfc": "none", "markevery": (2 * at % 5, 5)}
    return {"lw": 1.5, "ls": dash} if kind == "backward" else {"lw": 1, "ls": ":"}


def _of(unit: dict[str, Any], kind: str) -> dict[str, float] | None:
    return unit["theory"] if kind == "theory" else unit["shortcut"][kind]


@styled
def mean_squares(networks: list[Network], *, width: float | None = None) -> Drawing:
    """The mean squares of x_l, h(x_l) and F(x_l)."""
    caption = "Over the batch: of x before each unit, of its shortcut h(x), and of F(x) before a shortcut scales it."
    drawing = Drawing("The signal forward", caption, SIZE, width)
    looks: dict[str, dict[str, Any]] = {"x": {"lw": 1.6}, "h": {"lw": 1, "ls": "--"}, "F": {"lw": 1, "ls": ":"}}
    for at, network in enumerate(networks):
        for name, style in looks.items():
            values = [unit["mean_square"][name] for unit in network["units"]]
            _line(drawing, at, network, values, style)
    drawing.axes.set(ylabel="mean square")
    return _finish(drawing, networks, {"x": looks["x"], "h(x)": looks["h"], "F(x)": looks["F"]})


@styled
def gradients(networks: list[Network], *, width: float | None = None) -> Drawing:
    """The norm of dE/dx_l through the whole network."""
    caption = (
        "Norm of the gradient of the loss in x before each unit, through shortcuts and F. It grows towards the first "
        "unit where shortcuts are weak, because batch normalisation with ReLU in F amplifies gradients backward (Yang "
        "et al. 2019, arXiv:1902.08129): a large gradient is no sign of a network that trains."
    )
    drawing = Drawing("The gradient backward, through everything", caption, SIZE, width)
    for at, network in enumerate(networks):
        values = [unit["gradient"] for unit in network["units"]]
        _line(drawing, at, network, values, {"lw": 1.6, "ls": look(at)[2]})
    drawing.axes.set(ylabel="norm of dE/dx")
    return _finish(drawing, networks, {})


def _line(drawing: Drawing, at: int, network: Network, values: list[float], style: dict[str, Any]) -> None:
    """A line over the units on a logarithmic axis, with gaps where the value is 0."""
    x = [unit["unit"] for unit in network["units"]]
    drawing.axes.plot(x, [y if y > 0 else math.nan for y in values], color=look(at)[0], **style)
    drawing.axes.set_yscale("log")
    # The usual labels are formulas, which the style of all figures takes for text.
    drawing.axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))


def _finish(drawing: Drawing, networks: list[Network], looks: dict[str, dict[str, Any]]) -> Drawing:
    """The axis of units, and a legend of networks by colour and of `looks` in grey; one network is in the title."""
    axes = drawing.axes
    axes.set_xlabel("unit")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    if len(networks) == 1:
        axes.set_title(networks[0]["name"], fontsize="medium", loc="left")
    for at, network in enumerate(networks if len(networks) > 1 else []):
        dash = "-" if "x" in looks else look(at)[2]
        axes.add_line(Line2D([], [], color=look(at)[0], lw=1.6, ls=dash, label=short(network["name"])))
    for label, style in looks.items():
        axes.add_line(Line2D([], [], color=look(0)[0] if len(networks) == 1 else GREY, label=label, **style))
    if looks or len(networks) > 1:
        drawing.legend()
    return drawing
