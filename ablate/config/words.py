"""The words of a command line: its options, and overrides that Hydra's parser reads."""

import os
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import OverrideParseException

from ablate.base.errors import ConfigError
from ablate.config.check import check_storable
from ablate.config.explain import every_key, nearest_key
from ablate.config.files import options
from ablate.config.lists import check_list, parse_zip, unreadable, where

LONG = {"-m": "--multirun", "-cd": "--config-dir", "-c": "--cfg", "-p": "--package", "-i": "--info"}
VALUES: dict[str, tuple[str, ...]] = {
    **{"--config-dir": (), "--package": (), "--cfg": ("job", "hydra", "all")},
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
}
"""The options that a value follows, and which ones; () for any."""
UNQUOTED = r"[\w/\\.+$%*@?|: -]"
"""A character that a value may have without quotes, in Hydra's grammar; of letters, only ASCII ones."""


@dataclass
class Words:
    """The words of a command line, sorted. `shown` are Hydra's options that print a configuration."""

    overrides: list[str] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    grid: bool = False
    shown: dict[str, str] = field(default_factory=dict)


def sort(words: Iterable[str]) -> Words:
    """Sort the words of a command line. Raises ConfigError for an option or a word that cannot be read."""
    found, rest = Words(), list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            found.overrides.append(word)
            continue
        option, _, value = word.partition("=")
        option = LONG.get(option, option)
        if option in VALUES and not value and rest and "=" not in rest[0]:
            value = rest.pop(0)
        value = "all" if option == "--info" and not value else value
        if option in VALUES and (not value or value not in (VALUES[option] or [value])):
            raise ConfigError(f"{option} needs a value: {' or '.join(VALUES[option]) or 'VALUE'}")
        if option == "--multirun":
            found.grid = True
        elif option == "--config-dir":
            found.folders.append(Path(os.path.expanduser(value)))
        elif option in ("--cfg", "--package", "--resolve", "--info"):
            found.shown[option[2:]] = value
        else:
            raise ConfigError(_unknown_option(option, value or next(iter(rest), "VALUE")))
    return found


def _unknown_option(option: str, value: str) -> str:
    name = option.lstrip("-").replace("-", "_")
    key = name if name in every_key() else nearest_key(name)
    return f"there is no option {option}{f': to set a key, write {key}={value}' if key else ': see ablate --help'}"


def parse(words: Sequence[str], loader: ConfigLoader | None = None) -> list[Override]:
    """The overrides that `words` are. Raises ConfigError for one that cannot be read, or that chooses nothing.

    `loader` finds the options in `shortcut=glob(*)`.
    """
    parser = OverridesParser.create(loader)
    parser.functions.register("where", where)
    return [parse_zip(word, lambda member: _parse(member, parser)) or _parse(word, parser) for word in words]


def _parse(word: str, parser: OverridesParser) -> Override:
    key, equals, value = word.lstrip("+~").partition("=")
    check_storable("", word)
    if equals and not key:
        raise ConfigError(f"{word!r} has no key: write KEY=VALUE")
    if value.lower() == "null" and key not in ("cluster", "experiment") and (known := options(key)):
        raise ConfigError(f"{word} chooses nothing: {key} is one of {', '.join(known)}")
    try:
        (override,) = parser.parse_overrides([word])  # parse_override forgets the loader
    except OverrideParseException as error:
        reason = error.__cause__  # of where(...), which knows it
        raise ConfigError(f"{word}: {reason}" if isinstance(reason, ConfigError) else _unreadable(word)) from error
    check_list(override)
    return override


def parse_run(words: Sequence[str]) -> None:
    """Raise ConfigError for a word of a single run that cannot be read, or that is a list."""
    for override in parse(words):
        if override.is_sweep_override():
            word = override.input_line
            if override.key_or_group == "experiment":
                raise ConfigError(f"{word} is a list: give one experiment, as in ablate -m +experiment=quickstart")
            raise ConfigError(f"{word} is a list: add -m for a run of each, as in ablate -m {shlex.quote(str(word))}")


def _unreadable(word: str) -> str:
    """One sentence for a word outside Hydra's grammar: the character, and how to write it."""
    key, equals, value = word.partition("=")
    if sentence := unreadable(key, value):
        return sentence
    wrong = re.sub(UNQUOTED, "", value, flags=re.ASCII)
    if not equals or not wrong or value[0] in "[{":
        return f"{word!r} cannot be read: write KEY=VALUE, and quote brackets and commas for the shell"
    if value.strip()[:1] == "," or value.strip()[-1:] == ",":
        return f"{word} begins or ends with a comma: write a list without spaces, as in {key}=A,B"
    if not wrong[0].isprintable():
        return f"{word} cannot be read because of {wrong[0]!r}: remove it"
    text = QuotedString(value, Quote.double).with_quotes()
    return f"{word} cannot be read because of {wrong[0]!r}: write it as {shlex.quote(f'{key}={text}')}"
