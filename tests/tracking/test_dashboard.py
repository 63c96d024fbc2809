"""The dashboard shows only what a run logs, and is one view of its own on the server."""

import json
import subprocess
import sys

import pytest

from ablate.runs import layout
from ablate.tracking.facts import facts, read, rows, summary
from tests.tracking.wandb_server import Server


@pytest.fixture
def dashboard(process):
    """`ablate dashboard WORDS`."""
    return lambda *words, **environment: process("ablate", "dashboard", *words, **environment)


@pytest.fixture(scope="module")
def specification():
    """What --json prints, without a key and without a server."""
    command = [sys.executable, "-m", "ablate", "dashboard", "shortcuts", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)["section"]


@pytest.fixture
def logged(ask, tmp_path):
    """What a small run with probes logs: keys of its history, summary and configuration."""
    assert ask("shortcut=gate", "depth=8", "iterations=2", "probes=signal").status == 0
    (folder,) = (tmp_path / "runs").glob("digits-*")
    history = set(rows(folder)[-1])
    ended = summary(read(folder, layout.RESULT))
    return {"history": history, "summary": history | set(ended), "config": set(facts(folder)["config"])}


def drawn(specification):
    """Every panel's type and configuration."""
    sections = specification["panelBankConfig"]["sections"]
    return [(panel["viewType"], panel["config"]) for section in sections for panel in section["panels"]]


def place(name):
    """'config:depth.value' as ('config', 'depth')."""
    section, _, key = name.partition(":")
    return section, key.removesuffix(".value")


def named(specification):
    """Every key in a specification, as (section, key)."""
    names = {("history", specification["settings"]["xAxis"])}
    for kind, config in drawn(specification):
        if kind == "Run History Line Plot":
            names |= {("history", key) for key in [config["xAxis"], *config["metrics"]]}
        elif kind == "Bar Chart":
            names |= {("summary", key) for key in config["metrics"]}
        elif kind == "Scatter Plot":
            names |= {place(config["xAxis"]), place(config["yAxis"])}
        else:
            assert kind == "Run Comparer"
        if "groupBy" in config:
            names.add(("config", config["groupBy"].removesuffix(".value")))
    for runs in specification["runSets"]:
        names |= {place(column) for column in runs["runFeed"]["columnOrder"]}
        names |= {place(f"{by['section']}:{by['name']}") for by in runs["grouping"]}
        names |= {place(f"{by['key']['section']}:{by['key']['name']}") for by in runs["sort"]["keys"]}
    return names - {("run", "displayName")}  # which every run has


def test_dashboard_uses_only_keys_that_a_run_logs(specification, logged):
    assert {(where, key) for where, key in named(specification) if key not in logged[where]} == set()


def test_dashboard_has_the_panels_of_the_study(specification):
    panels = drawn(specification)
    curves = {config["metrics"][0]: config for kind, config in panels if kind == "Run History Line Plot"}
    gates = {f"gate_openness/stage{k}" for k in (1, 2, 3)}
    gradients = {f"gradient/stage{k}" for k in (1, 2, 3)}
    assert set(curves) >= {"test_error", "train_error", "train_loss", "lr", "images_per_second"} | gates | gradients
    for config in curves.values():  # a mean over seeds for each shortcut, with a band from the lowest to the highest
        assert (config["xAxis"], config["groupBy"]) == ("step", "shortcut.value")
        assert (config["groupAgg"], config["groupArea"]) == ("mean", "minmax")
    (bars,) = (config for kind, config in panels if kind == "Bar Chart")
    assert (bars["metrics"], bars["groupBy"]) == (["test_error"], "shortcut.value")
    scatter = [(config["xAxis"], config["yAxis"]) for kind, config in panels if kind == "Scatter Plot"]
    assert ("config:depth.value", "summary:test_error") in scatter
    assert "Run Comparer" in dict(panels)
    (runs,) = specification["runSets"]
    assert runs["grouping"] == [{"section": "config", "name": "shortcut.value"}]


def test_saving_twice_updates_one_view_and_no_other(dashboard, server):
    other = {"id": "view0", "name": "nw-other-v", "displayName": "Mine", "spec": "{}", "projectName": "shortcuts"}
    server.views["view0"] = dict(other)
    states = []
    for _ in range(2):
        done = dashboard("shortcuts", **server.environment)
        assert done.status == 0, done.err
        states.append({id: dict(view) for id, view in server.views.items()})
    first, second = states
    assert server.unknown == []
    assert set(first) == set(second) == {"view0", "view1"}
    assert second["view0"] == other
    assert second["view1"]["displayName"] == "Residual shortcuts"
    assert second["view1"]["projectName"] == "shortcuts"
    before, after = (json.loads(state["view1"]["spec"])["section"] for state in states)
    assert before != after  # panels have new ids each time, so the view was written again
    assert named(before) == named(after)
    assert done.out.splitlines() == [f"{server.url}/group/shortcuts?nw=ablateshortcuts"]


@pytest.mark.parametrize("mood", [None, pytest.param(500, marks=pytest.mark.long), 401])  # the client repeats after 500
def test_unavailable_server_is_reported_in_one_sentence(mood, dashboard):
    if mood is None:  # refuses connections
        done = dashboard("shortcuts", WANDB_API_KEY="f" * 40)
    else:
        with Server(lambda path, operation: mood) as server:
            done = dashboard("shortcuts", **server.environment)
    assert (done.status, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert line.startswith("ablate dashboard: the dashboard was not saved: ")


def test_missing_extra_is_named(dashboard, tmp_path):
    (tmp_path / "poison").mkdir()
    (tmp_path / "poison" / "wandb_workspaces.py").write_text("raise ModuleNotFoundError(name=__name__)")
    done = dashboard("shortcuts", "--json", path=tmp_path / "poison")
    assert (done.status, done.out) == (2, "")
    assert done.err == "ablate dashboard: wandb_workspaces is not installed: pip install 'ablate[dashboard]'\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "the following arguments are required: project"),
        (("a/b",), "tracker.project='a/b' is invalid"),
        (("", "--json"), "tracker.project='' is invalid"),
        (("shortcuts", "--entity", "a#b"), "tracker.entity='a#b' is invalid"),
    ],
)
def test_wrong_arguments_are_refused(ask, words, said):
    done = ask("dashboard", *words)
    assert done.status == 2
    assert said in done.err.splitlines()[-1]
