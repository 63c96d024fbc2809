"""The code that computes a run's numbers, as hashes: two runs of other code are not the same run, nor compared.

A hash ignores comments, docstrings and formatting. The code is not part of a run's signature: a folder stays where it
is when code changes, and the next request for it says so.
"""

import functools
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ablate.base.code import files_of, hash_definition, hash_file
from ablate.base.errors import AblateError
from ablate.base.files import write_whole
from ablate.base.source import find, identify, load
from ablate.runs import layout

PACKAGE = Path(__file__).resolve().parents[1]
SHARED = (
    "base/seeds.py",
    *(f"data/{name}.py" for name in ("augment", "batches", "dataset", "load")),
    *(f"models/{name}.py" for name in ("build", "connection", "generators", "network", "resnet")),
    *(
        f"training/{name}.py"
        for name in ("device", "evaluate", "loop", "recompute", "schedule", "setup", "sgd", "step")
    ),
)
"""Files that every run's numbers depend on. Not training/graph.py: a graph is checked against eager steps."""
SOME = {
    "init_fingerprint": ("models/weights.py", "training/initial.py"),
    "sync_batch_norm": ("training/synchronise.py",),
    "stop_at_chance": ("training/chance.py",),
}
"""Files that the numbers of runs with such a key depend on."""
LOADERS = {
    **{"digits": ["digits"], "cifar10": ["cifar"], "cifar100": ["cifar"]},
    **{"folder": ["folder"], "imagenet": ["streamed", "views", "folder"]},
}
OWN = ("shortcut", "unit", "net")
"""The parts in which the rows of a study differ on purpose."""


def code(tree: Mapping[str, Any]) -> dict[str, str]:
    """The hash of each source that decides a run's numbers, by file in the package; of its `shortcut` and `unit`, and
    of a network outside models/resnet.py, the hash of the class and what it uses.

    `tree` is a resolved configuration as plain values. Raises OSError or SyntaxError if a source cannot be read.
    """
    own = {group: _class(tree[group]) for group in _parts(tree)}
    loaders = LOADERS.get(tree["data"]["name"], [])  # a record may be of a dataset that this version has not
    some = [name for key, names in SOME.items() if tree.get(key) for name in names]
    more = [*(f"data/{loader}.py" for loader in loaders), *some]
    return {name: _file(name) for name in (*SHARED, *more)} | own


def _parts(tree: Mapping[str, Any]) -> list[str]:
    """The groups that name code besides SHARED, which has the networks of models/resnet.py."""
    groups = [group for group in OWN if group in tree]  # early records name no network
    return [group for group in groups if not tree[group]["_target_"].startswith("ablate.models.resnet.")]


def differences(one: Mapping[str, str], other: Mapping[str, str], *, own: bool = False) -> list[str]:
    """The names of what differs between two runs' code; `own` includes OWN.

    What reads initial weights is code of a run that has some; it does not differ from a run that has none. Likewise
    what synchronises batch normalisation, and what stops runs.
    """
    some = {name for names in SOME.values() for name in names if name not in one or name not in other}
    names = (*SHARED, *sorted({*one, *other} - {*SHARED, *some}))
    return [name for name in names if (own or name not in OWN) and one.get(name) != other.get(name)]


def changes(tree: Mapping[str, Any], recorded: Mapping[str, str]) -> list[str]:
    """The names of the sources that have changed since a run of this configuration, whose `code` was recorded."""
    return differences(recorded, code(tree), own=True)


def check_imported(tree: Mapping[str, Any]) -> None:
    """Raise AblateError if a custom class was imported from a source other than the one in the configuration.

    A process imports a class once, and a grid's configurations are resolved before their processes import it.
    """
    for group in _parts(tree):
        target, source = tree[group]["_target_"], tree[group].get("source")
        if source and _imported(target, load(target)) != source:
            raise AblateError(f"the source of {group} {target} changed after it was read: run the command again")


def custom_files(tree: Mapping[str, Any]) -> dict[str, Path]:
    """The modules of custom code and of what it uses, and the __init__ of the packages they are in, by their path from
    the folder on sys.path. Not those of installed packages.
    """
    found: dict[str, Path] = {}
    for group in _parts(tree):
        if "source" not in tree[group] or " " in tree[group]["source"]:  # an installed package, by name and version
            continue
        module, _ = find(tree[group]["_target_"])
        path = Path(module.origin or "")
        root = path.parents[module.name.count(".") + (path.name == "__init__.py")]
        for file in (file for file in files_of(path) if file.is_relative_to(root)):
            packages = (folder / "__init__.py" for folder in file.parents if folder.is_relative_to(root))
            for one in (file, *(package for package in packages if package.is_file() and package.parent != root)):
                found[one.relative_to(root).as_posix()] = one
    return found


def copy_source(tree: Mapping[str, Any], folder: Path) -> None:
    """Copy the modules of custom code into a run's folder, from which `use_copy` imports them. Raises OSError."""
    for name, file in custom_files(tree).items():
        copy = folder / layout.SOURCE / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_whole(copy, file.read_bytes())


def use_copy(folder: Path) -> None:
    """Import custom code from the copy in a run's folder, if there is one and it is not imported yet."""
    if (folder / layout.SOURCE).is_dir():
        sys.path.insert(0, str((folder / layout.SOURCE).resolve()))
        importlib.invalidate_caches()


_hashes: dict[str, tuple[Any, str]] = {}


def _imported(target: str, loaded: Any) -> str:
    """The hash of a custom class's source when this process first used it; a reloaded class counts as another."""
    if target not in _hashes or _hashes[target][0] is not loaded:
        _hashes[target] = loaded, identify(target) or ""
    return _hashes[target][1]


def _class(node: Mapping[str, Any]) -> str:
    if "source" in node:  # custom code builds on these two, as on match_shape
        return " ".join([node["source"], _file("models/shortcuts.py"), _file("models/units.py")])
    return _definition(node["_target_"])


@functools.cache
def _file(name: str) -> str:
    return hash_file(PACKAGE / name)


@functools.cache
def _definition(target: str) -> str:
    module, names = find(target)
    return hash_definition(Path(module.origin or ""), names[0])
