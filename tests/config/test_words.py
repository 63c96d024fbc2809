"""The words of a command line: options anywhere, and one sentence for a word that cannot be read."""

import re
import shlex
from pathlib import Path

import pytest

from ablate.base.errors import ConfigError
from ablate.config.resolve import from_overrides
from ablate.config.words import parse, parse_run, sort


def test_options_may_be_anywhere_and_folders_are_collected(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    words = sort(["depth=8", "-m", "--config-dir", "one", "seed=0,1", "--config-dir=~/two", "-cd", "three"])
    assert words.overrides == ["depth=8", "seed=0,1"]
    assert words.folders == [Path("one"), Path("/home/someone/two"), Path("three")]
    assert (words.grid, words.shown) == (True, {})


def test_info_takes_the_next_word_unless_it_is_an_override():
    assert sort(["--info", "depth=8"]).shown == {"info": "all"}
    assert sort(["depth=8", "-i", "defaults"]).shown == {"info": "defaults"}
    assert sort(["-c", "job", "--resolve", "-p", "shortcut"]).shown == {
        "cfg": "job",
        "resolve": "",
        "package": "shortcut",
    }


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--depth", "110"], "there is no option --depth: to set a key, write depth=110"),
        (["--lr=0.1"], "there is no option --lr: to set a key, write recipe.learning_rate=0.1"),
        (["--config-name", "nope"], "there is no option --config-name: see ablate --help"),
        (["--config-dir"], "--config-dir needs a value: VALUE"),
        (["--cfg", "depth=8"], "--cfg needs a value: job or hydra or all"),
        (["--info=nope"], "--info needs a value: all or config or defaults or defaults-tree or plugins or searchpath"),
    ],
)
def test_unknown_option_is_answered_with_the_key(words, sentence):
    with pytest.raises(ConfigError, match=f"^{re.escape(sentence)}$"):
        sort(words)


@pytest.mark.parametrize(("value", "character"), [("jürgen", "ü"), ("set(1)", "("), ("a&b", "&"), ("o'neill", "'")])
def test_character_that_needs_quotes_is_named_with_words_that_work(value, character):
    with pytest.raises(ConfigError) as caught:
        parse_run([f"results={value}"])
    said, _, written = str(caught.value).partition(": write it as ")
    assert said == f"results={value} cannot be read because of {character!r}"
    assert from_overrides(*shlex.split(written)).results == value  # as a shell reads them


@pytest.mark.parametrize("word", ["depth=[", "recipe.milestones=[0.5,", "depth"])
def test_word_without_a_value_that_quotes_would_mend_is_refused(word):
    with pytest.raises(ConfigError, match=rf"^'{re.escape(word)}' cannot be read: write KEY=VALUE, and quote"):
        parse_run([word])


@pytest.mark.parametrize("word", ["=3", "+=3", "~=3"])
def test_word_without_a_key_is_refused(word):
    with pytest.raises(ConfigError, match=f"^'{re.escape(word)}' has no key: write KEY=VALUE$"):
        parse_run([word])


@pytest.mark.parametrize("words", [["results=caf\udce9"], ["results='caf\udce9/runs'"], ["results=${oc.env:PLACE}"]])
def test_name_that_is_not_utf8_is_refused_before_training(words, monkeypatch):
    monkeypatch.setenv("PLACE", "caf\udce9")
    with pytest.raises(ConfigError, match="is not UTF-8") as caught:
        from_overrides(*words)
    str(caught.value).encode()


def test_list_in_a_single_run_is_refused_with_the_command_that_works():
    with pytest.raises(ConfigError, match=r"^seed=1,2 is a list: add -m for a run of each, as in ablate -m seed=1,2$"):
        parse_run(["seed=1,2"])
    with pytest.raises(ConfigError, match=r"list: give one experiment, as in ablate -m \+experiment=quickstart$"):
        parse_run(["+experiment=quickstart,depth"])


@pytest.mark.parametrize("word", ["depth=8,", "depth=8,14,", "depth=,8"])
def test_comma_at_an_end_is_answered_with_the_spelling_of_lists(word):
    with pytest.raises(ConfigError, match=r"with a comma: write a list without spaces, as in depth=A,B$"):
        parse([word])


def test_invisible_character_is_named_and_not_repeated_in_advice():
    with pytest.raises(ConfigError, match=r"cannot be read because of '\\xa0': remove it$"):
        parse(["depth=8\u00a0"])
