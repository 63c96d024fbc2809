"""One sentence for what Hydra or OmegaConf refuses: what is wrong, where, and what may be meant."""

import contextlib
import difflib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)

from ablate.base.errors import ConfigError
from ablate.config.files import GROUPS, Origin, declared, options, place, shown
from ablate.config.schema import CUSTOM, as_typed, keys

SUBMITIT = {
    **{"timeout_min": "time", "cpus_per_task": "cpus", "gpus_per_node": "gpus", "gres": "gpus", "mem_gb": "memory"},
    **{"mem": "memory", "array_parallelism": "at_once", "max_num_timeout": "max_timeouts"},
    **{"signal_delay_s": "warning", "additional_parameters": "options"},
}
"""Keys of Hydra's submitit launcher, and those of hydra/launcher=slurm that do the same."""


@contextlib.contextmanager
def explained(origin: Origin) -> Iterator[None]:
    """Raises what Hydra, OmegaConf and YAML's parser refuse in this context as a ConfigError of one sentence."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        raise ConfigError(explain(error, origin)) from error


def explain(error: BaseException, origin: Origin) -> str:
    """One sentence for an error that was raised while the files of `origin` were composed with a command line."""
    first = _first_line(error)
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"{shown(Path(error.problem_mark.name))}, line {error.problem_mark.line + 1}: {error.problem}"
    if first.startswith("Could not override 'experiment'"):
        known = ", ".join(options("experiment", origin.folders))
        return f"+experiment=NAME chooses an experiment, one of {known}; name=NAME names a grid of your own"
    again = r"Could not append to config. An item is already at '(.+)'|Multiple values for (\S+)\. To"
    if plus := re.match(again, first):
        return f"'{plus[1] or plus[2]}' is there already: leave out the plus"
    file = re.match(r"In '(.+?)': ", first)
    cause = error.__cause__ or (error.__context__ if file else None) or error
    key = str(getattr(cause, "full_key", None) or getattr(cause, "key", None) or "")
    group, _, _ = key.partition(".")
    config = file[1] if file and file[1] not in ("config", "hydra/config") else ""  # none of a user's
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        sentence = unknown_option(error.missing_cfg_file, origin)
    elif isinstance(cause, (ConfigAttributeError, ConfigKeyError)):
        sentence = unknown_key(key)
    elif isinstance(cause, ValidationError):
        sentence = wrong_type(key, cause)
    elif isinstance(cause, MissingMandatoryValue):
        sentence = f"{key} has no value: give it there, or as {key}=VALUE"
        config = f"{group}/{origin.choices[group]}" if group in origin.choices else ""
    elif isinstance(cause, InterpolationKeyError):
        sentence = re.sub(
            r"Interpolation key ('.*') not found", rf"{key} refers to \1, which is no key", _first_line(cause)
        )
    else:
        reason = re.sub(r"^\w+ raised while resolving interpolation: ", "", _first_line(cause)).strip('"')
        sentence = f"{key}: {reason}".removeprefix(": ")
    return f"{place(config, key, origin.folders)}: {sentence}" if config else sentence


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def wrong_type(key: str, error: ValidationError) -> str:
    """One sentence for a value that a key does not take."""
    key, value = re.sub(r"\[\d+\]$", "", key), getattr(error, "value", None)  # of one item of a list
    kind = {one.name: one.kind for one in keys()}.get(key)
    if not key:
        return "it must be lines of KEY: VALUE"
    lines = isinstance(value, (dict, DictConfig))
    if key in GROUPS and not lines:
        return f"{key}={value} chooses a file: write 'override /{key}: {value}' in the list 'defaults'"
    if lines:
        return f"{key} is one value, not lines of KEY: VALUE; a file of a run's keys begins with # @package _global_"
    if not kind:
        return f"{key}: {_first_line(error)}"
    whole = isinstance(value, float) and value.is_integer() and kind.startswith(WHOLE)
    return f"{key}={as_typed(value)} is invalid: use {kind}{f', as in {key}={value:.0f}' if whole else ''}"


WHOLE = "a whole number"


def unknown_option(choice: str, origin: Origin) -> str:
    """One sentence for an unknown file of a group, as in shortcut/gat."""
    group = next((group for group in GROUPS if choice.startswith(f"{group}/")), choice.rpartition("/")[0])
    name = choice.removeprefix(f"{group}/")
    if group == "data" and ("/" in name or Path(name).is_dir()):
        return f"data={name} is not a dataset: for a folder of images, write data=folder data.root={name}"
    if group == "experiment" and name.startswith(tuple(f"{other}/" for other in GROUPS)):
        return f"a choice in the defaults of an experiment is written 'override /{name.replace('/', ': ')}'"
    if group == "hydra/sweeper":
        return unknown_sweeper(name)
    known = options(group, origin.folders)
    return f"{group} '{name}' is unknown{near(name, known) or '.'} Known: {', '.join(known) or 'none'}"


def unknown_sweeper(name: str) -> str:
    """One sentence for hydra/sweeper=optuna: Hydra's plugins start runs themselves, and know no records."""
    return f"hydra/sweeper={name} is not one of ablate's: leave it out; docs/python.md shows Optuna with ablate.run"


def unknown_key(key: str) -> str:
    """One sentence for a key that is not in the configuration: where it is, or which may be meant."""
    group, _, last = key.rpartition(".")
    group = group.replace("hydra.launcher", "hydra/launcher")
    if key in every_key() and group in GROUPS:  # another choice's
        files = {name: declared(group, name) for name in options(group)}
        having = {file.get("name", name) for name, file in files.items() if last in file}
        return f"the chosen {group} has no key '{last}', which belongs to {', '.join(sorted(having))}"
    meant = nearest_key(key)
    own = f"; a new key of a custom class needs a plus: +{key}=VALUE" if group in CUSTOM else ""
    return f"there is no key '{key}'" + (f"; did you mean '{meant}'?" if meant else own or ": ablate --help lists them")


def every_key() -> list[str]:
    """Every key that can be given a value: of a run, of the shortcuts, units, networks and launchers that ship."""
    return [*(key.name for key in keys()), *(key for group in (*CUSTOM, "hydra/launcher") for key in parameters(group))]


def parameters(group: str) -> list[str]:
    """The keys in the files of a group that ships, as shortcut.bias_init."""
    found = {key for name in options(group) for key in declared(group, name) if key != "_target_"}
    return [f"{group.replace('/', '.')}.{key}" for key in sorted(found)]


def nearest_key(key: str) -> str | None:
    """The key that may be meant by `key`: by its last part, its initials (lr) or another program's name for it."""
    head, _, last = key.rpartition(".")
    known = [name for name in every_key() if name != key]
    same = [name for name in known if name.rpartition(".")[0] == head]
    others = [] if head.startswith("hydra") else [name for name in known if not name.startswith("hydra.")]
    for names in (same, others):
        ends = {name.rpartition(".")[2]: name for name in reversed(names)}
        initials = {"".join(part[0] for part in end.split("_")): name for end, name in ends.items() if "_" in end}
        for found in (
            ends.get(last),
            initials.get(last),
            ends.get(SUBMITIT.get(last, "")),
            ends.get(_closest(last, ends)),
        ):
            if found:
                return found
    return None


def near(name: str, choices: Iterable[str]) -> str:
    """'; did you mean X?' with the nearest of `choices`, or nothing."""
    match = _closest(name, choices)
    return f"; did you mean '{match}'?" if match else ""


def _closest(name: str, choices: Iterable[str]) -> str:
    """The nearest of `choices`, whatever the case of its letters, or ''."""
    folded = {choice.casefold(): choice for choice in choices}
    match = difflib.get_close_matches(name.casefold(), folded, 1)
    return folded[match[0]] if match else ""
