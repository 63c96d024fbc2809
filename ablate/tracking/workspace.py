"""The study's dashboard as a W&B workspace. Needs the extra [dashboard]."""

import os
from typing import Any

from ablate.base.errors import one_line
from ablate.tracking.session import Unreachable

os.environ.setdefault("WANDB_SILENT", "true")

from wandb_workspaces import expr
from wandb_workspaces.reports.v2 import interface as panels
from wandb_workspaces.workspaces import interface as workspaces
from wandb_workspaces.workspaces import internal

VIEW = "nw-ablateshortcuts-v"
"""The view's name on the server, by which it is found again; W&B's own views have random names."""
TITLE = "Residual shortcuts"
COLUMNS = ("shortcut", "depth", "data", "recipe", "seed")
SUMMARY = ("status", "test_error", "best_test_error", "train_error", "images_per_second", "seconds")
STAGES = (1, 2, 3)
BY_SHORTCUT: dict[str, Any] = {
    "groupby": panels.Config("shortcut"),
    "groupby_aggfunc": "mean",
    "groupby_rangefunc": "minmax",
}


def workspace(project: str, entity: str) -> workspaces.Workspace:
    """Curves, final errors, gates, gradients and a table, by shortcut. Needs neither a network nor a key."""
    error = panels.SummaryMetric("test_error")
    sections: dict[str, list[Any]] = {
        "Error": [
            _curve("Test error, every epoch (mean and range over seeds)", "test_error", "percent"),
            _curve("Training error", "train_error", "percent"),
            _curve("Training loss", "train_loss", "cross-entropy", log=True),
            panels.BarPlot(
                title="Test error, last epoch (mean and range over seeds)",
                metrics=["test_error"],
                title_x="percent",
                max_bars_to_show=50,
                **BY_SHORTCUT,
            ),
        ],
        "Depth": [
            panels.ScatterPlot(title="Test error, last epoch, against depth", x=panels.Config("depth"), y=error),
            panels.ScatterPlot(
                title="Test error, last epoch, against multiply-adds",
                x=panels.SummaryMetric("multiply_adds"),
                y=error,
                log_x=True,
            ),
        ],
        "Inside the network (probes=signal)": [
            *(_curve(f"Gate openness, stage {k}", f"gate_openness/stage{k}", "mean of 1 - g(x)") for k in STAGES),
            *(_curve(f"Gradient, stage {k}", f"gradient/stage{k}", "L2 norm", log=True) for k in STAGES),
        ],
        "Training": [
            _curve("Learning rate", "lr", "", log=True),
            _curve("Speed", "images_per_second", "images per second of training"),
        ],
        "Table": [panels.RunComparer(diff_only="split", layout=panels.Layout(x=0, y=0, w=24, h=12))],
    }
    columns = (*(f"config:{key}.value" for key in COLUMNS), *(f"summary:{key}" for key in SUMMARY))
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=TITLE,
        sections=[workspaces.Section(name=name, panels=drawn, is_open=True) for name, drawn in sections.items()],
        settings=workspaces.WorkspaceSettings(x_axis="step", max_runs=100),
        runset_settings=workspaces.RunsetSettings(
            groupby=[expr.Config("shortcut")],
            order=[expr.Ordering(expr.Summary("test_error"), ascending=True)],
            pinned_columns=["run:displayName", *columns],
        ),
    )


def specification(project: str, entity: str) -> str:
    """The workspace as the JSON that W&B stores."""
    # The package has no public function for it; pyproject.toml pins the version.
    return workspace(project, entity)._to_model().spec.model_dump_json(by_alias=True, exclude_none=True, indent=1)


def save(project: str, entity: str | None) -> str:
    """Create the workspace on the server, or update it; return its address. Other views are left alone.

    Raises Unreachable if the server is unavailable or refuses.
    """
    import wandb

    try:
        view = workspace(project, entity or str(wandb.Api(timeout=10).default_entity))
        view._internal_name = VIEW
        view._internal_id = _saved(project, view.entity)
        view.save()
        return view.url
    except Exception as error:
        raise Unreachable(one_line(error)[:200]) from error


def _saved(project: str, entity: str) -> str:
    """The server's id of the view, or '' if there is none yet."""
    try:
        return str(internal.get_view_dict(entity, project, internal._internal_name_to_url_query_str(VIEW))["id"])
    except ValueError as error:
        if "not found in project" in str(error):
            return ""
        raise


def _curve(title: str, metric: str, unit: str, *, log: bool = False) -> panels.LinePlot:
    return panels.LinePlot(
        title=title,
        x="step",
        y=[metric],
        title_x="training steps",
        title_y=unit,
        log_y=log,
        max_runs_to_show=100,
        **BY_SHORTCUT,
    )
