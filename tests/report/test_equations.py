"""The equation of a shortcut, read and never executed."""

import pytest

from ablate.config.files import options
from ablate.report.equations import equation

# [B] Fig. 2 and docs/variants.md in this program's words.
EQUATIONS = {
    "identity": "y = x + F(x)",
    "none": "y = F(x)",
    "constant": "y = scale · x + residual_scale · F(x)",
    "gate": "y = (1 − g(x)) · x + F(x)",
    "exclusive_gate": "y = (1 − g(x)) · x + g(x) · F(x)",
    "conv1x1": "y = W x + F(x)",
    "dropout": "y = d(x) + F(x)",
    "skipinit": "y = x + α · F(x)",
    "rezero": "y = x + α · relu(F(x))",
    "layerscale": "y = x + λ · F(x)",
    "stable": "y = x + F(x) / √L",
    "weighted": "y = x + λ · F(x)",
    "stochastic_depth": "y = x + b · F(x) in training",
    "highway": "y = (1 − T(x)) · x + T(x) · relu(F(x))",
    "fused": "y = W concat(x, F(x))",
    "deepnorm": "y = α · x + F(x)",
    "normfree": "y = x + F(x)",
    "dense": "y = (x, F(x))",
    "hyper_connections": "y = A_rᵀ X + B · F(A_mᵀ X)",
    "hyper_connections_unmixed": "y = X + B · F(A_mᵀ X)",
    "mhc": "y = A_rᵀ X + B · F(A_mᵀ X) with A_r doubly stochastic",
    "attention_residuals": "y = Σ_i softmax_i(q · RMSNorm(s_i)) s_i",
    "denseformer": "y = Σ_(i≤l) w_li x_i",
}


@pytest.mark.parametrize("name", options("shortcut"))
def test_every_shipped_shortcut_has_its_equation(name, resolve):
    node = resolve(f"shortcut={name}").shortcut
    assert equation({"shortcut": node}, []) == EQUATIONS[node["name"]]


@pytest.fixture
def custom(tmp_path):
    def make(text):
        (tmp_path / "source" / "mine").mkdir(parents=True)
        (tmp_path / "source" / "mine" / "h.py").write_text(text)
        return equation({"shortcut": {"name": "h", "_target_": "mine.h.H"}}, [tmp_path / "other", tmp_path])

    return make


@pytest.mark.parametrize(
    ("docstring", "found"),
    [
        ("y = x + α · F(x).", "y = x + α · F(x)"),
        ("y = x", "y = x"),
        ("y = 0.5 x + F(x), half.\n\n    More.", "y = 0.5 x + F(x)"),
        ("y = max(x, F(x)): the larger one.", "y = max(x, F(x))"),
        ("y = 0.5 x + F(x) ([B] Fig. 2b).", "y = 0.5 x + F(x)"),
        ("y = σ(a·x; b) + F(x)", "y = σ(a·x; b) + F(x)"),
        ("y = a · x +\n    b · F(x). Two lines.", "y = a · x + b · F(x)"),
        ("y = (x", ""),
        ("y = " + "x + " * 99, ""),
        ("Adds.", ""),
    ],
)
def test_equation_of_custom_code_is_how_the_docstring_of_its_copy_begins(docstring, found, custom):
    assert custom(f'raise SystemExit\nclass Other:\n    """y = 1"""\nclass H:\n    """{docstring}"""\n') == found


@pytest.mark.parametrize("text", ["class H:\n    pass\n", "class H(:", "x = 1\n", "\0"])
def test_code_without_an_equation_has_none(text, custom):
    assert custom(text) == ""


def test_name_cannot_leave_the_copy(tmp_path):
    (tmp_path / "H.py").write_text('class H:\n    """y = 2 x"""\n')
    assert equation({"shortcut": {"_target_": "/etc/passwd.H"}}, [tmp_path]) == ""
    assert equation({"shortcut": {"_target_": ""}}, [tmp_path]) == ""
