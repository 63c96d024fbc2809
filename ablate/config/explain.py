"""One sentence for what Hydra or OmegaConf refuses: what is wrong, and what may be meant."""

import difflib
import re
from collections.abc import Sequence

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, ValidationError

from ablate.base.errors import AblateError, ConfigError
from ablate.config.compose import conf_folder, declared, options
from ablate.config.schema import keys


def near(name: str, choices: Sequence[str]) -> str:
    """'; did you mean X?' with the nearest of `choices`, or nothing."""
    match = difflib.get_close_matches(name, choices, 1)
    return f"; did you mean '{match[0]}'?" if match else ""


def parameters() -> list[str]:
    """The parameters of the shortcuts and units that ship, as shortcut.bias_init."""
    files = (
        (group, declared(group, name, (conf_folder(),))) for group in ("shortcut", "unit") for name in options(group)
    )
    return sorted({f"{group}.{key}" for group, file in files for key in file})


def explain(error: BaseException) -> str:
    """One sentence for an error that Hydra or OmegaConf raised while composing the configuration."""
    cause, line = error.__cause__ or error, _first_line(error)
    if isinstance(cause, AblateError):  # from a launcher's constructor
        return str(cause)
    if line.startswith("Ambiguous value for argument "):
        asked = line.partition("'")[2].rstrip("'")
        return f"{asked} is a list: add -m for a run of each, as in ablate -m {asked}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        known = [option for option in error.options or [] if not option.startswith("_")]
        return f"{group} '{name}' is unknown{near(name, known) or '.'} Known: {', '.join(known)}"
    if isinstance(cause, (ConfigAttributeError, ConfigKeyError)):
        key = str(cause.full_key or cause.key)
        known = [*(one.name for one in keys()), *parameters()]
        if key in known:  # another shortcut's or unit's
            group, _, name = key.partition(".")
            return f"the chosen {group} has no parameter '{name}': ablate --help lists those of each {group}"
        return f"there is no key '{key}'{near(key, known) or ': ablate --help lists them'}"
    if isinstance(cause, ValidationError):
        return f"{cause.full_key}: {_first_line(cause)}"
    if isinstance(error, OverrideParseException):
        return f"{error.override!r} cannot be read: write KEY=VALUE, and quote brackets and commas for the shell"
    if isinstance(cause, TypeError) and "hydra_plugins.ablate." in str(error):
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unknown and unknown[1] not in declared("hydra/launcher", "slurm", (conf_folder(),)):
            return f"the chosen launcher has no key '{unknown[1]}': ablate --help lists those of each launcher"
        return "cluster=NAME and its keys in hydra.launcher are for SLURM: add hydra/launcher=slurm"
    if plus := re.match(r"Could not override '(\w+)'", line):
        return f"a file of {plus[1]} is chosen with a plus: +{plus[1]}=NAME. Known: {', '.join(options(plus[1]))}"
    return line


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def check_words(words: Sequence[str]) -> None:
    """Raise ConfigError for a word of the command line that Hydra's parser does not explain."""
    for word in words:
        key, _, value = word.lstrip("+~").partition("=")
        if not key and "=" in word:
            raise ConfigError(f"{word!r} has no key: write KEY=VALUE")
        if value.lower() == "null" and key != "cluster" and (known := options(key)):
            raise ConfigError(f"{word} chooses nothing: {key} is one of {', '.join(known)}")
