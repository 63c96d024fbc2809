"""An ablation harness for residual shortcuts: what does h(x) in x_{l+1} = f(h(x_l) + F(x_l)) do to training?

>>> import ablate
>>> run = ablate.run("shortcut=gate", "depth=20")     # as `ablate shortcut=gate depth=20`
>>> run.test_error
4.4
>>> runs = ablate.load("results/runs")                # a pandas DataFrame, one row for each run
"""

import threading
from typing import TYPE_CHECKING

from ablate.base.errors import AblateError, ConfigError
from ablate.base.version import __version__

__all__ = ["AblateError", "ConfigError", "Run", "__version__", "load", "load_curves", "load_network", "run"]

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from pandas import DataFrame
    from torch import Tensor, nn

    from ablate.runs.reading import Run


_one_at_a_time = threading.RLock()
"""Torch's random generators, threads and precision are settings of the process: runs in it follow one another."""


def run(*overrides: str) -> "Run":
    """Train the run that `ablate OVERRIDES` trains, and return its record; a finished run is only read.

    If another thread of the process is training, waits until it has finished.

    Raises ConfigError if the request is wrong, AblateError if the run cannot be trained, and what custom code raises.
    """
    from ablate.config.resolve import from_overrides
    from ablate.runs.progress import Progress
    from ablate.runs.reading import read_run
    from ablate.runs.record import Record
    from ablate.runs.run import run as train
    from ablate.tracking.follower import tracker

    with _one_at_a_time:
        config = from_overrides(*overrides)
        if config.pack is not None or config.fail_fast or config.dry_run or config.experiment:
            what = "pack, fail_fast, dry_run and experiments"
            raise ConfigError(f"{what} are for the command line: train a grid with ablate -m")
        record = Record(config)
        train(record, Progress(), tracker(config))
        return read_run(record.folder)


def load(runs: "str | os.PathLike[str]" = "results/runs", experiment: str | None = None) -> "DataFrame":
    """Every run in a folder, and every one that its experiments ask for, or those of one experiment: one row each.

    `ablate.report.records.load` documents the columns. Raises AblateError if there is no such folder, experiment or
    run.
    """
    from ablate.report.records import load as read

    return read(runs, experiment)


def load_curves(runs: "str | os.PathLike[str]" = "results/runs", experiment: str | None = None) -> "DataFrame":
    """Every evaluation of the runs in a folder, with its probes: one row each.

    `ablate.report.curves.load_curves` documents the columns. Raises AblateError as `load` does.
    """
    from ablate.report.curves import load_curves as read

    return read(runs, experiment)


def load_network(
    folder: "str | os.PathLike[str]", *, trust: bool = False
) -> "tuple[nn.Module, Callable[[Tensor], Tensor]]":
    """The trained network of a finished run, and the function that prepares its images.

    >>> network, prepare = ablate.load_network(run.folder)
    >>> logits = network(prepare(images))    # uint8 (N, C, H, W) to (N, classes)

    `trust` allows it to import the custom class that a record names. Raises as `ablate.runs.trained.load_network`.
    """
    from ablate.runs.trained import load_network as read

    with _one_at_a_time:
        return read(folder, trust=trust)


def __getattr__(name: str) -> object:
    if name == "Run":
        from ablate.runs.reading import Run

        return Run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
