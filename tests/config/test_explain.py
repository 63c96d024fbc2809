"""One sentence for each kind of mistake that Hydra and OmegaConf find."""

import pytest

from ablate.base.errors import ConfigError
from ablate.config.explain import near, parameters
from ablate.config.resolve import from_overrides

SENTENCES = {
    "shortcut=gat": "shortcut 'gat' is unknown; did you mean 'gate'? Known: constant, conv1x1, ",
    "shortcut=zzz": "shortcut 'zzz' is unknown. Known: constant, conv1x1, ",
    "dpeth=20": "there is no key 'dpeth'; did you mean 'depth'?",
    "recipe.learning_rat=1": "there is no key 'recipe.learning_rat'; did you mean 'recipe.learning_rate'?",
    "shortcut.biasinit=1": "there is no key 'shortcut.biasinit'; did you mean 'shortcut.bias_init'?",
    "shortcut.p=0.5": "the chosen shortcut has no parameter 'p': ablate --help lists those of each shortcut",
    "data.name=cifra10": "data.name=cifra10 is not one of digits, cifar10, cifar100, folder",
    "zzz=1": "there is no key 'zzz': ablate --help lists them",
    "depth=abc": "depth: Value 'abc' of type 'str' could not be converted to Integer",
    "depth=[": "'depth=[' cannot be read: write KEY=VALUE, and quote brackets and commas for the shell",
    "=3": "'=3' has no key: write KEY=VALUE",
    "+=3": "'+=3' has no key: write KEY=VALUE",
    "data=null": "data=null chooses nothing: data is one of cifar10, cifar100, digits, folder",
    "experiment=quickstart": "a file of experiment is chosen with a plus: +experiment=NAME. Known: depth, ",
}


@pytest.mark.parametrize("word", SENTENCES)
def test_mistake_is_one_sentence(word):
    with pytest.raises(ConfigError) as caught:
        from_overrides(word)
    assert str(caught.value).startswith(SENTENCES[word])
    assert "\n" not in str(caught.value)


def test_parameters_are_those_of_all_shortcuts_and_units():
    assert {"shortcut.p", "shortcut.bias_init", "shortcut.residual_scale", "unit.name"} <= set(parameters())


def test_only_near_names_are_suggested():
    assert near("gat", ["gate", "dropout"]) == "; did you mean 'gate'?"
    assert near("zzz", ["gate", "dropout"]) == ""
