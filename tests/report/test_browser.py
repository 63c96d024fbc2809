"""The page in a browser, opened from disk and without a network."""

import shutil
from dataclasses import asdict

import pytest

from ablate.report import files, records
from ablate.report.aggregate import cells
from tests.report.studies import learn
from tests.waiting import LIMIT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NASTY = "<img src=x onerror=document.title='hacked'>\"'&amp;"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def report(writer, tmp_path_factory, resolve):
    """The page of a study with every kind of row: compared, diverged, failed, unreadable, and a name of markup."""
    folder = tmp_path_factory.mktemp("report")
    write = writer(folder / "runs")
    for at, shortcut in enumerate(("identity", "gate", "conv1x1", "none")):
        for seed in range(3):
            end = [5.0, 6.0, 12.0, 70.0][at] + [0, 1, 2][seed] / 2 + at * [0.1, -0.1, 0.2][seed]
            command = f"ablate seed={seed}"
            learn(
                write("data=cifar10", f"shortcut={shortcut}", f"seed={seed}", test_error=end, command=command),
                80.0,
                30.0,
                end,
            )
    write("data=cifar10", "shortcut=dropout", status="failed", reason=f"OSError: {NASTY}")
    custom = asdict(resolve("data=cifar10")) | {"shortcut": {"name": NASTY, "_target_": "mine.H", "source": "0123"}}
    write(tree=custom, status="diverged", reason="the loss was not finite at step 4")
    (write("data=cifar10", "shortcut=gate_b0", test_error=1.0) / "result.json").write_text("{")
    read = records.read(folder / "runs")
    files.write(folder / "out", read.runs, cells(read.runs), more={}, experiment=None, unread=read.unread)
    return folder / "out" / "report.html"


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, timeout=1000 * LIMIT)
        yield browser
        browser.close()


@pytest.fixture
def open_page(report, chromium):
    """`open_page(width=375)`: the page in the browser, and its console messages, errors and requests."""
    contexts = []

    def show(width=1280, scheme="light"):
        context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        contexts.append(context)
        context.set_default_timeout(1000 * LIMIT)
        page = context.new_page()
        events = []
        page.on("console", lambda message: events.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: events.append(f"error: {error}"))
        page.on("request", lambda request: events.append(f"request: {request.url}"))
        page.goto(report.as_uri())
        return page, events

    yield show
    for context in contexts:
        context.close()


def first_cells(page):
    return page.eval_on_selector_all(
        "#main tr.cell", "rows => rows.map(row => row.cells[0].innerText.trim().split('\\n')[0])"
    )


def test_page_opens_from_disk_without_errors_or_requests(open_page, report):
    page, events = open_page()
    page.mouse.wheel(0, 5000)
    page.wait_for_load_state("networkidle")
    assert events == [f"request: {report.as_uri()}"]
    assert page.title() == "residual shortcuts – ablate"
    assert page.locator("figure svg").count() == 4  # all rows, and three learning curves
    assert page.locator("#main tr.cell").count() == 6


def test_heading_sorts_by_number_and_moves_the_runs_along(open_page):
    page, events = open_page()
    heading = page.get_by_role("button", name="test error, last epoch (mean)")
    heading.click()
    names = first_cells(page)
    assert names[:4] == ["identity", "gate bias_init=-6", "conv1x1 norm=false", "none"]
    heading.click()
    assert first_cells(page) == [names[4], *names[3::-1], names[5]]  # diverged is the worst; failed has no number
    assert page.locator("th[aria-sort=descending]").count() == 1
    page.locator("#main tr.cell", has_text="conv1x1").click()
    opened = page.locator("#main tr.runs:not([hidden])")
    assert opened.count() == 1
    assert opened.locator("tbody tr").count() == 3
    assert "13.40" in opened.inner_text()
    page.get_by_role("button", name="p (Holm)").click()
    p = page.eval_on_selector_all("#main tr.cell", "rows => rows.map(row => row.querySelectorAll('td')[5].innerText)")
    known = [float(word.removeprefix("< ")) for word in p if word != "–"]
    assert len(known) == 3
    assert known == sorted(known)
    assert p[3:] == ["–"] * 3  # rows without a number are last
    assert page.evaluate("[number('2^-4.6 → 2^1.0'), number('1,234 s')]") == [-4.6, 1234]
    for order in (
        ["identity", "gate", "conv1x1", "none", "dropout"],
        ["none", "dropout", "conv1x1", "gate", "identity"],
    ):
        page.get_by_role("button", name="published").click()  # '> 20' is the worst
        assert [name.split()[0] for name in first_cells(page)[:5]] == order
    page.get_by_role("button", name="shortcut", exact=True).click()
    assert first_cells(page)[1:] == ["conv1x1 norm=false", "dropout p=0.5", "gate bias_init=-6", "identity", "none"]
    assert len(events) == 1


def test_row_has_the_equation_of_its_shortcut_below_its_name(open_page):
    page, _ = open_page()
    first = page.locator("#main tr.cell", has_text="gate").locator("td").first
    assert first.inner_text().splitlines() == ["gate bias_init=-6", "y = (1 − g(x)) · x + F(x)"]


def test_row_opens_and_closes_by_keyboard(open_page):
    page, _ = open_page()
    button = page.get_by_role("button", name="runs of identity")
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-expanded") == "true"
    assert page.locator("#main tr.runs:not([hidden])").count() == 1
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-expanded") == "false"
    assert page.locator("#main tr.runs:not([hidden])").count() == 0


def test_hovering_a_mark_shows_its_values(open_page):
    page, _ = open_page()
    mark = page.locator("figure svg [data-tip^='identity: 5.50']").first
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    tip = page.locator("#tip")
    for nudge in range(100):  # a scroll event hides the tip, and may come after the first move
        page.mouse.move(box["x"] + box["width"] / 2 + nudge % 2, box["y"] + box["height"] / 2)
        page.wait_for_timeout(100)
        if tip.is_visible():
            break
    assert tip.is_visible()
    assert tip.inner_text().startswith("identity: 5.50 ± 0.50, n = 3, 95 % interval of the mean [")


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_colours_follow_the_scheme(scheme, dark, open_page):
    page, _ = open_page(scheme=scheme)
    rgb = ".match(/\\d+/g).slice(0, 3).map(Number)"
    paper = page.evaluate(f"() => getComputedStyle(document.body).backgroundColor{rgb}")
    ink = page.evaluate(f"() => getComputedStyle(document.querySelector('figure svg text')).fill{rgb}")
    assert [value > 150 for value in (*paper, *ink)] == [not dark] * 3 + [dark] * 3


def test_columns_up_to_the_published_error_fit_a_laptop(open_page):
    page, _ = open_page(width=1280)
    heading = page.get_by_role("button", name="published", exact=True).bounding_box()
    assert heading["x"] + heading["width"] <= 1280


@pytest.mark.parametrize("width", [375, 768])
def test_narrow_page_does_not_scroll_sideways(width, open_page):
    page, _ = open_page(width=width)
    for row in page.locator("#main tr.cell").all():
        row.click(position={"x": 10, "y": 10})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelector('.wide').scrollWidth") > 375  # only the table scrolls
    for column in (1, 2):  # the error and the verdict are visible without scrolling
        cell = page.locator("#main tr.cell", has_text="gate").locator("td").nth(column).bounding_box()
        assert cell["x"] + cell["width"] <= width


def test_names_and_reasons_are_text(open_page):
    page, events = open_page()
    assert "hacked" not in page.title()
    assert page.locator("img").count() == 0
    assert NASTY in page.locator("#troubles").inner_text()
    assert NASTY in page.locator("#main").inner_text()
    assert len(events) == 1


def test_first_paragraph_is_the_result_in_words(open_page):
    page, _ = open_page()
    text = page.locator(".summary").inner_text()
    assert text.startswith("With 3 seeds, none, gate bias_init=-6 and conv1x1 norm=false are worse than identity.")


def test_troubles_and_commands_are_listed(open_page):
    page, _ = open_page()
    text = page.locator("#troubles").inner_text()
    assert "the loss was not finite at step 4" in text
    assert "skipped: incomplete or damaged record" in text
    assert "ablate seed=1" in page.locator("#provenance").inner_text()
