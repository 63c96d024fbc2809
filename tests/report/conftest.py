"""Studies written by hand: records from seeds' errors, and the rows that the report makes of them."""

import csv
import io
from dataclasses import asdict

import pytest

from ablate.report import formats, records, tables
from ablate.report.aggregate import cells


@pytest.fixture
def seeds(write, resolve):
    """`seeds("shortcut=gate", [6.0, None])` writes a run for each error and returns their folders; None diverged."""

    def make(overrides, errors, **results):
        tree = asdict(resolve(*overrides.split()))
        diverged = {"status": "diverged", "reason": "step 3"}
        return [
            write(tree=tree | {"seed": seed}, **(diverged if error is None else {"test_error": error}), **results)
            for seed, error in enumerate(errors)
        ]

    return make


@pytest.fixture
def study(seeds, tmp_path):
    """`study({"shortcut=gate": [6.0, None]}, ...)` writes seeds' errors by overrides and returns the cells."""

    def make(errors, **options):
        for overrides, values in errors.items():
            seeds(overrides, values)
        return cells(records.read(tmp_path / "runs").runs, **options)

    return make


@pytest.fixture
def table(tmp_path):
    """Reads what was written: the main table's rows by heading, the rows of its CSV, and the unread records."""

    def make(experiment=None):
        read = records.read(tmp_path / "runs", experiment)
        study = cells(read.runs)
        return (
            tables.words(study).to_dict("records"),
            list(csv.DictReader(io.StringIO(formats.cells_csv(study)))),
            read.unread,
        )

    return make
