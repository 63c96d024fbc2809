"""One sentence for each kind of mistake that Hydra, OmegaConf and YAML find: where, what, and what may be meant."""

import pytest

from ablate.base.errors import ConfigError
from ablate.config.explain import near, nearest_key, parameters
from ablate.config.resolve import from_overrides

NO_KEY = "there is no key '{}'; did you mean '{}'?"
SENTENCES = {
    "shortcut=gat": "shortcut 'gat' is unknown; did you mean 'gate'? Known: attention_residuals, ",
    "shortcut=zzz": "shortcut 'zzz' is unknown. Known: attention_residuals, ",
    "data=CIFAR10": "data 'CIFAR10' is unknown; did you mean 'cifar10'? Known: ",
    "data=./mine": "data=./mine is not a dataset: for a folder of images, write data=folder data.root=./mine",
    "hydra/launcher=submitit_slurm": "hydra/launcher 'submitit_slurm' is unknown. Known: basic, joblib, slurm",
    "dpeth=20": NO_KEY.format("dpeth", "depth"),
    "recipe.learning_rat=1": NO_KEY.format("recipe.learning_rat", "recipe.learning_rate"),
    "shortcut.biasinit=1": NO_KEY.format("shortcut.biasinit", "shortcut.bias_init"),
    "recipe.lr=0.1": NO_KEY.format("recipe.lr", "recipe.learning_rate"),
    "lr=0.1": NO_KEY.format("lr", "recipe.learning_rate"),
    "batch_size=32": NO_KEY.format("batch_size", "recipe.batch"),
    "hydra.launcher.tim=4": NO_KEY.format("hydra.launcher.tim", "hydra.launcher.time"),
    "hydra.launcher.timeout_min=4": NO_KEY.format("hydra.launcher.timeout_min", "hydra.launcher.time"),
    "hydra.launcher.n_jobs=4": "the chosen hydra/launcher has no key 'n_jobs', which belongs to joblib",
    "shortcut.p=0.5": "the chosen shortcut has no key 'p', which belongs to dropout",
    "shortcut.zzz=0.5": "there is no key 'shortcut.zzz'; a new key of a custom class needs a plus: +shortcut.zzz=VALUE",
    "+depth=8": "'depth' is there already: leave out the plus",
    "+shortcut=gate": "'shortcut' is there already: leave out the plus",
    "zzz=1": "there is no key 'zzz': ablate --help lists them",
    "data.name=cifra10": "data.name=cifra10 is invalid: use one of digits, cifar10, cifar100, folder",
    "depth=abc": "depth=abc is invalid: use a whole number",
    "seed=null": "seed=null is invalid: use a whole number",
    "epochs=1e2": "epochs=100.0 is invalid: use a whole number or null, as in epochs=100",
    "data.flip=maybe": "data.flip=maybe is invalid: use true or false",
    "recipe.milestones=0.5": "recipe.milestones=0.5 is invalid: use a list of numbers, as in [0.5,0.75]",
    "recipe.milestones=[a]": "recipe.milestones=a is invalid: use a list of numbers, as in [0.5,0.75]",
    "results=r/${nope}": "results refers to 'nope', which is no key",
    "seed=${oc.env:NOPE}": "seed: Environment variable 'NOPE' not found",
    "data=null": "data=null chooses nothing: data is one of cifar10, cifar100, digits, folder",
    "experiment=quickstart": "+experiment=NAME chooses an experiment, one of choices, cifar10_small, depth, ",
}


@pytest.mark.parametrize("word", SENTENCES)
def test_mistake_is_one_sentence(word):
    with pytest.raises(ConfigError) as caught:
        from_overrides(word)
    assert str(caught.value).startswith(SENTENCES[word])
    assert "\n" not in str(caught.value)


NEW = ["dpeth=20", "optimizer=adam", "recipe.label_smoothing=0.1", "data.cutout=16", "checkpoint.every=5"]


@pytest.mark.parametrize("plus", ["+", "++"])
@pytest.mark.parametrize("word", [*NEW, "tracker.tags=x", "hydra.foo=1", "hydra.job.foo=1", "hydra.launcher.foo=1"])
def test_key_added_with_a_plus_is_refused_at_every_level(plus, word):
    with pytest.raises(ConfigError, match=f"^there is no key '{word.partition('=')[0]}'"):
        from_overrides(plus + word)


def test_keys_added_to_a_shortcut_and_a_unit_are_for_their_constructors():
    config = from_overrides("+shortcut.mine=1", "++unit.mine=2")
    assert (config.shortcut["mine"], config.unit["mine"]) == (1, 2)


FILES = {
    "experiment=key": ("# @package _global_\ndpeth: 20\n", "key.yaml, line 2: " + NO_KEY.format("dpeth", "depth")),
    "experiment=inner": (
        "# @package _global_\nrecipe:\n  batch: 3\n  lr: 0.1\n",
        "inner.yaml, line 4: " + NO_KEY.format("recipe.lr", "recipe.learning_rate"),
    ),
    "recipe=value": (
        "name: mine\nlearning_rate: fast\n",
        "value.yaml, line 2: recipe.learning_rate=fast is invalid: use a number",
    ),
    "recipe=twice": ("name: mine\nname: x\n", "twice.yaml, line 2: found duplicate key name"),
    "recipe=tab": ("name: mine\n\tbatch: 1\n", "tab.yaml, line 2: found character '\\t' that cannot start any token"),
    "recipe=noname": ("batch: 2\n", "noname.yaml: recipe.name has no value: give it there, or as recipe.name=VALUE"),
    "recipe=list": ("- a\n- b\n", "list.yaml: it must be lines of KEY: VALUE"),
    "experiment=package": (
        "depth: 8\nexperiment: package\n",
        "package.yaml, line 2: experiment is one value, not lines of KEY: VALUE; a file of a run's keys begins with",
    ),
    "experiment=choice": (
        "# @package _global_\nshortcut: gate\n",
        "choice.yaml, line 2: shortcut=gate chooses a file: write 'override /shortcut: gate' in the list 'defaults'",
    ),
    "experiment=relative": (
        "# @package _global_\ndefaults:\n  - shortcut: gate\n",
        "relative.yaml: a choice in the defaults of an experiment is written 'override /shortcut: gate'",
    ),
    "experiment=hydra": (
        "# @package _global_\nhydra:\n  sweper:\n    params:\n      seed: 0\n",
        "hydra.yaml, line 3: there is no key 'hydra.sweper': ablate --help lists them",
    ),
    "shortcut=base": ("defaults: [gat, _self_]\n", "base.yaml: shortcut 'gat' is unknown; did you mean 'gate'?"),
    "shortcut=defaults": ("defaults: gate\n", "Invalid defaults list in 'shortcut/defaults', defaults must be a list"),
    "shortcut=no": ("name: no\n_target_: own.H\n", "shortcut.name=false is invalid: use a word, in quotes if"),
    "shortcut=octal": ("name: 0123\n_target_: own.H\n", "shortcut.name=83 is invalid: use a word, in quotes if"),
}


@pytest.mark.parametrize("choice", FILES)
def test_mistake_in_a_file_names_the_file_and_the_line(choice, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text("class H: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    group, _, name = choice.partition("=")
    folder = tmp_path / "my" / group
    folder.mkdir(parents=True)
    content, sentence = FILES[choice]
    (folder / f"{name}.yaml").write_text(content)
    word = f"+{choice}" if group == "experiment" else choice
    with pytest.raises(ConfigError) as caught:
        from_overrides("--config-dir", "my", word)
    where = "" if sentence[0] in "Is" else f"my/{group}/"
    assert str(caught.value).startswith(where + sentence)
    assert "\n" not in str(caught.value)


def test_advice_never_repeats_what_was_typed():
    assert nearest_key("shortcut.bias_init") != "shortcut.bias_init"
    assert nearest_key("depth") != "depth"


def test_parameters_are_those_of_all_shortcuts_and_units():
    assert {"shortcut.p", "shortcut.bias_init", "shortcut.residual_scale"} <= set(parameters("shortcut"))
    assert {"unit.name"} <= set(parameters("unit"))


def test_only_near_names_are_suggested():
    assert near("gat", ["gate", "dropout"]) == "; did you mean 'gate'?"
    assert near("zzz", ["gate", "dropout"]) == ""
