"""The dimensions of a grid, and their product: from parsed words to the words of each cell.

A list is a dimension, and so is zip(...), whose keys change together. All intervals are one dimension, of points drawn
in them. where(...) is one in the cells that have its choice.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import TYPE_CHECKING

from hydra.core.override_parser.types import IntervalSweep, Override, Transformer
from omegaconf import DictConfig

from ablate.base.errors import ConfigError
from ablate.config.lists import Where, Zip, group_of, keys, settings, wheres
from ablate.config.schema import as_typed

if TYPE_CHECKING:  # it takes scipy a second
    from ablate.grid.sampling import Interval

MOST = 100_000
"""Runs in a grid, which take a minute to check."""
Setting = tuple[str, ...]
"""Words that a cell gets together."""


@dataclass(frozen=True)
class Samples:
    """How many points are drawn in intervals, None if the user does not say, and the seed of the drawing."""

    count: int | None
    seed: int

    @classmethod
    def of(cls, hydra: DictConfig) -> "Samples":
        """As the keys of hydra.sweeper. Raises ConfigError for values that are no whole numbers in range."""
        count, seed = hydra.sweeper.samples, hydra.sweeper.seed
        if count is not None and (type(count) is not int or not 1 <= count <= MOST):
            raise ConfigError(f"hydra.sweeper.samples={as_typed(count)} is invalid: use 1 to {MOST:,}")
        if type(seed) is not int or seed < 0:
            raise ConfigError(f"hydra.sweeper.seed={as_typed(seed)} is invalid: use a whole number of 0 or more")
        return cls(count, seed)


def expand(overrides: Sequence[Override], samples: Samples | None, chosen: Mapping[str, str]) -> Iterator[list[str]]:
    """The words of each cell; the first key varies slowest. The last value given for a key counts: the command line's.

    `chosen` are the choices of the groups that no word chooses. Without `samples`, intervals are left out. Raises
    ConfigError for a list that a grid cannot have.
    """
    given = {_name(override): override for override in overrides}
    _check_once(given)
    spaces = [override for override in given.values() if override.is_interval_sweep()]
    dimensions: list[list[Setting]] = []
    conditional: list[tuple[str, Where, list[Setting]]] = []
    for key, override in given.items():
        if override.is_sweep_override() and _of_hydra(override):
            raise ConfigError(f"{override.input_line} is a list: give one value, because a grid has one launcher")
        if override.is_interval_sweep():
            if samples and override is spaces[0]:
                dimensions.append(_drawn(spaces, samples))
        elif parts := wheres(override):
            conditional += [(group_of(override), part, _each(key, map(Transformer.str, part.list))) for part in parts]
        else:
            dimensions.append(_listed(key, override))
    for cell in product(*dimensions):
        words = [word for setting in cell for word in setting]
        more = [values for group, part, values in conditional if choice(words, group, chosen) == part.choice]
        for rest in product(*more):
            yield [*words, *(word for setting in rest for word in setting)]


def intervals(overrides: Iterable[Override]) -> "dict[str, Interval]":
    """The intervals among the words of a grid, by key. Raises ConfigError for one that is wrong."""
    given = {_name(override): override for override in overrides}
    return {key: _interval(override) for key, override in given.items() if override.is_interval_sweep()}


def choice(cell: Iterable[str], group: str, chosen: Mapping[str, str]) -> str:
    """The choice of a group in a cell."""
    values = [word.partition("=")[2].strip("'\" ") for word in cell if word.startswith(f"{group}=")]
    return values[-1] if values else chosen.get(group, "")


def check_wheres(overrides: Iterable[Override], cells: Sequence[list[str]], chosen: Mapping[str, str]) -> None:
    """Raise ConfigError for where(...) with a choice that none of the `cells` has."""
    for override in overrides:
        for part in wheres(override):
            group = group_of(override)
            found = dict.fromkeys(choice(cell, group, chosen) for cell in cells)
            if part.choice not in found:
                raise ConfigError(
                    f"{override.input_line}: no run of this grid has {group}={part.choice}, only "
                    f"{group}={','.join(found)}"
                )


def _listed(key: str, override: Override) -> list[Setting]:
    """A word on its own, or a list. Of a list without an end it gives more than a grid may have."""
    if not override.is_sweep_override():
        return [(str(override.input_line),)]
    if isinstance(override.value(), Zip):
        return settings(override)
    found = _each(key, islice(override.sweep_string_iterator(), MOST + 1))
    if not found:
        raise ConfigError(f"{override.input_line} is an empty list: no run would be trained")
    return found


def _each(key: str, values: Iterable[str]) -> list[Setting]:
    return [(f"{key}={value}",) for value in values]


def _drawn(intervals: Sequence[Override], samples: Samples) -> list[Setting]:
    """Points in all intervals of a grid, in the order in which they are given."""
    from ablate.grid.sampling import points  # scipy

    words = [str(override.input_line) for override in intervals]
    spaces = [_interval(override) for override in intervals]
    if samples.count is None:
        raise ConfigError(f"{words[0]} needs a number of samples: add hydra.sweeper.samples=N")
    keys = [override.get_key_element() for override in intervals]
    drawn = points(spaces, samples.count, samples.seed)
    return [tuple(f"{key}={value!r}" for key, value in zip(keys, point, strict=True)) for point in drawn]


def _interval(override: Override) -> "Interval":
    from ablate.grid.sampling import Interval

    sweep = override.value()
    assert isinstance(sweep, IntervalSweep)
    start, end = sweep.start, sweep.end
    if unknown := sorted(sweep.tags - {"log"}):
        raise ConfigError(f"{override.input_line} has the tag {unknown[0]}: the one that has a meaning is log")
    if not isinstance(start, (int, float)) or not isinstance(end, (int, float)):  # str(interval(0,1))
        raise ConfigError(f"{override.input_line} is invalid: an interval has two numbers")
    try:
        return Interval(start, end, log="log" in sweep.tags, whole=type(start) is int)
    except ConfigError as error:
        raise ConfigError(f"{override.input_line}: {error}") from error


def _name(override: Override) -> str:
    """What a later word replaces. recipe=zip(...) does not replace recipe=he2016."""
    return f"{override.key_or_group}=zip(...)" if isinstance(override.value(), Zip) else override.get_key_element()


def _of_hydra(override: Override) -> bool:
    value = override.value()
    return any(one.is_hydra_override() for one in (override, *(value.members if isinstance(value, Zip) else ())))


def _check_once(given: Mapping[str, Override]) -> None:
    """Raise ConfigError for a key of a zip that is given again: the values would not be pairs."""
    names = [name for override in given.values() for name in keys(override)]
    for key, override in given.items():
        for name in keys(override) if isinstance(override.value(), Zip) else ():
            if names.count(name) > 1:
                raise ConfigError(f"{name} is in {key} and given again: give it once")
