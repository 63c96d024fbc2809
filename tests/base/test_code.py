"""Hashes of source code: what changes them, and what does not."""

import sys
from pathlib import Path

import pytest

import ablate.models.shortcuts
from ablate.base.code import hash_definition, hash_file

SHORTCUTS = Path(ablate.models.shortcuts.__file__)
FILES = {
    "user.py": "import helper\nfrom gates import gate\nRATE = 1\n\nclass H:\n    x = RATE\n    def f(self):\n"
    "        return helper.g(), gate()\n\nclass Other:\n    y = 2\n",
    "helper.py": "import deeper\n\ndef g():\n    return deeper.x\n",
    "deeper.py": "x = 1\n",
    "gates.py": "def gate():\n    return 1\n",
    "beside.py": "x = 1\n",
    "late.py": "class H:\n    def f(self):\n        from helper import g\n        return g()\n",
    "star.py": "from deeper import *\n\nclass H:\n    y = x\n",
    "dynamic.py": "globals()['H'] = type('H', (), {})\nz = 1\n",
    "pack/__init__.py": "",
    "pack/own.py": "from .parts.gates import G\nfrom pack.parts import other\n\nclass H(G):\n    z = other.w\n",
    "pack/parts/__init__.py": "",
    "pack/parts/gates.py": "class G: pass\n",
    "pack/parts/other.py": "w = 1\n",
    "pack/parts/unused.py": "v = 1\n",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "files"),
    [
        ("user.py", {"user.py", "helper.py", "deeper.py", "gates.py"}),
        ("late.py", {"late.py", "helper.py", "deeper.py"}),
        ("star.py", {"star.py", "deeper.py"}),
        ("dynamic.py", {"dynamic.py"}),
        ("pack/own.py", {"pack/own.py", "pack/parts/__init__.py", "pack/parts/gates.py", "pack/parts/other.py"}),
    ],
)
def test_hash_changes_with_each_file_that_a_class_uses_and_with_no_other(folder, module, files):
    first, changed = hash_definition(folder / module, "H"), set()
    for name, text in FILES.items():
        (folder / name).write_text(
            text.replace("1", "3").replace("pass", "q = 3").replace("self", "this") + "\nmore()\n"
        )
        if hash_definition(folder / module, "H") != first:
            changed.add(name)
        (folder / name).write_text(text)
    assert changed == files
    assert hash_definition(folder / module, "H") == first
    assert not {"user", "helper", "dynamic"} & sys.modules.keys()  # nothing was imported


def test_comments_docstrings_and_formatting_do_not_count(folder):
    first = hash_definition(folder / "user.py", "H"), hash_file(folder / "user.py")
    text = (
        FILES["user.py"]
        .replace("class H:", 'class H:\n    """What it is."""\n    # why\n')
        .replace("x = RATE", "x = (\n        RATE\n    )")
    )
    (folder / "user.py").write_text("'''A module.'''\n" + text)
    assert (hash_definition(folder / "user.py", "H"), hash_file(folder / "user.py")) == first


def test_another_class_of_the_module_does_not_count(folder):
    first = hash_definition(folder / "user.py", "H")
    (folder / "user.py").write_text(FILES["user.py"].replace("y = 2", "y = 3"))
    assert hash_definition(folder / "user.py", "H") == first
    (folder / "user.py").write_text(FILES["user.py"].replace("RATE = 1", "RATE = 2"))
    assert hash_definition(folder / "user.py", "H") != first


def test_an_edited_gate_changes_the_gates_alone(tmp_path):
    text, edited = SHORTCUTS.read_text(), tmp_path / "shortcuts.py"
    line = "return (1 - torch.sigmoid(self.gate(x))) * x + residual"
    assert line in text
    edited.write_text(text.replace(line, line.replace("self.gate(x)", "2 * self.gate(x)")))
    names = ("Identity", "NoShortcut", "Constant", "Gate", "ExclusiveGate", "Conv1x1", "Dropout")
    changed = [name for name in names if hash_definition(edited, name) != hash_definition(SHORTCUTS, name)]
    assert changed == ["Gate", "ExclusiveGate"]


def test_what_is_not_python_raises(tmp_path):
    (tmp_path / "torn.py").write_text("class H(")
    with pytest.raises(SyntaxError):
        hash_definition(tmp_path / "torn.py", "H")
