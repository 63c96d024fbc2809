"""Folders of configuration files of a user's own, and what files declare."""

from pathlib import Path

import pytest

from ablate.base.errors import ConfigError
from ablate.config.files import Origin, conf_folder, place, sites_folder
from ablate.config.resolve import from_overrides

DECLARED = """
defaults: [gate, _self_]
_target_: own.H
bias_init: 1e-3
option: ${depth}
width: ???
"""


def write(folder: Path, name: str, content: str | bytes) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


def test_declared_values_are_those_of_the_chosen_file_and_its_defaults(tmp_path):
    write(tmp_path, "shortcut/mine.yaml", DECLARED)
    origin = Origin({"shortcut": "mine"}, [conf_folder(), tmp_path])
    declared = origin.declared("shortcut")
    assert {key: declared[key] for key in ("name", "_target_", "bias_init", "option", "width")} == {
        **{"name": "gate", "_target_": "own.H", "bias_init": 0.001},
        **{"option": "${depth}", "width": "???"},
    }
    assert Origin({"shortcut": "gone"}, [conf_folder()]).declared("shortcut") == {}


def test_line_of_a_key_is_found_with_and_without_its_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "my/recipe/mine.yaml", "# of mine\nname: mine\nbatch: 3\n")
    folders = [conf_folder(), tmp_path / "my"]
    assert place("recipe/mine", "recipe.batch", folders) == "my/recipe/mine.yaml, line 3"
    assert place("recipe/mine", "recipe.gone", folders) == "my/recipe/mine.yaml"
    assert place("recipe/gone", "recipe.batch", folders) == "recipe/gone"


def test_files_of_two_folders_are_used_together(tmp_path):
    write(tmp_path, "one/recipe/short.yaml", "defaults: [digits, _self_]\nname: short\nbatch: 3\n")
    write(tmp_path, "two/shortcut/far.yaml", "defaults: [gate, _self_]\nbias_init: -9\n")
    folders = (f"--config-dir={tmp_path / 'one'}", f"--config-dir={tmp_path / 'two'}")
    config = from_overrides("recipe=short", "shortcut=far", *folders)
    assert (config.recipe.batch, config.shortcut["bias_init"]) == (3, -9)


@pytest.mark.parametrize("name", ["shortcut/gate.yaml", "hydra/launcher/slurm.yaml", "cluster/gpu.yaml", "config.yaml"])
def test_file_that_a_shipped_one_hides_is_refused(name, tmp_path):
    write(tmp_path, "my/recipe/mine.yaml", "name: mine\n")
    write(tmp_path, f"my/{name}", "bias_init: 3\n")
    shipped = (sites_folder() if "cluster" in name else conf_folder()) / name
    with pytest.raises(ConfigError) as caught:
        from_overrides("--config-dir", str(tmp_path / "my"))
    assert str(caught.value).startswith(str(tmp_path / "my" / name))
    assert str(caught.value).endswith(f"{shipped.relative_to(conf_folder().parent)}: give it another name")


def test_file_that_another_folder_hides_is_refused(tmp_path):
    for folder in ("one", "two"):
        write(tmp_path, f"{folder}/recipe/mine.yaml", "name: mine\n")
    with pytest.raises(ConfigError, match=r"two/recipe/mine.yaml is hidden by .*one/recipe/mine.yaml: give it"):
        from_overrides("--config-dir", str(tmp_path / "one"), "--config-dir", str(tmp_path / "two"))


def test_folder_of_the_shipped_files_hides_nothing():
    assert from_overrides("--config-dir", str(conf_folder()), "shortcut=gate").shortcut["name"] == "gate"


@pytest.mark.parametrize(
    "content", ["name: j\xfcrgen\n".encode("latin-1"), b"\xef\xbb\xbf# @package _global_\ndepth: 8\n"]
)
def test_file_of_another_encoding_is_named(content, tmp_path):
    write(tmp_path, "my/experiment/mine.yaml", content)
    with pytest.raises(ConfigError, match=r"my/experiment/mine.yaml is not UTF-8 without a byte order mark: save it"):
        from_overrides("--config-dir", str(tmp_path / "my"))


@pytest.mark.parametrize("folder", ["gone", "my/recipe"])
def test_folder_without_groups_is_refused(folder, tmp_path):
    write(tmp_path, "my/recipe/mine.yaml", "name: mine\n")
    with pytest.raises(ConfigError, match=rf"--config-dir .*{folder} must be a folder with one of shortcut, unit"):
        from_overrides("--config-dir", str(tmp_path / folder))
