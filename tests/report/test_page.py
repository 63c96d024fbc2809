"""The page's content; test_browser.py opens it in a browser."""

import re

import pytest

from ablate.report import records
from ablate.report.aggregate import cells
from ablate.report.page import page


@pytest.fixture
def html(tmp_path):
    """The page of the records that were written, without figures."""

    def make(**options):
        read = records.read(tmp_path / "runs")
        options = {"experiment": None, "unread": read.unread, **options}
        return page(read.runs, cells(read.runs), [], **options)

    return make


def test_page_shows_the_command_that_replays_a_run(write, html):
    folder = write(test_error=5.0)
    assert f"ablate replay {folder}</pre>" in html()


def test_page_lists_failed_and_unreadable_runs_with_reasons(write, html):
    for seed in range(2):
        write(f"seed={seed}", status="failed", reason="OSError: disk full\nTraceback")
    (write("shortcut=gate", test_error=1.0) / "result.json").write_text("{")
    text = html()
    assert text.count("OSError: disk full</li>") == 2
    assert "skipped: incomplete or damaged record" in text
    assert "<b>2</b> failed" in text
    assert "<figure>" not in text


@pytest.mark.parametrize(("runs", "more"), [(20, None), (22, "# and 2 more: see the column command of runs.csv</pre>")])
def test_page_shows_the_first_commands(runs, more, write, html):
    for seed in range(runs):
        write(f"seed={seed}", test_error=5.0, command=f"/usr/bin/python /x/ablate seed={seed}")
    commands = html().partition("<h3>Commands</h3>")[2].partition("</pre>")
    assert commands[0].count("ablate seed=") == 20
    assert ("more" in commands[0]) == bool(more)
    assert not more or more in commands[0].strip() + "</pre>"


def test_page_of_finished_runs_has_no_troubles(write, html):
    write(test_error=5.0)
    assert "all requested runs have finished" in html()


def test_page_shows_what_is_unknown_without_nan(write, html):
    write(
        "seed=0",
        test_error=5.0,
        parameters=None,
        seconds=None,
        device=None,
        precision=None,
        started="2026",
        ended="2027",
    )
    text = html()
    assert not re.search(r"\bnan\b", text.lower())
    assert "an unknown device" in text


def test_page_lists_the_settings_with_values_that_differ(write, html):
    write("recipe.batch=32", test_error=5.0)
    write("recipe.batch=64", "seed=1", "shortcut=gate", test_error=5.0)
    text = html()
    for key, values in {
        "recipe.batch": "32, 64",
        "shortcuts": "identity, gate",
        "seeds": "0, 1",
        "depth": "20",
    }.items():
        assert f"<dt>{key}</dt><dd>{values}</dd>" in text
    assert "<dt>results</dt>" not in text
    assert "<dt>shortcut.bias_init</dt>" not in text
