"""The command probe: its table, sentence, JSON and pictures, and what is refused."""

import pytest

from ablate.models.shortcuts import Identity

CONSTANT = "over 9 units the shortcut path keeps 2^-9 of the gradient: expect a higher error than with the identity"


def test_table_and_sentence_of_a_network(ask):
    outcome = ask("probe", "shortcut=constant", "depth=20")
    assert outcome.status == 0, outcome.err
    first, head, *rows = outcome.out.splitlines()
    name = "constant scale=0.5 residual_scale=1, depth 20, digits, seed 0"
    assert first.startswith(f"{name}: 9 units, 64 training images, loss ")
    assert head.split() == [
        "unit",
        "stage",
        "x",
        "h(x)",
        "F(x)",
        "dE/dx",
        "backward",
        "forward",
        "theory",
        "with",
        "f",
        "dead",
    ]
    assert [row.split()[:2] for row in rows[:9]] == [[str(unit), str((unit + 2) // 3)] for unit in range(1, 10)]
    assert [row.split()[6:9] for row in rows[:9]] == [[f"2^{unit - 10}"] * 3 for unit in range(1, 10)]
    assert rows[-1] == CONSTANT


def test_deep_network_has_twelve_rows_and_every_unit_in_json(ask, strict_json):
    words = ("probe", "shortcut=gate", "depth=110", "--images", "8")
    rows = [line.split() for line in ask(*words).out.splitlines()[2:]]
    shown = [int(row[0]) for row in rows if row[0].isdigit()]
    assert (len(shown), shown[0], shown[-1]) == (12, 1, 54)
    assert rows[0][-5:] == ["0.998", "±", "0.000", "0.0%", "0.0%"]
    (network,) = strict_json(ask(*words, "--json").out)["networks"]
    assert (network["images"], network["depth"], network["seed"], network["data"]) == (8, 110, 0, "digits")
    assert [unit["unit"] for unit in network["units"]] == list(range(1, 55))
    first = network["units"][0]
    assert first["shortcut"]["backward"]["gain"] == pytest.approx(first["theory"]["gain"], rel=1e-4)
    assert first["gates"]["mean"] == pytest.approx(0.99752737684)
    assert len(network["jacobians"]) == 3


def test_zero_gain_has_no_logarithm_in_json(ask, strict_json):
    (network,) = strict_json(ask("probe", "shortcut=none", "depth=8", "--json").out)["networks"]
    backward = network["units"][0]["shortcut"]["backward"]
    assert (backward["gain"], backward["log2"]) == (0, None)


def test_networks_are_compared_with_a_line_and_a_sentence_each(ask, tmp_path):
    folder = tmp_path / "pictures"
    words = ("probe", "-m", "shortcut=identity,constant", "depth=8,20", "--out", str(folder))
    outcome = ask(*words)
    assert outcome.status == 0, outcome.err
    written, *lines = outcome.out.splitlines()
    files = [str(folder / f"{name}.svg") for name in ("shortcut-gain", "mean-squares", "gradient")]
    assert written == f"written: {', '.join(files)}"
    constant = "constant scale=0.5 residual_scale=1"
    names = ["identity d8", "identity d20", f"{constant} d8", f"{constant} d20"]
    assert [line.split("  ")[0] for line in lines[1:5]] == names
    assert [line.partition(":")[0] for line in lines[-4:]] == names
    assert lines[-1] == f"{constant} d20: {CONSTANT}"
    text = (folder / "shortcut-gain.svg").read_text()
    assert all(f">{name}<" in text for name in names)
    assert text.startswith("<?xml")
    again = ask(*words)
    sentence = f"{folder}/shortcut-gain.svg is there already: add --overwrite, or name another folder with --out"
    assert (again.status, again.err) == (2, f"ablate probe: {sentence}\n")
    assert ask(*words, "--overwrite").status == 0


def test_trained_weights_are_measured(ask, tmp_path):
    assert ask("depth=8", "shortcut=gate", "iterations=20").status == 0
    (run,) = (tmp_path / "runs").iterdir()
    new, trained = (
        ask("probe", "depth=8", "shortcut=gate", *more).out.splitlines()[2] for more in ([], [f"init_from={run}"])
    )
    assert new != trained


def test_seed_and_custom_shortcut(ask, tmp_path, monkeypatch):
    (tmp_path / "mine_probe.py").write_text(
        "from torch import nn\n\n\nclass Third(nn.Module):\n"
        "    def __init__(self, in_channels, out_channels, stride):\n        super().__init__()\n"
        "        from ablate.models.shortcuts import match_shape\n"
        "        self.match = match_shape(in_channels, out_channels, stride, 'A')\n\n"
        "    def gain(self):\n        return 1 / 8\n\n"
        "    def forward(self, x, residual):\n        return self.match(x) / 8 + residual\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    words = ("probe", "shortcut._target_=mine_probe.Third", "depth=8")
    one, other = ask(*words).out.splitlines(), ask(*words, "seed=1").out.splitlines()
    assert one[2] != other[2]
    assert one[2].split()[6:9] == ["2^-9"] * 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["net=lenet5", "shortcut=none"], "net lenet5 has no residual units: there is no shortcut to measure"),
        (["depth=9"], "depth 9 is not 6n+2; nearest: 8, 14"),
        (["depth=8,14"], "depth=8,14 is a list: add -m for one line for each, as in ablate probe -m depth=8,14"),
        (["--images", "1"], "--images 1 is invalid: use 2 or more"),
    ],
)
def test_what_cannot_be_measured_is_refused(words, sentence, ask):
    outcome = ask("probe", *words)
    assert (outcome.status, outcome.err) == (2, f"ablate probe: {sentence}\n")


class Tagged(Identity):
    def __init__(self, *shape, tag, **more):
        super().__init__(*shape, **more)


def test_names_are_no_markup(ask):
    words = (
        "-m",
        "shortcut=identity",
        f"shortcut._target_={__name__}.Tagged",
        "+shortcut.tag='[/red]','[b]'",
        "depth=8",
    )
    outcome = ask("probe", *words)
    assert outcome.status == 0, outcome.err
    assert [line.split("  ")[0] for line in outcome.out.splitlines()[1:3]] == ["Tagged tag=[/red]", "Tagged tag=[b]"]
