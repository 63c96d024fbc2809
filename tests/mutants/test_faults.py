import ast
from pathlib import Path

import pytest

from tests.mutants.faults import faults
from tests.mutants.modules import MODULES

ROOT = Path(__file__).resolve().parents[2]
SOURCE = '''
"""A docstring with 1 + 1."""
SIZES: tuple[int, ...] = (3,)


def half(x: "int | None" = 4, *, text: str = "é") -> float:
    """Half of x < 1."""
    if x is None:
        raise ValueError(f"{text} is not {2 * 3}")
    total.add(min(x, 0.5))
    return x / 2
'''
FAULTS = [
    "module: `3` → `4`",
    "half: `4` → `5`",
    "half: `\"é\"` → `'é_'`",
    "half: `x is None` → `(x is not None)`",
    'half: `raise ValueError(f"{text} is not {2 * 3}")` → `pass`',
    "half: `total.add(min(x, 0.5))` → `pass`",
    "half: `min(x, 0.5)` → `(max(x, 0.5))`",
    "half: `0.5` → `1.0`",
    "half: `x / 2` → `((x) * (2))`",
    "half: `2` → `3`",
]


def test_faults_are_in_code_and_not_in_words_about_it():
    assert sorted(map(str, faults(SOURCE.encode()))) == sorted(FAULTS)


@pytest.mark.parametrize("path", MODULES)
def test_every_fault_is_another_valid_program(path):
    source = (ROOT / path).read_bytes()
    found, before = faults(source), ast.dump(ast.parse(source))
    assert len({str(fault) for fault in found}) == len(found)
    assert all(ast.dump(ast.parse(fault.apply(source))) != before for fault in found)


def test_modules_and_their_tests_exist():
    named = [name for path, tests in MODULES.items() for name in (path, *tests)]
    assert [name for name in named if not (ROOT / name).is_file()] == []
    packages = ("models", "training", "data")
    files = {f"ablate/{one}/{file.name}" for one in packages for file in (ROOT / "ablate" / one).glob("*.py")}
    assert {file for file in files if not file.endswith("__init__.py")} <= MODULES.keys()
