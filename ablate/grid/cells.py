"""The cells of a grid: from the words of a command line, and an experiment's lists, to one configuration each."""

import copy
import functools
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from ablate.base.errors import ConfigError
from ablate.base.terminal import say
from ablate.config.check import check
from ablate.config.compose import Composer
from ablate.config.lists import group_of, keys
from ablate.config.resolve import resolve
from ablate.config.schema import Config, as_typed
from ablate.config.words import parse
from ablate.grid.dimensions import MOST, Samples, check_wheres, expand, intervals
from ablate.runs.naming import within

if TYPE_CHECKING:
    from ablate.grid.sampling import Interval

OF_A_GRID, OF_A_STUDY = ("seeds", "most_seeds", "tune"), ("name", "experiment", "results")
"""Keys of which a grid has one value; and those of which a grid in several stages has."""
NO_INTERVAL = (
    "{} draws values in intervals, and the grid has none: add one, as in "
    "'recipe.learning_rate=tag(log,interval(0.003,0.3))'"
)
MANY = 10_000
"""Runs in a grid that take seconds to check."""
SET = re.compile(r"(seed|depth)=\d+")
"""Overrides on which no other value depends, unless it refers to them: they can be set in a resolved configuration."""
SETS_OTHERWISE = re.compile(r"\+*(seed|depth)=.")
DEPENDS = re.compile(r"\$\{[^}]*\b(seed|depth)\b")


class Grid(NamedTuple):
    """The configuration of every cell, and what Hydra composed for the first: all cells share Hydra's settings.

    `intervals` are those of tune.trials, by key. The configurations then have the common values of these keys.
    """

    configs: list[Config]
    composed: DictConfig
    intervals: "dict[str, Interval]"


def compose(words: Sequence[str], folders: Sequence[Path]) -> Grid:
    """The cells of the grid that a command line asks for, with configuration files of `folders` too.

    Raises ConfigError for a word that is wrong, or wrong in a cell, which it names.
    """
    composer = Composer(folders)
    asked = parse(words, composer.loader)
    master = composer.compose([str(one.input_line) for one in asked if _chooses(one)])
    lists = every = _lists(master.hydra)
    staged = master.get("seeds") is not None
    if staged:  # it chooses the seeds
        lists = [[word for word in part if not word.startswith("seed=")] for part in lists]
    configs: list[Config] = []
    shared: dict[tuple[str, ...], Config] = {}  # Hydra takes 50 ms to compose one
    first: DictConfig | None = None
    parts = [parse(part, composer.loader) for part in lists]
    tuned = OmegaConf.select(master, "tune.trials") is not None
    for override in [*asked, *chain.from_iterable(parts)]:
        if staged and "seed" in keys(override):
            raise ConfigError("seed and seeds=auto are both given: give one of them")
        _check_one(override, (*OF_A_GRID, *(OF_A_STUDY if staged or tuned else ())))
    grid = _united(parts, asked, master.hydra, drawn=not tuned)
    if len(grid) > MANY:
        say(f"checking {len(grid):,} runs")
    for cell in grid:
        rest = tuple(f"{found[1]}=" if (found := SET.fullmatch(word)) else word for word in cell)
        try:
            if rest in shared:
                config = copy.deepcopy(shared[rest])
                for key, _, value in (word.partition("=") for word in cell if SET.fullmatch(word)):
                    setattr(config, key, int(value))
                check(config)
            else:
                composed = composer.compose(cell)
                first = composed if first is None else first
                _check_settings(composed.hydra, first.hydra, every)
                config = resolve(composed)
                if not DEPENDS.search(OmegaConf.to_yaml(composed)) and not any(map(SETS_OTHERWISE.match, rest)):
                    shared[rest] = config
        except ConfigError as error:
            raise ConfigError(f"{error} (in the cell {' '.join(cell)})") from error
        configs.append(config)
    assert first is not None
    return Grid(configs, first, intervals([*chain.from_iterable(parts), *asked]) if tuned else {})


def _lists(hydra: DictConfig) -> list[list[str]]:
    """An experiment's lists as words of a command line, for each of its sub-grids. One without any is a grid of one.

    In its file the list of a key is a string, or a YAML list. A list of lines of KEY: LIST is a union of sub-grids.
    """
    params = OmegaConf.to_container(hydra.sweeper).get("params") or {}  # type: ignore[union-attr]
    params = params if isinstance(params, dict) else {"params": params}
    unions: dict[str, list[dict[str, Any]]] = {}
    for key, value in params.items():
        if isinstance(value, list) and (key == "params" or any(isinstance(part, dict) for part in value)):
            if not all(isinstance(part, dict) and part for part in value):
                raise ConfigError(f"hydra.sweeper.{key} is a list of sub-grids: each must be lines of KEY: LIST")
            unions[str(key)] = value
    common = {key: value for key, value in params.items() if key not in unions}
    return [_words(functools.reduce(operator.or_, parts, common)) for parts in product(*unions.values())]


def _words(params: Mapping[str, Any]) -> list[str]:
    values = {key: value if isinstance(value, list) else [value] for key, value in params.items()}
    return [f"{key}={','.join(map(as_typed, value))}" for key, value in values.items()]


def _united(
    parts: Sequence[Sequence[Override]], asked: Sequence[Override], hydra: DictConfig, *, drawn: bool
) -> list[list[str]]:
    """The cells of an experiment's sub-grids, one after another, with what the command line asks for in each; unless
    `drawn`, without values from intervals.
    """
    chosen: dict[str, str] = OmegaConf.to_container(hydra.runtime.choices)  # type: ignore[assignment]
    samples = Samples.of(hydra) if drawn else None
    if samples and samples.count and not any(intervals([*part, *asked]) for part in parts):
        raise ConfigError(NO_INTERVAL.format(f"hydra.sweeper.samples={samples.count}"))
    grid = list(islice(chain.from_iterable(expand([*part, *asked], samples, chosen) for part in parts), MOST + 1))
    if len(grid) > MOST:
        raise ConfigError(f"a grid has at most {MOST:,} runs: give a part of the lists at a time")
    narrowed = {key for override in asked for key in keys(override)}  # as in +experiment=NAME shortcut=identity
    theirs = [override for part in parts for override in part if group_of(override) not in narrowed]
    check_wheres([*theirs, *asked], grid, chosen)
    return grid


def _chooses(override: Override) -> bool:
    """Whether an override may bring Hydra's settings with it, and does not depend on a choice that is a list."""
    key = override.key_or_group
    of_a_choice = "." in key and not key.startswith("tune.") and not override.is_hydra_override()
    return not override.is_sweep_override() and not of_a_choice


def _check_one(override: Override, names: Iterable[str]) -> None:
    """Raise ConfigError for a list of what a whole grid has one of."""
    if override.is_sweep_override() and any(within(key, names) for key in keys(override)):
        raise ConfigError(f"{override.input_line} is a list: give one value, because it is for the whole grid")


def _check_settings(hydra: DictConfig, first: DictConfig, lists: list[list[str]]) -> None:
    """Raise ConfigError if a cell brings lists of its own, or another launcher than the first cell."""
    if _lists(hydra) != lists:
        raise ConfigError("experiments cannot be a list, because each has lists of its own: give one")
    for key in ("launcher", "job.env_set"):
        if OmegaConf.select(hydra, key) != OmegaConf.select(first, key):
            raise ConfigError(f"hydra.{key} differs between the cells: start a grid for each")
