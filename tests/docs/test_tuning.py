"""The study of docs/python.md."""

import re
from pathlib import Path

import pytest

import ablate

PAGE = Path(ablate.__file__).resolve().parents[1] / "docs/python.md"


@pytest.mark.usefixtures("optuna")
def test_trial_is_the_mean_of_three_seeds_on_images_held_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = (
        text for text in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S) if "optuna" in text
    )
    names: dict[str, object] = {}
    exec(block, names)
    runs = ablate.load("results/runs")
    assert set(runs.evaluated_on) == {"validation"}
    trials = runs.groupby("cell").test_error.agg(["count", "mean"])
    assert set(trials["count"]) == {3}
    assert names["study"].best_value == pytest.approx(trials["mean"].min())
