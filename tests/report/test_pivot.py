"""The mean error by two keys."""

import pytest

from ablate.base.errors import AblateError, ConfigError
from ablate.report.pivot import pivot


def test_pivot_by_shortcut_and_depth(study):
    cells = study(
        {
            "shortcut=identity depth=20": [2.0],
            "shortcut=identity depth=110": [3.0, 4.0],
            "shortcut=none depth=20": [8.0],
            "shortcut=none depth=32": [None],
        }
    )
    table = pivot(cells, "shortcut", "depth").set_index("shortcut")
    assert list(table.columns) == ["20", "32", "110"]
    assert list(table.loc["identity"]) == ["2.00", "not run", "3.50 ± 0.71"]
    assert list(table.loc["none"]) == ["8.00", "diverged 1 of 1", "not run"]
    with pytest.raises(AblateError, match="no key 'dept'"):
        pivot(cells, "shortcut", "dept")
    with pytest.raises(
        AblateError, match="two cells have the values identity and digits; select one with --where, by depth"
    ):
        pivot(cells, "shortcut", "data")
    with pytest.raises(ConfigError, match="rows do not differ in seed"):
        pivot(cells, "seed", "shortcut")


def test_pivot_by_a_key_of_the_recipe_has_one_row_per_shortcut(study):
    cells = study(
        {f"shortcut={name} recipe.batch={batch}": [batch / 10] for name in ("identity", "none") for batch in (32, 64)}
    )
    table = pivot(cells, "shortcut", "recipe.batch")
    assert table.to_numpy().tolist() == [["identity", "3.20", "6.40"], ["none", "3.20", "6.40"]]
