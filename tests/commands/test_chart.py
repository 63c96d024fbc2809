"""The command chart: what is drawn, where it is written, and what is refused."""

import pytest


@pytest.mark.parametrize(("name", "begins"), [("a.svg", b"<?xml"), ("new/a.pdf", b"%PDF"), ("a.png", b"\x89PNG")])
def test_published_chart_is_written_in_each_form(name, begins, ask, tmp_path):
    outcome = ask("chart", "--out", str(tmp_path / name), "--paper", "column")
    assert outcome.status == 0
    assert outcome.out.splitlines()[-1] == f"written: {tmp_path / name}"
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_same_records_give_the_same_bytes(ask, write, tmp_path):
    for name in ("depth=8", "depth=14"):
        write(name, test_error=5.0)
    for out in ("a.svg", "b.svg"):
        assert ask("chart", str(tmp_path / "runs"), "--out", str(tmp_path / out)).status == 0
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    assert "ResNet-8" in text
    assert "ResNet-14" in text


def test_record_that_is_left_out_is_named(ask, write, tmp_path):
    write("depth=8", test_error=5.0)
    damaged = write("depth=14", test_error=5.0)
    (damaged / "result.json").write_text("{}")
    outcome = ask("chart", str(tmp_path / "runs"), "--out", str(tmp_path / "a.svg"))
    assert outcome.status == 0
    (line,) = outcome.err.splitlines()
    assert line.startswith("ablate chart: ")
    assert damaged.name in line


def test_what_cannot_be_drawn_is_refused(ask, write, tmp_path):
    file = tmp_path / "a.svg"
    file.touch()
    asked = {
        ("--out", "a.txt"): "--out a.txt is invalid: use a name that ends in .svg, .pdf or .png",
        ("--out", str(file)): f"{file} is there already: add --overwrite, or name another with --out",
        ("--experiment", "x"): "--experiment is for runs: name their folder too, as in ablate chart results/runs",
    }
    for words, sentence in asked.items():
        outcome = ask("chart", *words)
        assert (outcome.status, outcome.err) == (2, f"ablate chart: {sentence}\n")
    write("depth=8", status="diverged", reason="step 3")
    outcome = ask("chart", str(tmp_path / "runs"), "--out", str(tmp_path / "b.svg"))
    assert outcome.status == 1
    assert outcome.err.endswith("has no row with a mean error: nothing was drawn; see ablate report\n")
    assert ask("chart", "--out", str(file), "--overwrite").status == 0
