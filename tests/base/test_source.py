"""The module that a `_target_` names."""

import importlib
import importlib.metadata
import sys

import pytest

from ablate.base import source
from ablate.base.code import hash_definition
from ablate.base.source import find, identify, load

FILES = {
    "plain_own.py": "import os\n\nclass H:\n    class Inner:\n        pass\n",
    "pack_own/__init__.py": "class Top: pass\n",
    "pack_own/parts/gates.py": "class G: pass\n",
    "loose_own/inside.py": "class H: pass\n",
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0].endswith("_own")]:
        del sys.modules[name]


def test_finding_a_class_does_not_import_its_module(folder):
    module, names = find("plain_own.H.Inner")
    assert (module.origin, names) == (str(folder / "plain_own.py"), ["H", "Inner"])
    assert "plain_own" not in sys.modules


def test_classes_in_modules_packages_and_classes_are_found():
    for target in ("plain_own.H", "plain_own.H.Inner", "pack_own.Top", "pack_own.parts.gates.G", "loose_own.inside.H"):
        assert load(target).__name__ == target.rpartition(".")[2]


@pytest.mark.parametrize("target", ["gone_own.H", "loose_own.gone.H", "plain_own.Gone", "plain_own.H.Gone"])
def test_missing_module_or_class_is_named(target):
    with pytest.raises((ImportError, AttributeError), match=r"[gG]one"):
        load(target)


def test_class_of_ones_own_is_identified_by_the_hash_of_its_source(folder):
    assert identify("plain_own.H") == hash_definition(folder / "plain_own.py", "H")
    assert identify("builtins.dict") is None


def test_installed_class_is_identified_by_its_package_without_reading_it(folder, monkeypatch):
    monkeypatch.setattr(source, "hash_definition", None)  # all of torch takes seconds
    name, version, digest = identify("torch.nn.Identity").split()
    assert (name, version, len(digest)) == ("torch", importlib.metadata.version("torch"), 16)


def test_installed_package_of_the_same_version_and_other_files_is_other_code(folder, monkeypatch):
    monkeypatch.setattr(source.sysconfig, "get_path", lambda _: str(folder))
    record = folder / "pack_own-1.0.dist-info" / "RECORD"
    record.parent.mkdir()
    (record.parent / "METADATA").write_text("Metadata-Version: 2.1\nName: pack-own\nVersion: 1.0\n")
    found = []
    for digest in ("one", "one", "two"):
        record.write_text(f"pack_own/__init__.py,sha256={digest},10\npack_own/x.pyc,,\n")
        found.append(identify("pack_own.Top"))
    assert found[0] == found[1] != found[2]
    assert found[0].startswith("pack-own 1.0 ")
