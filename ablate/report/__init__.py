"""Statistics, tables, figures and a page from records. Reads records alone, and never imports torch.

>>> import ablate.report
>>> runs = ablate.report.load("results/runs")           # a pandas DataFrame, one row a run
>>> runs.groupby("label").test_error.median()
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame


def load(path: str, experiment: str | None = None) -> "DataFrame":
    """One row a run; the columns are those of `ablate.report.records.load`."""
    from ablate.report import records  # pandas is imported when a table is wanted

    return records.load(path, experiment)
