"""From what Hydra composed to the resolved configuration: typed, checked, and in one form.

The signature is taken from it, so two ways of asking for the same run resolve to the same values.
"""

from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from ablate.base import image_folder
from ablate.base.code import hash_definition
from ablate.base.errors import ConfigError, one_line
from ablate.base.source import find
from ablate.config.check import check, check_types, names_class
from ablate.config.compose import Origin, conf_folder, declared, options, register
from ablate.config.schema import Config

CUSTOM = ("shortcut", "unit")
"""Groups whose `_target_` may be a class outside this package."""


def from_overrides(*overrides: str) -> Config:
    """The run that `ablate OVERRIDES` trains. Raises ConfigError with one sentence."""
    from ablate.config.explain import check_words, explain

    register()
    try:
        check_words(overrides)
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            composed = compose("config", overrides=list(overrides), return_hydra_config=True)
        with open_dict(composed):
            hydra = composed.pop("hydra")
        return resolve(composed, Origin.of(hydra))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error)) from error


def resolve(composed: DictConfig, origin: Origin) -> Config:
    """The resolved configuration of what Hydra composed. Raises ConfigError with one sentence."""
    config = OmegaConf.to_object(composed)
    assert isinstance(config, Config)
    if config.iterations is not None and config.epochs is not None:
        raise ConfigError("iterations and epochs are both given: give one of them")
    if config.iterations is not None or config.epochs is not None:
        config.recipe.iterations, config.recipe.epochs = config.iterations, config.epochs
        config.iterations = config.epochs = None
    for group in CUSTOM:
        node, file = getattr(config, group), origin.declared(group)
        if file.get("_target_") == node.get("_target_"):
            check_types(group, node, file)
        kept = {key for key in file if f"{group}.{key}" in origin.overridden}
        _name_class(group, node, {key: value for key, value in file.items() if key not in kept or key == "_target_"})
    return settle(config)


def settle(config: Config) -> Config:
    """Check `config` and set its hashes of custom code and of an image folder. Returns `config` itself."""
    for group in CUSTOM:
        _hash_custom(group, getattr(config, group))
    check(config)
    if config.data.name == "folder":
        config.data.fingerprint = image_folder.fingerprint(Path(config.data.root or ""))
    return config


def shipped(group: str) -> dict[str, str]:
    """The name of each class that ships in a group, by `_target_`."""
    files = {name: declared(group, name, (conf_folder(),)) for name in options(group)}
    return {file["_target_"]: file["name"] for file in files.values()}


def _name_class(group: str, node: dict[str, Any], file: dict[str, Any]) -> None:
    """Give a class its own name and parameters: `shortcut._target_=mine.H` is not an 'identity' with an option."""
    target = node.get("_target_")
    if not names_class(target):
        return  # `check` reports it
    if file.get("_target_", target) != target:  # an override; the rest of the file is another class's
        for key, value in file.items():
            if key != "_target_" and node.get(key) == value:
                del node[key]
    if node.get("name") is None:
        node["name"] = shipped(group).get(target, target.rpartition(".")[2])


def _hash_custom(group: str, node: dict[str, Any]) -> None:
    """Add the hash of a custom class and of what it uses, so that an edited class is another run."""
    target = node.get("_target_")
    if not names_class(target) or target in shipped(group):
        return
    try:
        module, names = find(target)
        if module.origin and module.origin.endswith(".py"):
            node["source"] = hash_definition(Path(module.origin), names[0])
    except (Exception, SystemExit) as error:  # finding it imports its package's __init__, which may raise anything
        reason = str(error) if isinstance(error, ModuleNotFoundError) else one_line(error)
        raise ConfigError(f"{group}._target_={target} cannot be imported: {reason}") from error
