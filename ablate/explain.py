"""One sentence for a request that cannot be understood: what is wrong, and what was perhaps meant."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import fields

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, ValidationError

from ablate.config import PARAMETER_TYPES, Checkpoint, Config, Data, Recipe, Tracker, known
from ablate.errors import AblateError, ConfigError


def near(name: str, choices: Sequence[str]) -> str:
    """The words that follow an unknown name: the nearest match, where there is one."""
    match = difflib.get_close_matches(name, choices, 1)
    return f"; did you mean '{match[0]}'?" if match else ""


def keys() -> list[str]:
    """Every key that a run has, dotted."""
    nested = {"data": Data, "recipe": Recipe, "checkpoint": Checkpoint, "tracker": Tracker}
    own = [f.name for f in fields(Config)]
    inner = [f"{group}.{f.name}" for group, node in nested.items() for f in fields(node)]
    return own + inner + [f"shortcut.{name}" for name in PARAMETER_TYPES]


def explain(error: Exception) -> str:
    """One sentence for an error of Hydra's or OmegaConf's while it composed the configuration."""
    cause = error.__cause__ or error
    if isinstance(cause, AblateError):  # from a launcher's constructor
        return str(cause)
    if _first_line(error).startswith("Ambiguous value for argument "):
        asked = _first_line(error).partition("'")[2].rstrip("'")
        return f"{asked} is a list: add -m for a run of each, as in python -m ablate -m {asked}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        options = [option for option in error.options or [] if not option.startswith("_")]
        return f"{group} '{name}' is unknown{near(name, options)} Known: {', '.join(options)}".replace(
            "unknown Known", "unknown. Known"
        )
    if isinstance(cause, (ConfigAttributeError, ConfigKeyError)):
        key = str(cause.full_key or cause.key)
        return f"there is no key '{key}'{near(key, keys()) or ': python -m ablate --help lists them'}"
    if isinstance(cause, ValidationError):
        return f"{cause.full_key}: {_first_line(cause)}"
    if isinstance(error, OverrideParseException):
        return f"{error.override!r} cannot be read: write KEY=VALUE, and quote brackets and commas for the shell"
    if isinstance(cause, TypeError) and "hydra_plugins.ablate." in str(error):
        return "cluster=NAME and hydra.launcher's keys do not go with this launcher: add hydra/launcher=slurm"
    if plus := re.match(r"Could not override '(\w+)'", _first_line(error)):
        return f"a file of {plus[1]} is named with a plus: +{plus[1]}=NAME. Known: {', '.join(known(plus[1]))}"
    return _first_line(error)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def check_words(words: Sequence[str]) -> None:
    """Raise ConfigError for a word of the command line that has no key, on which Hydra stumbles."""
    for word in words:
        key, _, value = word.lstrip("+~").partition("=")
        if not key and "=" in word:
            raise ConfigError(f"{word!r} has no key: write KEY=VALUE")
        if value.lower() == "null" and key != "cluster" and (options := known(key)):
            raise ConfigError(f"{word} chooses nothing: {key} is one of {', '.join(options)}")
