"""From what Hydra composed to the resolved configuration: typed, checked, and in one form.

The signature is taken from it, so two ways of asking for the same run resolve to the same values.
"""

import os
from pathlib import Path
from typing import Any

from omegaconf import Container, DictConfig, OmegaConf

from ablate.base import image_folder, source
from ablate.base.errors import ConfigError, one_line
from ablate.base.files import fingerprint
from ablate.config.check import check, check_types, fixed_depth, names_class
from ablate.config.compose import Composer, as_job, from_tree
from ablate.config.explain import explained
from ablate.config.files import Origin, declared, options
from ablate.config.schema import CUSTOM, Config, as_typed
from ablate.config.words import parse_run, sort

WEIGHTS = "weights.pt"
"""The file in a run's folder that init_from=FOLDER takes; `runs.layout` lists all of them."""


def from_overrides(*overrides: str) -> Config:
    """The run that `ablate OVERRIDES` trains. Raises ConfigError with one sentence."""
    words = sort(overrides)
    if words.grid or words.shown:
        raise ConfigError("a single run has no option but --config-dir FOLDER")
    parse_run(words.overrides)
    return resolve(Composer(words.folders).compose(words.overrides))


def resolve(composed: DictConfig) -> Config:
    """The resolved configuration of what Hydra composed. Raises ConfigError with one sentence."""
    origin = Origin.of(composed.hydra)
    with explained(origin), as_job(composed):
        config = from_tree({str(key): _plain(composed[key]) for key in composed if key != "hydra"})
        files = {group: _plain(OmegaConf.create(origin.declared(group), parent=composed)) for group in CUSTOM}
    if config.iterations is not None and config.epochs is not None:
        raise ConfigError("iterations and epochs are both given: give one of them")
    if config.iterations is not None or config.epochs is not None:
        config.recipe.iterations, config.recipe.epochs = config.iterations, config.epochs
        config.iterations = config.epochs = None
    if config.name is not None:
        config.experiment, config.name = config.name, None
    if config.data.fingerprint is not None:
        raise ConfigError(f"data.fingerprint={config.data.fingerprint} is computed from the images: leave it out")
    if config.init_fingerprint is not None:
        raise ConfigError(f"init_fingerprint={config.init_fingerprint} is computed from init_from: leave it out")
    for group in CUSTOM:
        node, file = getattr(config, group), files[group]
        if "source" in node:
            raise ConfigError(f"{group}.source={node['source']} is computed from the code: leave it out")
        if file.get("_target_") == node.get("_target_"):
            check_types(group, node, file)
        kept = {key for key in file if f"{group}.{key}" in origin.overridden}
        _name_class(group, node, {key: value for key, value in file.items() if key not in kept or key == "_target_"})
    _check_stages(config.net, files["net"])
    fixed = fixed_depth(config.net, config.unit)
    if fixed is not None and "depth" not in origin.overridden:
        config.depth = fixed
    return settle(config)


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if isinstance(value, Container) else value


def settle(config: Config) -> Config:
    """Check `config`, expand ~ in paths, leave out a `data.size` that CIFAR has anyway, and set the hashes of custom
    code, an image folder and initial weights.

    Returns `config`.
    """
    config.results = os.path.expanduser(config.results)
    config.data.root = config.data.root and os.path.expanduser(config.data.root)
    for group in CUSTOM:
        _hash_custom(group, getattr(config, group))
    check(config)
    if config.data.name in ("cifar10", "cifar100") and config.data.size == 32:
        config.data.size = None  # the images as they are: not another run
    if config.data.name == "imagenet" and config.data.size is None:
        config.data.size = 224  # what null means: not another run
    if config.data.name == "folder":
        config.data.fingerprint = image_folder.fingerprint(Path(config.data.root or ""))
    elif config.data.name == "imagenet":
        config.data.fingerprint = image_folder.names_fingerprint(Path(config.data.root or ""))
    if config.init_from is not None:
        _hash_initial(config)
    return config


def _hash_initial(config: Config) -> None:
    given = os.path.expanduser(config.init_from or "")
    path = Path(given) / WEIGHTS if os.path.isdir(given) else Path(given)
    try:
        config.init_from, config.init_fingerprint = str(path), fingerprint(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(
            f"init_from={given} cannot be read ({path.name}: {reason}): name a file of weights, or the folder of a "
            "finished run"
        ) from error


def shipped(group: str) -> dict[str, list[str]]:
    """The names of each class that ships in a group, by `_target_`."""
    found: dict[str, list[str]] = {}
    for file in (declared(group, name) for name in options(group)):
        found.setdefault(file["_target_"], []).append(file["name"])
    return found


def _name_class(group: str, node: dict[str, Any], file: dict[str, Any]) -> None:
    """Give a class its own name and parameters: `shortcut._target_=mine.H` is not an 'identity' with an option.

    Raises ConfigError for a name that stands for another class.
    """
    target = node.get("_target_")
    if not names_class(target):
        return  # `check` reports it
    if file.get("_target_", target) != target:  # an override; the rest of the file is another class's
        for key, value in file.items():
            if key != "_target_" and node.get(key) == value:
                del node[key]
    known = shipped(group)
    taken = {*options(group), *(name for names in known.values() for name in names)} - {*known.get(target, [])}
    if node.get("name") is None:
        node["name"] = known.get(target, [target.rpartition(".")[2]])[0]
    if node["name"] in taken:
        raise ConfigError(f"{group}.name={node['name']} is the name of another {group}, not of {target}: use another")


def _check_stages(net: dict[str, Any], file: dict[str, Any]) -> None:
    """Raise ConfigError for stages under the name of a network that has others: the chosen file's, or a shipped one."""
    name, stages = net.get("name"), net.get("stages")
    known = [declared("net", one) for one in options("net")]
    wanted = [one.get("stages") for one in (file, *known) if one.get("name") == name]
    if any(stages != one for one in wanted):
        typed = as_typed(stages).replace(" ", "")
        raise ConfigError(f"net.stages={typed} is not {name}: add a name of your own, as in net.name=mine")


def _hash_custom(group: str, node: dict[str, Any]) -> None:
    """Add the hash of a custom class and of what it uses, so that an edited class is another run."""
    target = node.get("_target_")
    if not names_class(target) or target in shipped(group):
        return
    try:
        if code := source.identify(target):
            node["source"] = code
    except (Exception, SystemExit) as error:  # finding it imports its package's __init__, which may raise anything
        reason = str(error) if isinstance(error, ModuleNotFoundError) else one_line(error)
        raise ConfigError(f"{group}._target_={target} cannot be imported: {reason}") from error
