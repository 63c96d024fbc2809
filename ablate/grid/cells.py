"""The cells of a grid: from the words of a command line, and an experiment's lists, to one configuration each."""

import copy
import math
import re
from collections.abc import Sequence
from itertools import islice, product
from pathlib import Path

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from ablate.base.errors import ConfigError
from ablate.base.terminal import say
from ablate.config.check import check
from ablate.config.compose import Composer
from ablate.config.resolve import resolve
from ablate.config.schema import Config, as_typed
from ablate.config.words import parse

MANY, MOST = 10_000, 100_000
"""Runs in a grid that take seconds to check, and the most: they take a minute."""
SET = re.compile(r"(seed|depth)=\d+")
"""Overrides on which no other value depends, unless it refers to them: they can be set in a resolved configuration."""
DEPENDS = re.compile(r"\$\{[^}]*\b(seed|depth)\b")


def compose(words: Sequence[str], folders: Sequence[Path]) -> tuple[list[Config], DictConfig]:
    """The configuration of every cell, and what Hydra composed for the first: all cells share Hydra's settings.

    Raises ConfigError for a word that is wrong, or wrong in a cell, which it names.
    """
    composer = Composer(folders)
    asked = parse(words, composer.loader)
    master = composer.compose([str(one.input_line) for one in asked if _chooses(one)])
    lists = _lists(master.hydra)
    if master.get("seeds") is not None:  # which chooses them
        if any(one.key_or_group == "seed" for one in asked):
            raise ConfigError("seed and seeds=auto are both given: give one of them")
        lists = [word for word in lists if not word.startswith("seed=")]
    configs: list[Config] = []
    shared: dict[tuple[str, ...], Config] = {}  # Hydra takes 50 ms to compose one
    first: DictConfig | None = None
    grid = expand([*parse(lists, composer.loader), *asked])
    if len(grid) > MANY:
        say(f"checking {len(grid):,} runs")
    for cell in grid:
        rest = tuple(word for word in cell if not SET.fullmatch(word))
        try:
            if rest in shared:
                config = copy.deepcopy(shared[rest])
                for key, _, value in (word.partition("=") for word in cell if SET.fullmatch(word)):
                    setattr(config, key, int(value))
                check(config)
            else:
                composed = composer.compose(cell)
                first = composed if first is None else first
                _check_settings(composed.hydra, first.hydra, lists)
                config = resolve(composed)
                if not DEPENDS.search(OmegaConf.to_yaml(composed)):
                    shared[rest] = config
        except ConfigError as error:
            raise ConfigError(f"{error} (in the cell {' '.join(cell)})") from error
        configs.append(config)
    assert first is not None
    return configs, first


def _lists(hydra: DictConfig) -> list[str]:
    """An experiment's lists as words of a command line. In its file each is one string, or a YAML list."""
    params = OmegaConf.to_container(hydra.sweeper).get("params") or {}  # type: ignore[union-attr]
    values = {key: value if isinstance(value, list) else [value] for key, value in params.items()}
    return [f"{key}={','.join(map(as_typed, value))}" for key, value in values.items()]


def _chooses(override: Override) -> bool:
    """Whether an override may bring Hydra's settings with it, and does not depend on a choice that is a list."""
    return not override.is_sweep_override() and ("." not in override.key_or_group or override.is_hydra_override())


def expand(overrides: Sequence[Override]) -> list[list[str]]:
    """The cells of a grid; the first key varies slowest. The last value given for a key counts: the command line's."""
    values: dict[str, list[str]] = {}
    for override in overrides:
        key, word = override.get_key_element(), str(override.input_line)
        if not override.is_sweep_override():
            values[key] = [word]
            continue
        if override.is_hydra_override():
            raise ConfigError(f"{word} is a list: give one value, because a grid has one launcher")
        if not override.is_discrete_sweep():
            raise ConfigError(f"{word} is not a list: give values, as in KEY=1,2,3 or KEY=range(1,4)")
        values[key] = [f"{key}={value}" for value in islice(override.sweep_string_iterator(), MOST + 1)]
        if not values[key]:
            raise ConfigError(f"{word} is an empty list: no run would be trained")
    count = math.prod(map(len, values.values()))
    if count > MOST:
        raise ConfigError(f"a grid has at most {MOST:,} runs: give a part of the lists at a time")
    return [list(cell) for cell in product(*values.values())]


def _check_settings(hydra: DictConfig, first: DictConfig, lists: list[str]) -> None:
    """Raise ConfigError if a cell brings lists of its own, or another launcher than the first cell."""
    if [word for word in _lists(hydra) if word in lists or not word.startswith("seed=")] != lists:
        raise ConfigError("experiments cannot be a list, because each has lists of its own: give one")
    for key in ("launcher", "job.env_set"):
        if OmegaConf.select(hydra, key) != OmegaConf.select(first, key):
            raise ConfigError(f"hydra.{key} differs between the cells: start a grid for each")
