"""The files that configurations are composed from: where they are, and what they declare."""

import functools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from ablate.base.errors import ConfigError

GROUPS = ("shortcut", "unit", "net", "data", "recipe", "tracker", "experiment", "hydra/launcher", "cluster")


def conf_folder() -> Path:
    """conf/ beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def sites_folder() -> Path:
    """slurm/, which has the group `cluster`: beside conf/ in a checkout, inside the package in a wheel."""
    return conf_folder().parent / "slurm"


def options(group: str, folders: Iterable[Path] = ()) -> list[str]:
    """The names in a configuration group, in conf/, slurm/ and further `folders`."""
    places = (conf_folder(), sites_folder(), *folders)
    return sorted({path.stem for folder in places for path in (folder / group).glob("*.yaml")})


def check_folders(folders: Sequence[Path]) -> None:
    """Raise ConfigError for a `--config-dir` that is no folder of configurations, or has a file that is not read.

    Of two files with one name Hydra reads the first and ignores the other.
    """
    known = [conf_folder(), sites_folder()]
    for folder in folders:
        if not any((folder / group).is_dir() for group in GROUPS):
            raise ConfigError(f"--config-dir {folder} must be a folder with one of {', '.join(GROUPS)} in it")
        for file in _files(folder):
            name = file.relative_to(folder)
            for other in (path / name for path in known):
                if other.exists() and not other.samefile(file):
                    raise ConfigError(f"{file} is hidden by {shown(other)}: give it another name")
            try:
                text = file.read_bytes().decode()
            except UnicodeDecodeError:
                text = "\ufeff"
            if text.startswith("\ufeff"):  # it would hide the comment `# @package`
                raise ConfigError(f"{file} is not UTF-8 without a byte order mark: save it as such")
        known.append(folder)


def _files(folder: Path) -> Iterator[Path]:
    if (folder / "config.yaml").is_file():
        yield folder / "config.yaml"
    for group in GROUPS:
        yield from sorted((folder / group).rglob("*.yaml"))


def shown(file: Path) -> str:
    """A path as a person would type it: relative if it is below the working directory."""
    file = Path(os.path.abspath(file))
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)


def place(config: str, key: str, folders: Iterable[Path]) -> str:
    """The file of CONFIG, as in recipe/mine, and its line that sets a dotted key: 'my/recipe/mine.yaml, line 3'."""
    file = next((path for folder in folders if (path := folder / f"{config}.yaml").is_file()), None)
    if file is None:
        return config
    parts = key.split(".")
    for first in range(len(parts)):  # a file in a package does not repeat its name
        if line := _line(yaml.compose(file.read_text()), parts[first:]):
            return f"{shown(file)}, line {line}"
    return shown(file)


def _line(node: yaml.Node | None, parts: Sequence[str]) -> int:
    """The 1-based line of a key below a YAML node; 0 if it is not there."""
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.value == parts[0]:
            return _line(value, parts[1:]) if parts[1:] else int(key.start_mark.line) + 1
    return 0


@dataclass(frozen=True)
class Origin:
    """The files that a configuration was composed from: each group's choice, and the folders in order of search."""

    choices: Mapping[str, str] = field(default_factory=dict)
    folders: Sequence[Path] = ()
    overridden: frozenset[str] = frozenset()  # dotted keys that the user gave

    @classmethod
    def of(cls, hydra: DictConfig) -> "Origin":
        """From the `hydra` node of a composed configuration."""
        sources = [source.path for source in hydra.runtime.config_sources if source.schema == "file"]
        choices = {str(group): str(choice) for group, choice in hydra.runtime.choices.items()}
        words: Any = OmegaConf.to_container(hydra.overrides.task)  # iteration would resolve ${...} in them
        given = frozenset(word.lstrip("+~").partition("=")[0] for word in words)
        return cls(choices, [Path(path) for path in sources], given)

    def declared(self, group: str) -> dict[str, Any]:
        """The content of the chosen file of a group and of the files it builds on, without overrides."""
        return declared(group, self.choices.get(group, ""), tuple(self.folders or [conf_folder()]))


@functools.cache
def declared(group: str, name: str, folders: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The content of GROUP/NAME.yaml merged over the files of its `defaults` in the same group; {} if there is none.

    It is looked for in `folders`, or in conf/.
    """
    places = folders or (conf_folder(),)
    file = next((path for folder in places if (path := folder / group / f"{name}.yaml").is_file()), None)
    if file is None:
        return {}
    # Not PyYAML, which reads 1e-4 as a string.
    content: dict[str, Any] = dict(OmegaConf.to_container(OmegaConf.load(file), resolve=False))  # type: ignore[arg-type]
    found: dict[str, Any] = {}
    for base in content.pop("defaults", []):
        if isinstance(base, str) and base != "_self_":  # as NAME, or as /GROUP/NAME@PACKAGE
            found |= declared(group, base.partition("@")[0].removeprefix(f"/{group}/"), folders)
    if file.read_text().startswith("# @package _global_"):
        content = content.get(group, {})
    return found | content
