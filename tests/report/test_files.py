"""The folder of a report: what is written, what is replaced, and what is never touched."""

import pytest

from ablate.base.errors import AblateError
from ablate.report import files, records
from ablate.report.aggregate import cells
from ablate.report.pivot import CAPTION, pivot
from tests.report.studies import learn


@pytest.fixture
def report(tmp_path):
    """Writes the report of the runs, or of those for which a condition holds, into tmp_path/out."""

    def make(*where):
        runs = records.where(records.load(tmp_path / "runs"), list(where))
        study = cells(runs)
        table = pivot(study, "shortcut", "depth")
        return files.write(tmp_path / "out", runs, study, more={"pivot": (table, CAPTION)}, experiment=None, unread=[])

    return make


@pytest.fixture
def run(write):
    """A single run, of which there is no figure."""
    write(test_error=5.0)


@pytest.fixture
def study(write):
    """Two rows with learning curves."""
    for shortcut in ("identity", "gate"):
        learn(write(f"shortcut={shortcut}", test_error=5.0), 9.0, 5.0)


@pytest.fixture
def svg_only(monkeypatch):
    monkeypatch.setattr(files, "IMAGES", ("svg",))


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_table_has_every_form_and_the_same_bytes_again(study, report, tmp_path):
    assert report() == []
    out = tmp_path / "out"
    before = content(out)
    tables = {f"{name}.{form}" for name in ("table", "table1", "pivot") for form in ("md", "csv", "tex")}
    drawn = {
        f"figures/{name}.{kind}"
        for name in ("shortcuts", "curves-01-gate-bias_init=-6")
        for kind in ("pdf", "svg", "png")
    }
    assert set(before) == tables | drawn | {"runs.csv", "report.html"}
    report()
    after = content(out)
    assert before.pop("report.html") != b""  # it has the time
    assert {name: after[name] for name in before} == before


def test_report_of_fewer_runs_removes_the_files_of_an_earlier_one(study, report, svg_only, tmp_path):
    report()
    (tmp_path / "out" / "figures" / "mine.svg").write_text("mine")
    (tmp_path / "out" / "notes.md").write_text("mine")
    report("shortcut=identity")
    names = set(content(tmp_path / "out"))
    assert {"table.tex", "report.html", "notes.md", "figures/mine.svg"} <= names
    assert not {name for name in names if name.startswith(("table1", "figures/curves-01-gate", "figures/shortcuts"))}


@pytest.mark.parametrize("name", ["table.tex", "notes.md", "report.html", "figures/shortcuts.pdf"])
def test_folder_with_other_files_is_refused_and_not_touched(name, run, report, tmp_path):
    theirs = tmp_path / "out" / name
    theirs.parent.mkdir(parents=True)
    theirs.write_text("<html>mine</html>")
    with pytest.raises(AblateError, match="holds files but no report") as error:
        report()
    assert len(str(error.value).splitlines()) == 1
    assert content(tmp_path / "out") == {name: b"<html>mine</html>"}


def test_empty_folder_is_used(run, report, tmp_path):
    (tmp_path / "out").mkdir()
    report()
    assert (tmp_path / "out" / "report.html").is_file()


def test_interrupted_report_can_be_written_again(run, report, tmp_path, monkeypatch):
    written = []

    def stop(path, content, **options):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(path)
        path.write_bytes(content)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_whole", stop)
        with pytest.raises(KeyboardInterrupt):
            report()
    assert len(content(tmp_path / "out")) == 3
    report()
    assert len(content(tmp_path / "out")) > 3


def test_unwritable_folder_is_one_sentence(run, report, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(AblateError, match="cannot be written: Not a directory; use another folder"):
        report()


def test_invalid_metrics_are_reported_and_the_rest_is_drawn(study, report, write, svg_only, tmp_path):
    folder = write("shortcut=none", test_error=5.0)
    learn(folder, 9.0, 5.0)
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"step": 80, "ep\n')
    (sentence,) = report()
    assert f"{folder / 'metrics.jsonl'}: 1 invalid line left out" in sentence
    assert (tmp_path / "out" / "figures" / "curves-01-none.svg").stat().st_size > 1000
    assert "1 invalid line left out" in (tmp_path / "out" / "report.html").read_text()


def test_comparisons_beyond_the_limit_are_not_drawn(study, report, write, svg_only, tmp_path, monkeypatch):
    learn(write("shortcut=none", test_error=5.0), 9.0, 5.0)
    monkeypatch.setattr(files, "MOST_COMPARISONS", 1)
    (sentence,) = report()
    assert "the first 1 comparisons; 1 more are not drawn" in sentence
    assert {path.name for path in (tmp_path / "out" / "figures").glob("curves-*.svg")} == {"curves-01-none.svg"}
