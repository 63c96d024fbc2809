"""What the tests of the documentation share."""

import importlib.util
import sys

import pytest

from tests.docs.study import stand_in


@pytest.fixture
def optuna(monkeypatch):
    """Optuna, if it is installed, or what stands in for it."""
    if importlib.util.find_spec("optuna") is None:
        monkeypatch.setitem(sys.modules, "optuna", stand_in())
