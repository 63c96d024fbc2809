"""Names of rows for readers, and the order of rows, from a YAML file."""

from pathlib import Path

import yaml
from pandas import DataFrame

from ablate.base.errors import ConfigError
from ablate.report.keys import labels
from ablate.report.records import rows_of
from ablate.runs.naming import surroundings


def rename(cells: DataFrame, file: Path) -> DataFrame:
    """`cells` with the names and in the order that `file` gives: a mapping of names in the table to other names.

    A name may have the row's unit and network behind it, as 'identity unit.order=original'. Rows that are not named
    come last. Raises ConfigError if the file cannot be read, names no row, or names two alike.
    """
    names = _read(file)
    whole = [" ".join([row.label, *surroundings(row.config)]) for row in rows_of(cells)]
    if unknown := [name for name in names if name not in {*cells.label, *whole}]:
        raise ConfigError(f"{file}: there is no row {unknown[0]!r}; rows are {', '.join(dict.fromkeys(whole))}")
    used = [name if name in names else label for name, label in zip(whole, cells.label, strict=True)]
    shown = [names.get(name, name) for name in dict.fromkeys(used)]
    if twice := [name for at, name in enumerate(shown) if name in shown[:at]]:
        raise ConfigError(f"{file}: two rows would be called {twice[0]!r}")
    places = {name: place for place, name in enumerate(names)}
    order = sorted(range(len(cells)), key=lambda row: places.get(used[row], len(places)))
    cells = cells.iloc[order].reset_index(drop=True)
    cells.attrs["names"] = names
    cells["label"] = labels(cells)
    by_cell = dict(zip(cells.cell, cells.label, strict=True)) | {"": ""}
    cells["baseline"] = [by_cell[cell] for cell in cells.baseline_cell]
    return cells


def _read(file: Path) -> dict[str, str]:
    try:
        content = yaml.safe_load(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(
            f"{file} holds no names; write one on each line, as in  gate bias_init=-6: shortcut-only gating"
        )
    for name, other in content.items():
        if not isinstance(name, str) or not isinstance(other, str) or not other.strip():
            raise ConfigError(f"{file}: {name!r} is called {other!r}, which is no text; put it in quotes")
    return content
