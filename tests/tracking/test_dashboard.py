"""The dashboard shows what a run logs and nothing else, and is one view of its own on the server."""

import json

import pytest

from tests.tracking.conftest import on_disk
from tests.tracking.wandb_server import Server


@pytest.fixture
def dashboard(ablate):
    return lambda *words, **options: ablate(*words, module="ablate", "dashboard", **options)


@pytest.fixture
def specification(dashboard):
    """What --json prints, without a key and without a server."""
    done = dashboard("shortcuts", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)["section"]


@pytest.fixture
def logged(ablate, record):
    """What a small run with probes has told W&B, read back from disk: keys of its history, summary, configuration."""
    words = ("shortcut=gate", "depth=8", "epochs=2", "threads=1", "probes=true", "tracker=wandb", "results=runs")
    assert ablate(*words, WANDB_MODE="offline").returncode == 0
    (kept,) = (record() / "wandb").glob("offline-run-*")
    found = on_disk(kept)
    return {"history": set(found["history"][-1]), "summary": set(found["summary"]), "config": set(found["config"])}


def drawn(specification):
    """Every panel's type and configuration."""
    sections = specification["panelBankConfig"]["sections"]
    return [(panel["viewType"], panel["config"]) for section in sections for panel in section["panels"]]


def place(name):
    """'config:depth.value' as ('config', 'depth')."""
    section, _, key = name.partition(":")
    return section, key.removesuffix(".value")


def named(specification):
    """All that a specification names, as (where, key)."""
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


def test_it_names_only_what_a_run_logs(specification, logged):
    assert {(where, key) for where, key in named(specification) if key not in logged[where]} == set()


def test_it_has_what_the_study_is_looked_at_with(specification):
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


def test_saved_twice_it_is_one_view_and_nobody_elses_is_touched(dashboard):
    with Server() as server:
        other = {"id": "view0", "name": "nw-other-v", "displayName": "Mine", "spec": "{}", "projectName": "shortcuts"}
        server.views["view0"] = dict(other)
        states = []
        for _ in range(2):
            done = dashboard("shortcuts", server=server)
            assert done.returncode == 0, done.stderr
            states.append({id: dict(view) for id, view in server.views.items()})
    first, second = states
    assert server.unknown == []
    assert set(first) == set(second) == {"view0", "view1"}
    assert second["view0"] == other
    assert second["view1"]["displayName"] == "Residual shortcuts"
    assert second["view1"]["projectName"] == "shortcuts"
    before, after = (json.loads(state["view1"]["spec"])["section"] for state in states)
    assert before != after  # panels have new ids each time: what is there is what was made last
    assert named(before) == named(after)
    assert done.stdout.splitlines() == [f"{server.url}/group/shortcuts?nw=ablateshortcuts"]


@pytest.mark.parametrize("mood", [None, 500, 401])
def test_without_a_server_it_is_one_sentence(dashboard, mood):
    if mood is None:
        done = dashboard("shortcuts", WANDB_API_KEY="f" * 40)
    else:
        with Server(lambda path, operation: mood) as server:
            done = dashboard("shortcuts", server=server)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("ablate dashboard: W&B did not take the dashboard: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "the following arguments are required: project"),
        (("a/b",), "tracker.project=a/b is no name for W&B"),
        (("", "--json"), "tracker.project= is no name for W&B"),
        (("shortcuts", "--entity", "a#b"), "tracker.entity=a#b is no name for W&B"),
    ],
)
def test_bad_words_are_told_so(dashboard, words, said):
    done = dashboard(*words)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
