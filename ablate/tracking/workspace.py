"""The dashboard of the study as a W&B workspace: what is drawn there, and the one view that is this package's own."""

import os
from typing import Any

from ablate.tracking.session import Unreachable

os.environ.setdefault("WANDB_SILENT", "true")

from wandb_workspaces import expr
from wandb_workspaces.reports.v2 import interface as panels
from wandb_workspaces.workspaces import interface as workspaces
from wandb_workspaces.workspaces import internal

OWN = "nw-ablateshortcuts-v"
"""The view's name on the server, by which it is found again; W&B's own views have random ones."""
TITLE = "Residual shortcuts"
COLUMNS = ("shortcut", "depth", "data", "recipe", "seed")
SUMMARY = ("status", "test_error", "best_test_error", "train_error", "images_per_second", "seconds")
STAGES = (1, 2, 3)


def workspace(project: str, entity: str) -> workspaces.Workspace:
    """Curves, final errors, depth, gates, gradients and a table, by shortcut; needs no network and no key."""
    sections = [
        _section("Error", [
            _curve("Test error, every epoch (mean and range over seeds)", "test_error", "percent"),
            _curve("Training error", "train_error", "percent"),
            _curve("Training loss", "train_loss", "cross-entropy", log=True),
            panels.BarPlot(
                title="Test error, last epoch (mean and range over seeds)",
                metrics=["test_error"],
                title_x="percent",
                groupby=panels.Config("shortcut"),
                groupby_aggfunc="mean",
                groupby_rangefunc="minmax",
                max_bars_to_show=50,
            ),
        ]),
        _section("Depth", [
            panels.ScatterPlot(
                title="Test error, last epoch, against depth",
                x=panels.Config("depth"),
                y=panels.SummaryMetric("test_error"),
            ),
            panels.ScatterPlot(
                title="Test error, last epoch, against multiply-adds",
                x=panels.SummaryMetric("multiply_adds"),
                y=panels.SummaryMetric("test_error"),
                log_x=True,
            ),
        ]),
        _section("Inside the network (probes=true)", [
            *(_curve(f"Gate openness, stage {k}", f"gate_openness/stage{k}", "mean of 1 - g(x)") for k in STAGES),
            *(_curve(f"Gradient, stage {k}", f"gradient/stage{k}", "L2 norm", log=True) for k in STAGES),
        ]),
        _section("Training", [
            _curve("Learning rate", "lr", "", log=True),
            _curve("Speed", "images_per_second", "images per second of training"),
        ]),
        _section("Table", [panels.RunComparer(diff_only="split", layout=panels.Layout(x=0, y=0, w=24, h=12))]),
    ]  # fmt: skip
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=TITLE,
        sections=sections,
        settings=workspaces.WorkspaceSettings(x_axis="step", max_runs=100),
        runset_settings=workspaces.RunsetSettings(
            groupby=[expr.Config("shortcut")],
            order=[expr.Ordering(expr.Summary("test_error"), ascending=True)],
            pinned_columns=["run:displayName", *(f"config:{key}.value" for key in COLUMNS),
                            *(f"summary:{key}" for key in SUMMARY)],
        ),
    )  # fmt: skip


def specification(project: str, entity: str) -> str:
    """The workspace as the JSON that W&B keeps."""
    # The package offers no public way to it; pyproject.toml pins the version.
    return workspace(project, entity)._to_model().spec.model_dump_json(by_alias=True, exclude_none=True, indent=1)


def save(project: str, entity: str | None) -> str:
    """Put the workspace on the server, over its own earlier state and nothing else; gives its address.

    Raises Unreachable where the server cannot be had or refuses.
    """
    import wandb

    try:
        api = wandb.Api(timeout=10)
        view = workspace(project, entity or str(api.default_entity))
        view._internal_name = OWN
        view._internal_id = _saved(project, view.entity)
        view.save()
        return view.url
    except Exception as error:
        raise Unreachable(str(error).splitlines()[0] if str(error) else type(error).__name__) from error


def _saved(project: str, entity: str) -> str:
    """The server's id of the view, or '' where there is none yet."""
    try:
        found = internal.get_view_dict(entity, project, internal._internal_name_to_url_query_str(OWN))
    except ValueError as error:
        if "not found in project" in str(error):
            return ""
        raise
    return str(found["id"])


def _section(name: str, drawn: list[Any]) -> workspaces.Section:
    return workspaces.Section(name=name, panels=drawn, is_open=True)


def _curve(title: str, metric: str, unit: str, *, log: bool = False) -> panels.LinePlot:
    return panels.LinePlot(
        title=title,
        x="step",
        y=[metric],
        title_x="training steps",
        title_y=unit,
        log_y=log,
        groupby=panels.Config("shortcut"),
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
        max_runs_to_show=100,
    )
