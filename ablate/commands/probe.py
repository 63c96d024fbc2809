"""The signal in a network before it trains: what its shortcuts keep of x and of the gradient, unit by unit."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ablate.base.errors import ConfigError
from ablate.base.files import to_json, write_whole, writing
from ablate.base.terminal import console, plain, say
from ablate.commands import configs, network_arguments, path, prepare
from ablate.runs.naming import describe, names

if TYPE_CHECKING:
    from ablate.config.schema import Config

EXAMPLES = """examples:
  ablate probe shortcut=constant depth=110                          a table of its units, and one sentence
  ablate probe shortcut=gate_he depth=110 --out pictures            ... and pictures: gains, mean squares, gradients
  ablate probe -m shortcut=identity,constant,gate depth=56,110      one line and one sentence for each network
  ablate probe shortcut._target_=mine.Mine data=cifar10 --json      a shortcut of your own; all numbers, for scripts
  ablate probe shortcut=gate init_from=RUN                          the trained network of a run

Nothing is trained. The network has the initial weights of its seed, and is measured on the first batch that a run with
these words trains on."""
ROWS = 12
"""Units in a table, at most."""
BATCH = 64
"""Images of the batch that are used, at most."""
FIGURES = ("shortcut-gain", "mean-squares", "gradient")


def arguments(parser: argparse.ArgumentParser) -> None:
    network_arguments(parser)
    parser.add_argument("--images", type=int, default=BATCH, metavar="N", help=f"images of the batch ({BATCH})")
    parser.add_argument("--out", type=path, metavar="FOLDER", help="write pictures there, as SVG")
    parser.add_argument("--overwrite", action="store_true", help="replace pictures that are there")
    parser.add_argument("--json", action="store_true", help="one JSON object with every unit, for scripts")


def main(options: argparse.Namespace) -> None:
    if options.images < 2:  # batch normalisation needs two
        raise ConfigError(f"--images {options.images} is invalid: use 2 or more")
    files = [f"{name}.svg" for name in FIGURES]
    prepare(options.out, files, overwrite=options.overwrite)
    asked = configs("probe", options, seeds=True)
    found = [measured(config, options.images) for config in asked]
    trees = [asdict(config) for config in asked]
    for one, name in zip(found, names(trees) if len(trees) > 1 else map(describe, trees), strict=True):
        one["name"] = name
    if options.out:
        _write(options.out, found)
        if not options.json:
            say(f"written: {', '.join(str(options.out / file) for file in files)}")
    if options.json:
        say(to_json({"networks": found}))
    elif options.multirun:
        _show_several(found)
    else:
        _show(found[0])


def measured(config: "Config", images: int) -> dict[str, Any]:
    """The facts of one network, as `--json` prints them."""
    import torch

    from ablate.data.batches import training_batches
    from ablate.data.load import load
    from ablate.models.build import build, check_buildable
    from ablate.probes.foretell import foretell
    from ablate.probes.path import power
    from ablate.probes.signal import facts, measure
    from ablate.training.device import pick_device, pick_precision
    from ablate.training.initial import initialise

    # On a busy machine, threads that wait for each other take minutes for so many small products.
    torch.set_num_threads(config.threads or 1)
    pick_precision("float32")
    device, dataset = pick_device(config.device), load(config.data)
    check_buildable(config, dataset.shape)  # its sentences are those of a grid
    network = build(config, shape=dataset.shape, classes=len(dataset.classes))
    if not any(True for _ in network.units()):
        raise ConfigError(f"net {config.net['name']} has no residual units: there is no shortcut to measure")
    initialise(network, config)
    batches = training_batches(dataset.to(device), config, device)
    batches.begin_epoch(0)
    x, y = (part[:images] for part in batches.next())
    signal = measure(network.to(device), x, y, seed=config.seed)
    told = foretell(signal)
    return {
        "depth": config.depth,
        "seed": config.seed,
        "data": config.data.name,
        "images": len(y),
        "sentence": told.sentence,
        "level": told.level,
        "kept": {"path": power(told.path), "with_f": power(told.with_f), "added": power(told.added)},
        **facts(signal),
    }


def _write(folder: Path, found: list[dict[str, Any]]) -> None:
    from ablate.report.figures.signal import draw

    with writing(folder, "use another --out"):
        for name, drawing in draw(found):
            write_whole(folder / f"{name}.svg", drawing.save("svg"))


def _show(found: dict[str, Any]) -> None:
    units = found["units"]
    say(f"{found['name']}: {len(units)} units, {found['images']} training images, loss {found['loss']:.3g}")
    gated, forward = any(unit["gates"] for unit in units), [unit for unit in units if unit["shortcut"]["forward"]]
    table = _table("unit", "stage", "x", "h(x)", "F(x)", "dE/dx", *GAINS, *(GATES if gated else ()), "dead")
    for unit in _chosen(forward or units):
        squares = (f"{unit['mean_square'][name]:.3g}" for name in ("x", "h", "F"))
        row = [str(unit["unit"]), str(unit["stage"]), *squares, f"{unit['gradient']:.3g}", *_gains(unit)]
        if gated:
            gates = unit["gates"]
            row += [f"{gates['mean']:.3f} ± {gates['deviation']:.3f}", f"{gates['shut']:.1%}"] if gates else ["", ""]
        table.add_row(*row, "" if unit["dead"] is None else f"{unit['dead']:.1%}")
    console().print(table)
    say(MEANING)
    if mixing := found["mixing"]:
        rows, columns = (f"{mixing[name]:.4g}" for name in ("forward", "backward"))
        say(f"streams mixed by all units: largest absolute row sum {rows}, column sum {columns}")
    for one in found["jacobians"]:
        values = f"{one['largest']:.3g}, median {one['median']:.3g}, smallest {one['smallest']:.2g}"
        say(f"singular values of dy/dx in unit {one['unit']}, of {'x'.join(map(str, one['shape']))}: largest {values}")
    say(found["sentence"])


GAINS = ("backward", "forward", "theory", "with f")
GATES = ("1 - g", "shut")
MEANING = """x, h(x), F(x): mean squares. dE/dx: norm.
backward, forward, theory, with f: what the shortcuts alone keep from the unit to the last, relative to the identity."""
MEANING_OF_FIRST = """dE/dx: norm at the first unit.
backward, forward, theory, with f: what the shortcuts alone keep over all units, relative to the identity."""


def _show_several(found: list[dict[str, Any]]) -> None:
    table = _table("network", "units", "dE/dx", *GAINS)
    for one in found:
        first = one["units"][0]
        table.add_row(Text(plain(one["name"])), str(len(one["units"])), f"{first['gradient']:.3g}", *_gains(first))
    console().print(table)
    say(MEANING_OF_FIRST)
    for one in found:
        say(f"{one['name']}: {one['sentence']}")


def _chosen(units: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most ROWS, the first and the last among them."""
    last, count = len(units) - 1, min(ROWS, len(units))
    return [units[round(at * last / max(1, count - 1))] for at in range(count)]


def _gains(unit: dict[str, Any]) -> list[str]:
    from ablate.probes.foretell import written

    gains = [unit["shortcut"]["backward"], unit["shortcut"]["forward"], unit["theory"], unit["shortcut"]["with_f"]]
    return ["" if gain is None else written(gain["log2"]) for gain in gains]


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "network" else "right", no_wrap=True)
    return table
