"""The module that a `_target_` names."""

import importlib
import sys

import pytest

from ablate.base.source import find, load

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
