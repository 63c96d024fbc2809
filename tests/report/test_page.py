"""The page in a real browser, as a reader opens it: from disk, with no network."""

import json
import shutil

import pytest

from ablate.commands.report import main
from tests.waiting import LIMIT

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NASTY = "<img src=x onerror=document.title='hacked'>\"'&amp;"

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine: apt-get install chromium")


@pytest.fixture
def report(write, tmp_path, resolve):
    """Writes the report of a study with all there can be in it; gives the page's path."""
    from dataclasses import asdict

    for at, shortcut in enumerate(("identity", "gate", "conv1x1", "none")):
        for seed in range(3):
            end = [5.0, 6.0, 12.0, 70.0][at] + [0, 1, 2][seed] / 2 + at * [0.1, -0.1, 0.2][seed]
            folder = write(f"shortcut={shortcut}", f"seed={seed}", test_error=end, command=f"ablate seed={seed}")
            lines = [
                {"step": 20 * n, "epoch": n, "lr": 0.1, "train_loss": 1.0, "train_error": end, "test_loss": 1.0,
                 "test_error": error, "seconds": 1.0}
                for n, error in enumerate((80.0, 30.0, end), 1)
            ]  # fmt: skip
            (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write("shortcut=dropout", status="failed", reason=f"OSError: {NASTY}")
    tree = asdict(resolve())
    tree["shortcut"] = {"name": NASTY, "_target_": "mine.H"}
    write(tree=tree, status="diverged", reason="the loss was not finite at step 4")
    (write("shortcut=gate_b0", test_error=1.0) / "result.json").write_text("{")
    assert main([str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 0
    return tmp_path / "out" / "report.html"


@pytest.fixture
def open_page(report):
    """`open_page(width=375)`: the page in a browser, and all that it said or asked for."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, timeout=1000 * LIMIT)

        def show(width=1280, scheme="light"):
            context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
            context.set_default_timeout(1000 * LIMIT)
            page = context.new_page()
            told = []
            page.on("console", lambda message: told.append(f"console: {message.text}"))
            page.on("pageerror", lambda error: told.append(f"error: {error}"))
            page.on("request", lambda request: told.append(f"request: {request.url}"))
            page.goto(report.as_uri())
            return page, told

        yield show
        browser.close()


def first_cells(page):
    return page.eval_on_selector_all("#main tr.cell", "rows => rows.map(row => row.cells[0].innerText.trim())")


def test_it_opens_from_disk_says_nothing_and_asks_for_nothing(open_page, report):
    page, told = open_page()
    page.mouse.wheel(0, 5000)
    page.wait_for_load_state("networkidle")
    assert told == [f"request: {report.as_uri()}"]
    assert page.title() == "residual shortcuts – ablate"
    assert page.locator("figure svg").count() == 4  # all rows; identity against three
    assert page.locator("#main tr.cell").count() == 6


def test_a_heading_sorts_by_its_numbers_and_takes_the_runs_along(open_page):
    page, told = open_page()
    heading = page.get_by_role("button", name="test error, last epoch (median)")
    heading.click()
    names = first_cells(page)
    assert names[:4] == ["identity", "gate bias_init=-6", "conv1x1 norm=false", "none"]
    heading.click()
    assert first_cells(page) == [names[4], *names[3::-1], names[5]]  # diverged is the worst; failed is no number
    assert page.locator("th[aria-sort=descending]").count() == 1
    page.locator("#main tr.cell", has_text="conv1x1").click()
    opened = page.locator("#main tr.runs:not([hidden])")
    assert opened.count() == 1
    assert opened.locator("tbody tr").count() == 3
    assert "13.40" in opened.inner_text()
    page.get_by_role("button", name="p (Holm)").click()
    p = page.eval_on_selector_all("#main tr.cell", "rows => rows.map(row => row.querySelectorAll('td')[7].innerText)")
    known = [float(word.removeprefix("< ")) for word in p if word != "–"]
    assert known == sorted(known)
    assert p[len(known) :] == ["–"] * (len(p) - len(known))  # without a number: last
    page.get_by_role("button", name="shortcut", exact=True).click()
    assert "none" in first_cells(page)
    assert len(told) == 1


def test_a_row_opens_by_keyboard_and_closes_again(open_page):
    page, _ = open_page()
    button = page.get_by_role("button", name="runs of identity")
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-expanded") == "true"
    assert page.locator("#main tr.runs:not([hidden])").count() == 1
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-expanded") == "false"
    assert page.locator("#main tr.runs:not([hidden])").count() == 0


def test_hovering_a_mark_gives_its_values(open_page):
    page, _ = open_page()
    mark = page.locator("figure svg [data-tip^='identity: 5.50']").first
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    tip = page.locator("#tip")
    for nudge in range(100):  # news of the scrolling may come after the first move, and hides the tip
        page.mouse.move(box["x"] + box["width"] / 2 + nudge % 2, box["y"] + box["height"] / 2)
        page.wait_for_timeout(100)
        if tip.is_visible():
            break
    assert tip.is_visible()
    assert tip.inner_text().startswith("identity: 5.50, n = 3, mean 5.50")


def test_dark_is_dark_and_light_is_light(open_page):
    brightness = "() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
    ink = (
        "() => getComputedStyle(document.querySelector('figure svg text')).fill.match(/\\d+/g).slice(0, 3).map(Number)"
    )
    for scheme, paper, writing in (("light", 200, 60), ("dark", 60, 200)):
        page, _ = open_page(scheme=scheme)
        shown, written = page.evaluate(brightness), page.evaluate(ink)
        assert all((value > 150) == (paper > 150) for value in shown)
        assert all((value > 150) == (writing > 150) for value in written)


@pytest.mark.parametrize("width", [375, 768])
def test_a_phone_scrolls_no_sideways(width, open_page):
    page, _ = open_page(width=width)
    for row in page.locator("#main tr.cell").all():
        row.click(position={"x": 10, "y": 10})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelector('.wide').scrollWidth") > 375  # the table scrolls by itself
    error = page.locator("#main tr.cell", has_text="gate").locator("td").nth(2).bounding_box()
    assert error["x"] + error["width"] <= width  # and the first thing seen is the number


def test_names_and_reasons_are_text(open_page):
    page, told = open_page()
    assert "hacked" not in page.title()
    assert page.locator("img").count() == 0
    assert NASTY in page.locator("#troubles").inner_text()
    assert NASTY in page.locator("#main").inner_text()
    assert len(told) == 1


def test_what_is_missing_or_unread_stands_there_with_its_reason(open_page):
    page, _ = open_page()
    text = page.locator("#troubles").inner_text()
    assert "the loss was not finite at step 4" in text
    assert "is left out, no whole record" in text
    assert "ablate seed=1" in page.locator("#provenance").inner_text()
