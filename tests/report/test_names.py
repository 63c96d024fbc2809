"""Rows called and ordered as a file says."""

import pytest

from ablate.base.errors import ConfigError
from ablate.report import tables
from ablate.report.keys import labels
from ablate.report.names import rename


@pytest.fixture
def named(study, tmp_path):
    """The cells of three rows, with the names of a file of this content."""

    def make(content):
        (tmp_path / "names.yaml").write_bytes(content.encode())
        errors = {"shortcut=identity": [5.0, 6.0, 7.5], "shortcut=gate": [9.0, 9.6, 10.4], "shortcut=none": [50.0]}
        return rename(study(errors), tmp_path / "names.yaml")

    return make


def test_rows_have_the_names_and_the_order_of_the_file(named):
    cells = named("gate bias_init=-6: shortcut-only gating\nidentity: original\n")
    assert list(cells.label) == ["shortcut-only gating", "original", "none"]
    assert list(cells.baseline) == ["original"] * 3
    table = tables.words(cells)
    assert table.iloc[0, 0] == "shortcut-only gating"
    assert "Δ vs original" in table
    assert cells.verdict[0] == "worse"


def test_rows_that_differ_in_the_unit_are_named_by_it(study, tmp_path):
    second, file = "unit.order=full_preactivation", tmp_path / "names.yaml"
    cells = study({"unit.order=original": [6.0], second: [5.0]})
    file.write_text(f"identity {second}: pre-activated\nidentity: original\n")
    named = rename(cells, file)
    assert list(zip(named.label, named["mean"], strict=True)) == [("pre-activated", 5.0), ("original", 6.0)]
    assert labels(named, settings=True) == ["pre-activated", "original"]
    file.write_text(f"identity {second}: pre-activated\n")
    assert "identity, unit basic" in labels(rename(cells, file), settings=True)
    file.write_text(f"identity {second}: identity\n")
    with pytest.raises(ConfigError, match="two rows would be called 'identity'"):
        rename(cells, file)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("gate: x", "there is no row 'gate'; rows are identity, none, gate bias_init=-6"),
        ("identity: none", "two rows would be called 'none'"),
        ("identity: a\nnone: a", "two rows would be called 'a'"),
        ("identity:", "'identity' is called None, which is no text; put it in quotes"),
        ("identity: ''", "'identity' is called '', which is no text"),
        ("identity: yes", "'identity' is called True, which is no text"),
        ("- identity", "holds no names; write one on each line"),
        ("", "holds no names; write one on each line"),
        ("a: b: c", "is not valid YAML: mapping values are not allowed"),
        ("identity: !!python/object/apply:os.system ['true']", "is not valid YAML: could not determine a constructor"),
    ],
)
def test_wrong_file_is_one_sentence(content, sentence, named, tmp_path):
    with pytest.raises(ConfigError) as caught:
        named(content)
    assert f"{tmp_path / 'names.yaml'}" in str(caught.value)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_is_one_sentence(study, tmp_path):
    with pytest.raises(ConfigError, match=r"no.yaml cannot be read: No such file or directory$"):
        rename(study({"": [5.0]}), tmp_path / "no.yaml")
