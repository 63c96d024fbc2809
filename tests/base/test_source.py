"""The module that a `_target_` names, and the files that its hash is of."""

import hashlib
import importlib
import sys
from pathlib import Path

import pytest

import ablate.models.units
from ablate.base.source import digest, find, load

FILES = {
    "plain_own.py": "import os\n\nclass H:\n    class Inner:\n        pass\n",
    "user_own.py": "def late():\n    import helper_own.deep\n",
    "other_own.py": "from helper_own import x\n",
    "dotted_own.py": "from . import helper_own\n",
    "helper_own.py": "from deeper_own import *\n",
    "deeper_own.py": "x = 1\n",
    "beside_own.py": "x = 1\n",
    "torn_own.py": "class H(\n",
    "pack_own/__init__.py": "class Top: pass\n",
    "pack_own/shortcuts.py": "class H: pass\n",
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


def digest_of(target):
    return digest(find(target)[0])


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def test_single_module_has_the_hash_of_its_file_and_is_not_imported(folder):
    for name in ("plain_own", "torn_own"):
        assert digest_of(f"{name}.H") == sha(folder / f"{name}.py")
        assert name not in sys.modules


def test_module_of_this_package_has_the_hash_of_its_file():
    assert digest_of("ablate.models.units.Other") == sha(Path(ablate.models.units.__file__))


@pytest.mark.parametrize(
    ("target", "files"),
    [
        ("user_own.H", {"user_own.py", "helper_own.py", "deeper_own.py"}),
        ("other_own.H", {"other_own.py", "helper_own.py", "deeper_own.py"}),
        ("dotted_own.H", {"dotted_own.py", "helper_own.py", "deeper_own.py"}),
        ("pack_own.shortcuts.H", {"pack_own/__init__.py", "pack_own/shortcuts.py", "pack_own/parts/gates.py"}),
        ("pack_own.Top", {"pack_own/__init__.py", "pack_own/shortcuts.py", "pack_own/parts/gates.py"}),
        ("loose_own.inside.H", {"loose_own/inside.py"}),
    ],
)
def test_hash_changes_with_each_file_that_a_class_may_use_and_with_no_other(folder, target, files):
    first, changed = digest_of(target), set()
    for name, text in FILES.items():
        (folder / name).write_text(text + "\n# edited\n")
        if digest_of(target) != first:
            changed.add(name)
        (folder / name).write_text(text)
    assert changed == files
    assert digest_of(target) == first


def test_hash_of_a_package_changes_with_a_file_name(folder):
    first = digest_of("pack_own.Top")
    (folder / "pack_own" / "parts" / "gates.py").rename(folder / "pack_own" / "gates.py")
    assert digest_of("pack_own.Top") != first


def test_classes_in_modules_packages_and_classes_are_found():
    for target in ("plain_own.H", "plain_own.H.Inner", "pack_own.Top", "pack_own.parts.gates.G", "loose_own.inside.H"):
        assert load(target).__name__ == target.rpartition(".")[2]


@pytest.mark.parametrize("target", ["gone_own.H", "loose_own.gone.H", "plain_own.Gone", "plain_own.H.Gone"])
def test_missing_module_or_class_is_named(target):
    with pytest.raises((ImportError, AttributeError), match=r"[gG]one"):
        load(target)
