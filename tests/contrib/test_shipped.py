"""What ships in ablate/contrib: its files and their defaults, its code in a run's identity, its documentation."""

import importlib
import inspect
from pathlib import Path

import pytest

from ablate.base.code import _closure
from ablate.base.source import find, load
from ablate.commands.check import fitting, shipped
from ablate.config.files import conf_folder, declared, options
from ablate.config.schema import LABELS, NET_LABELS
from ablate.models.build import build
from ablate.models.network import Network
from ablate.runs import code
from tests.contrib.words import words

SHIPPED = [
    (group, name, declared(group, name)["_target_"])
    for group in ("shortcut", "unit", "net")
    for name in options(group)
    if declared(group, name)["_target_"].startswith("ablate.contrib.")
]
every = pytest.mark.parametrize(("group", "name", "target"), SHIPPED, ids=[f"{one[0]}={one[1]}" for one in SHIPPED])


@every
def test_file_has_the_defaults_of_the_constructor(group, name, target):
    labels = {*LABELS, *NET_LABELS, "option"}
    found = {key: value for key, value in declared(group, name).items() if key not in labels}
    given = inspect.signature(load(target)).parameters.values()
    wanted = {one.name: one.default for one in given if one.kind is one.KEYWORD_ONLY and one.default is not one.empty}
    wanted.pop("option", None)
    assert wanted.items() <= found.items()


@every
def test_code_of_a_run_covers_every_class_in_the_network(group, name, target, resolve):
    config = resolve(*words(group, name))
    hashed = {code.PACKAGE / name for name in code.SHARED}
    for node in (config.shortcut, config.unit, config.net):
        module, names = find(node["_target_"])
        hashed |= {file for file, _ in _closure(Path(module.origin), names[0])}
    used = {type(one) for one in build(config, shape=(1, 8, 8), classes=10).modules()}
    assert {Path(inspect.getfile(one)) for one in used if one.__module__.startswith("ablate.")} <= hashed
    assert load(target) in used or group == "net"


def test_every_class_of_a_module_is_reached_by_a_file():
    targets = {target for _, _, target in SHIPPED}
    bases = {
        f"{base.__module__}.{base.__qualname__}"
        for target in targets
        for base in getattr(load(target), "__bases__", ())
    }
    for module in {target.rpartition(".")[0] for target in targets}:
        public = {
            f"{module}.{name}"
            for name, one in vars(importlib.import_module(module)).items()
            if inspect.isclass(one) and one.__module__ == module and _of_use(one)
        }
        assert public <= targets | bases, module


def _of_use(kind):
    """Whether a class is built by a configuration: a shortcut or a unit takes the three sizes of its shape."""
    names = [*inspect.signature(kind).parameters][:3]
    return names == ["in_channels", "out_channels", "stride"] and not issubclass(kind, Network)


def test_every_name_is_in_the_table_of_variants():
    page = (conf_folder().parent / "docs" / "variants.md").read_text()
    missing = [f"{group}={name}" for group, name, _ in SHIPPED if f"`{group}={name}`" not in page]
    assert not missing


@pytest.mark.parametrize("word", shipped())
def test_check_of_all_checks_what_is_named(word):
    group, _, name = word.partition("=")
    assert getattr(fitting(word), group)["_target_"] == declared(group, name)["_target_"]
