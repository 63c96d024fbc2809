"""Lists of values that Hydra's grammar does not have: keys that are paired, and keys of one choice only.

    ablate -m 'pairs=zip(recipe.learning_rate=choice(0.1,0.05),recipe.batch=choice(128,64))'
    ablate -m shortcut=identity,gate 'shortcut.bias_init=where(gate,0,-3)'

`zip` is spelled as Hydra plans it (docs/design/zipped_sweeps.md in its repository): the word before it names the
pairs and is no key. Hydra 1.3 has no dots in the names of arguments, so each argument is parsed as a word of its own.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep, ValueType

from ablate.base.errors import ConfigError
from ablate.config.explain import every_key, near
from ablate.config.files import GROUPS

FORMS = {
    "zip": "NAME=zip(KEY=choice(A,B),KEY=choice(C,D))",
    "where": "{key}=where(CHOICE,A,B)",
    "choice": "{key}=choice(A,B)",
    "range": "{key}=range(START,STOP)",
    "interval": "{key}=interval(START,END)",
    "tag": "{key}=tag(log,interval(START,END))",
    "int": "{key}=int(interval(START,END))",
    "glob": "{key}=glob(*)",
}
"""How functions of a grid are written."""


@dataclass
class Zip(ChoiceSweep):
    """Lists of equal length, whose values are taken together: the first of each, the second of each, ..."""

    members: list[Override] = field(default_factory=list)


@dataclass
class Where(ChoiceSweep):
    """Values of a key in the cells in which its group has this choice. In other cells the key is left out."""

    choice: str = ""


def where(choice: Any, *values: Any) -> Where:
    """A choice and its values, as Hydra's parser reads them in a word. Raises ConfigError for none."""
    plain = not any(isinstance(value, (ChoiceSweep, RangeSweep, IntervalSweep)) for value in (choice, *values))
    if not values or not plain:
        raise ConfigError("where(...) takes a choice and then values, as in shortcut.bias_init=where(gate,0,-3)")
    return Where(list=[*values], choice=str(choice))


def wheres(override: Override) -> list[Where]:
    """The parts of KEY=where(...) or KEY=where(...),where(...); [] if it is another list.

    Raises ConfigError if only some parts are, or if the key is in no group.
    """
    value = override.value()
    parts: list[Any] = [value] if isinstance(value, Where) else value.list if isinstance(value, ChoiceSweep) else []
    found = [part for part in parts if isinstance(part, Where)]
    if found and len(found) < len(parts):
        raise ConfigError(f"{override.input_line} has values outside where(...): write a where(...) for each choice")
    if len({part.choice for part in found}) < len(found):
        raise ConfigError(f"{override.input_line} has a choice twice: write all its values in one where(...)")
    if found and not group_of(override):
        raise ConfigError(
            f"{override.input_line}: where(...) is for a key of a group, as in shortcut.bias_init=where(gate,0,-3)"
        )
    return found


def check_list(override: Override) -> None:
    """Raise ConfigError for a list that Hydra's grammar has and that has no values: intervals in it, or a step of 0."""
    value = override.value()
    if isinstance(value, RangeSweep) and not value.step:
        raise ConfigError(f"{override.input_line} is invalid: its step must not be 0")
    if isinstance(value, ChoiceSweep) and any(isinstance(part, IntervalSweep) for part in value.list or ()):
        raise ConfigError(f"{override.input_line} has an interval in a list: give one interval, or values")


def keys(override: Override) -> list[str]:
    """The keys that a word gives values: its own, or those of a zip."""
    value = override.value()
    return [member.key_or_group for member in value.members] if isinstance(value, Zip) else [override.key_or_group]


def group_of(override: Override) -> str:
    """The group of the key shortcut.bias_init: shortcut. '' if it is in none."""
    group, dot, _ = override.key_or_group.partition(".")
    return group if dot and group in GROUPS else ""


def parse_zip(word: str, parse: Callable[[str], Override]) -> Override | None:
    """The override that NAME=zip(...) is, its members read by `parse`; None if `word` is another list.

    Raises ConfigError if its keys or lists do not make pairs.
    """
    name, _, value = word.partition("=")
    inside = re.fullmatch(r"zip\s*\((.*)\)\s*", value)
    if not inside:
        return None
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise ConfigError(f"{word}: {name!r} cannot name a zip: write {FORMS['zip']}")
    known = every_key()
    node = any(key.startswith(f"{name}.") for key in known)
    if not node and (name in known or name in GROUPS):
        raise ConfigError(f"{word}: {name} is a key, and here it names a zip: give another name, as in pairs=zip(...)")
    members = []
    for piece in _pieces(inside[1], word):
        found = re.fullmatch(r"([+]*)([A-Za-z_][\w./@-]*)\s*=\s*(.*)", piece)
        if not found:
            raise ConfigError(f"{word}: {piece or 'nothing'} is not KEY=LIST: write {FORMS['zip']}")
        plus, key, values = found.groups()
        # Keys of a part of the configuration, as in recipe=zip(batch=...), do not repeat its name.
        members.append(_member(parse(f"{plus}{f'{name}.' if node else ''}{key}={values}"), word))
    if len(members) < 2:
        raise ConfigError(f"{word} has one key: write {FORMS['zip']}")
    if len({len(_values(member)) for member in members}) > 1:
        counts = ", ".join(f"{len(_values(member))} of {member.key_or_group}" for member in members)
        raise ConfigError(f"{word} pairs lists of one length, and has {counts}")
    if not _values(members[0]):
        raise ConfigError(f"{word} pairs empty lists: no run would be trained")
    named = parse(f"{name}=zip")
    return dataclasses.replace(named, _value=Zip(members=members), value_type=ValueType.CHOICE_SWEEP, input_line=word)


def settings(override: Override) -> list[tuple[str, ...]]:
    """The words that NAME=zip(...) stands for, in each cell."""
    value = override.value()
    assert isinstance(value, Zip)
    keys = [member.get_key_element() for member in value.members]
    rows = zip(*map(_values, value.members), strict=True)
    return [tuple(f"{key}={one}" for key, one in zip(keys, row, strict=True)) for row in rows]


def _member(member: Override, word: str) -> Override:
    """A list in a zip, as a choice. Raises ConfigError if it is none, or in no order."""
    value = member.value()
    if isinstance(value, list):
        choices = ChoiceSweep(list=member._value)  # type: ignore[arg-type]
        return dataclasses.replace(member, _value=choices, value_type=ValueType.CHOICE_SWEEP)
    if not member.is_discrete_sweep() or isinstance(value, (Zip, Where)) or getattr(value, "shuffle", False):
        example = f"{member.key_or_group}=choice(A,B)"
        raise ConfigError(f"{word}: {member.input_line} is not a list in order: write {example}")
    return member


def _values(member: Override) -> list[str]:
    return list(member.sweep_string_iterator())


def _pieces(text: str, word: str) -> Iterator[str]:
    """The parts of `text` between commas that are in no brackets and no quotes."""
    begin, inside, quote = 0, 0, ""
    for found in re.finditer(r"\\.|.", text):  # an escaped character is none of these
        letter = found[0]
        if quote:
            quote = "" if letter == quote else quote
            continue
        if letter in ("'", '"'):
            quote = letter
        elif letter == "," and not inside:
            yield text[begin : found.start()].strip()
            begin = found.end()
        inside += (letter in "([{") - (letter in ")]}")
        if inside < 0:
            raise ConfigError(f"{word} cannot be read: write {FORMS['zip']}")
    yield text[begin:].strip()


def unreadable(key: str, value: str) -> str:
    """How a function is written, if `value` is one that is misspelt or has wrong arguments; or ''."""
    called = re.match(r"([a-z]+)\s*\(", value)
    if not called:
        return ""
    if called[1] in FORMS:
        return f"{key}={value} cannot be read: write {FORMS[called[1]].format(key=key)}"
    meant = near(called[1], FORMS)
    return f"{key}={value} cannot be read: there is no {called[1]}(...){meant}" if meant else ""
