"""A composed configuration in its one resolved form, from which the signature is taken.

Two ways of asking for the same run resolve to the same values.
"""

from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from ablate.base import image_folder
from ablate.base.errors import ConfigError, one_line
from ablate.base.source import digest, find
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
    """The request as typed, checked values in one form. Raises ConfigError with one sentence."""
    config = OmegaConf.to_object(composed)
    assert isinstance(config, Config)
    if config.iterations is not None and config.epochs is not None:
        raise ConfigError("iterations and epochs are both given: give one of them")
    if config.iterations is not None or config.epochs is not None:
        config.recipe.iterations, config.recipe.epochs = config.iterations, config.epochs
        config.iterations = config.epochs = None
    for group in CUSTOM:
        node, file = getattr(config, group), origin.declared(group)
        _name_class(group, node, file)
        check_types(group, node, file)
    return settle(config)


def settle(config: Config) -> Config:
    """`config` itself, checked, with the hashes of custom code and of an image folder as they are now."""
    for group in CUSTOM:
        _hash_custom(group, getattr(config, group))
    check(config)
    if config.data.name == "folder":
        config.data.fingerprint = image_folder.fingerprint(Path(config.data.root or ""))
    return config


def shipped(group: str) -> dict[str, str]:
    """Names by the class that ships under them."""
    files = {name: declared(group, name, (conf_folder(),)) for name in options(group)}
    return {file["_target_"]: file["name"] for file in files.values()}


def _name_class(group: str, node: dict[str, Any], file: dict[str, Any]) -> None:
    """A class is never tabled under another class's name: `shortcut._target_=mine.H` is not 'identity'."""
    target = node.get("_target_")
    if not names_class(target):
        return  # `check` reports it
    if node.get("name") is None or file.get("_target_", target) != target:
        # The override was laid over the chosen file, whose other values are not the class's own.
        for key, value in file.items():
            if key != "_target_" and node.get(key) == value:
                del node[key]
        node.setdefault("name", shipped(group).get(target, target.rpartition(".")[2]))


def _hash_custom(group: str, node: dict[str, Any]) -> None:
    """A class from outside this package carries the hash of its source, so that an edited one is another run."""
    target = node.get("_target_")
    if not names_class(target) or target in shipped(group):
        return
    try:
        source = digest(find(target)[0])
    except (Exception, SystemExit) as error:  # importing a package runs its __init__, which may raise anything
        reason = str(error) if isinstance(error, ModuleNotFoundError) else one_line(error)
        raise ConfigError(f"{group}._target_={target} cannot be imported: {reason}") from error
    if source:
        node["source"] = source
