"""`ablate evaluate`: a run or a file on its own data and on other data."""

import json

import numpy
import pytest
import torch
from PIL import Image

import ablate
from ablate.commands import evaluate
from ablate.commands.evaluate import confusions
from ablate.data.digits import load_digits
from ablate.runs import layout
from ablate.runs.evaluation import answers
from ablate.runs.reading import read_predictions
from tests.data.images import write_images


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that has learned a little."""
    results = tmp_path_factory.mktemp("runs")
    return ablate.run("shortcut=gate", "depth=8", "iterations=40", "device=cpu", f"results={results}")


def found(ask, *words):
    asked = ask("evaluate", *map(str, words), "--json")
    assert (asked.status, asked.err) == (0, ""), asked
    return json.loads(asked.out)


def test_run_is_evaluated_as_its_record_says(run, ask):
    last = json.loads((run.folder / layout.METRICS).read_text().splitlines()[-1])
    predicted, true = read_predictions(run.folder)
    confusion = [[int(((true == row) & (predicted == column)).sum()) for column in range(10)] for row in range(10)]
    facts = found(ask, run.folder, "device=cpu")
    assert facts["loss"] == pytest.approx(last["test_loss"], rel=1e-5)
    assert (facts["error"], facts["images"], facts["confusion"]) == (last["test_error"], 500, confusion)
    assert (facts["data"], facts["evaluated_on"], facts["classes"]) == ("digits", "test", list("0123456789"))
    file = found(ask, run.folder / layout.WEIGHTS, "shortcut=gate", "depth=8", "device=cpu")
    assert file | {"evaluated": facts["evaluated"]} == facts  # the run's mean image is that of the training images


def test_streamed_run_is_evaluated_with_its_size_and_views(ask, tmp_path):
    root = write_images(tmp_path / "images")
    words = ("data=imagenet", f"data.root={root}", "data.size=32", "data.views=10", "data.workers=0", "recipe.batch=8")
    run = ablate.run(*words, "depth=8", "iterations=3", "device=cpu", f"results={tmp_path / 'runs'}")
    last = json.loads((run.folder / layout.METRICS).read_text().splitlines()[-1])
    facts = found(ask, run.folder, "device=cpu", "data.workers=0")
    assert (facts["loss"], facts["error"]) == (pytest.approx(last["test_loss"], rel=1e-5), last["test_error"])
    assert found(ask, run.folder, "device=cpu", "data.views=1", "data.workers=0")["loss"] != facts["loss"]


def test_network_of_a_file_may_be_named_in_a_folder_of_ones_own(run, ask, tmp_path):
    (tmp_path / "my/shortcut").mkdir(parents=True)
    (tmp_path / "my/shortcut/open.yaml").write_text("defaults: [gate, _self_]\nbias_init: -2.0\n")
    file, words = run.folder / layout.WEIGHTS, ("depth=8", "device=cpu")
    wanted = found(ask, file, "shortcut=gate", *words)
    assert found(ask, file, "shortcut=open", *words, "--config-dir", tmp_path / "my") == wanted


def test_table_has_the_numbers(run, ask):
    facts, shown = found(ask, run.folder, "device=cpu"), ask("evaluate", str(run.folder), "device=cpu")
    lines = shown.out.splitlines()
    assert lines[0] == f"{run.folder}: 500 test images of data=digits"
    for name, key, form in (("error", "error", ".2f"), ("loss", "loss", ".4f")):
        assert f"{name:<12} {facts[key]:{form}}" in "\n".join(lines)
    row = next(line for line in lines if line.startswith("│ 3 "))
    assert [int(cell or 0) for cell in map(str.strip, row.split("│")[2:-1])] == facts["confusion"][3]


class Fixed(torch.nn.Module):
    """Its logits are its images."""

    def forward(self, x):
        return x.flatten(1)


@pytest.mark.parametrize("classes", [10, 11])
def test_top_5_error_and_loss_by_hand(classes):
    """Image 0 ranks its class first, image 1 fifth, image 2 sixth, image 3 last."""
    digits = load_digits()
    x = torch.arange(classes, 0, -1, dtype=torch.uint8).repeat(4, 1)[:, None, None]
    y = torch.tensor([0, 4, 5, classes - 1])
    data = ablate.data.dataset.Dataset(digits.train_x, digits.train_y, x, y, tuple(map(str, range(classes))))
    zero, std = torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 0.5)
    got = answers(Fixed(), data, zero, std, torch.device("cpu"))
    logits = numpy.arange(classes, 0, -1) / 255 / 0.5
    losses = [numpy.log(numpy.exp(logits).sum()) - logits[true] for true in y]
    assert got.loss == pytest.approx(numpy.mean(losses), rel=1e-6)
    assert (got.error, got.top5_error) == (75, 50 if classes > 10 else None)
    assert got.confusion.sum() == got.confusion[:, 0].sum() == 4
    assert got.confusion[4, 0] == 1


def test_most_frequent_confusions_come_first(monkeypatch):
    confusion = [[9, 1, 0], [3, 0, 2], [0, 3, 7]]
    assert confusions(confusion) == [(3, 1, 0), (3, 2, 1), (2, 1, 2), (1, 0, 1)]
    monkeypatch.setattr(evaluate, "MOST", 2)
    assert confusions(confusion) == [(3, 1, 0), (3, 2, 1)]


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Makes an image folder: `images(classes, side)`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def made(names, side=8, mode="L"):
        digits = load_digits()
        for split in ("train", "test"):
            for number, name in enumerate(names):
                folder = tmp_path / "it's" / split / name
                folder.mkdir(parents=True)
                image = Image.fromarray(digits.test_x[digits.test_y == number % 10][0, 0].numpy())
                image.resize((side, side)).convert(mode).save(folder / "0.png")
        return "data=folder", f"data.root='{tmp_path / 'it'!s}\\'s'"

    return made


def test_names_of_classes_are_shown_as_they_are(ask, images, tmp_path):
    words = images(["cat [wild]", "[red]dog"])
    assert ask(*words, "depth=8", "iterations=1", "recipe.batch=2", "device=cpu").status == 0
    (run,) = (tmp_path / "runs").glob("folder-*")
    shown = ask("evaluate", str(run))
    assert shown.out.count("cat [wild]") == shown.out.count("[red]dog") == 2


def test_run_is_evaluated_on_other_images(run, ask, images):
    words = images("0123456789")
    facts = found(ask, run.folder, *words)
    assert (facts["images"], facts["data"]) == (10, "folder")
    assert [sum(row) for row in facts["confusion"]] == [1] * 10


def test_other_names_of_classes_are_said(run, ask, images):
    asked = ask("evaluate", str(run.folder), *images("abcdefghij"))
    assert asked.status == 0
    assert asked.err == "ablate evaluate: the classes have other names than the run's, and are taken in their order\n"


def test_run_on_images_is_evaluated_on_them_again_and_where_they_are_now(ask, images, tmp_path):
    words = images([f"{number:02}" for number in range(21)])
    folder = ablate.run(
        *words, "depth=8", "iterations=1", "recipe.batch=4", "data.validation=5", f"results={tmp_path / 'r'}"
    ).folder
    facts = found(ask, folder)
    assert (facts["evaluated_on"], facts["images"]) == ("validation", 5)
    shown = ask("evaluate", str(folder)).out
    assert "Most frequent confusions" in shown
    (tmp_path / "it's").rename(tmp_path / "moved")
    assert found(ask, folder, f"data.root={tmp_path / 'moved'}") == facts
    gone = ask("evaluate", str(folder))
    assert (gone.status, len(gone.err.splitlines())) == (2, 1)


def test_channel_statistics_take_the_place_of_the_mean_image(run, ask):
    one = found(ask, run.folder, "--mean", "0.5", "--std", "0.25")
    digits = load_digits()
    network, _ = ablate.load_network(run.folder)
    with torch.no_grad():
        answers = network((digits.test_x / 255 - 0.5) / 0.25).argmax(1)
    assert one["error"] == 100 * (answers != digits.test_y).double().mean().item()


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("RUN", "depth=8"), 2, "depth=8 is not for a run, whose record says all but data and device: leave it out"),
        (("RUN", "--mean", "1,2"), 2, "--mean has 2 numbers, and the images 1 channels: give one for each"),
        (("RUN", "--std", "0"), 2, "--std 0.0 is invalid: use numbers above 0"),
        (("RUN", "--std", "x"), 2, "'x' is not numbers with commas, as in 0.485,0.456,0.406"),
        (("RUN/weights.pt", "depth=8"), 2, "the network has no stages.0.0.shortcut.gate.weight"),
        (("RUN", "--mean", "nan"), 2, "'nan' is not numbers with commas, as in 0.485,0.456,0.406"),
        (("RUN/weights.pt", "depth=9"), 2, "depth 9 is not 6n+2"),
        (
            ("RUN/weights.pt", "init_from=RUN"),
            2,
            "is for training; the weights are those in RUN/weights.pt: leave it out",
        ),
        (("RUN/nothing.pt",), 2, "nothing.pt cannot be read: No such file or directory"),
        (("RUN/..",), 1, "holds no trained network"),
    ],
)
def test_wrong_request_is_one_sentence(words, status, sentence, run, ask):
    refused = ask("evaluate", *(word.replace("RUN", str(run.folder)) for word in words))
    assert refused.status == status, refused
    assert sentence.replace("RUN", str(run.folder)) in refused.err
    assert len([line for line in refused.err.splitlines() if not line.startswith(("usage", " "))]) == 1


@pytest.mark.parametrize(
    ("names", "how", "sentence"),
    [
        ("0123456789", {"side": 9}, "has channels, height and width [1, 9, 9], and RUN [1, 8, 8]: use other data"),
        ("0123456789", {"mode": "RGB"}, "has channels, height and width [3, 8, 8], and RUN [1, 8, 8]: use other data"),
        ("012", {}, "data=folder has classes 3, and RUN 10: use other data"),
    ],
)
def test_images_that_do_not_fit_are_one_sentence(names, how, sentence, run, ask, images):
    refused = ask("evaluate", str(run.folder), *images(names, **how))
    assert (refused.status, len(refused.err.splitlines())) == (2, 1)
    assert sentence.replace("RUN", str(run.folder)) in refused.err
