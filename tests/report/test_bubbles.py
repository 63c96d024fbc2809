"""The chart of networks: published numbers against their sources, marks at their numbers, names that cover nothing."""

import itertools
import math
from dataclasses import asdict
from xml.etree import ElementTree

import numpy
import pytest
import torchvision
from matplotlib.text import Annotation

from ablate.models.build import build
from ablate.models.cost import multiply_adds, parameters
from ablate.report import figures, records
from ablate.report.aggregate import cells
from ablate.report.curves import read_curves
from ablate.report.figures import bubbles
from ablate.report.imagenet import NETWORKS


@pytest.mark.parametrize("network", [one for one in NETWORKS if one.net != "zfnet"], ids=lambda one: one.net)
def test_published_numbers_are_torchvisions(network):
    meta = torchvision.models.get_model_weights(network.net).IMAGENET1K_V1.meta
    errors = [100 - meta["_metrics"]["ImageNet-1K"][key] for key in ("acc@1", "acc@5")]
    assert [network.top1, network.top5] == pytest.approx(errors, abs=1e-6)
    assert network.parameters == meta["num_params"]
    assert network.multiply_adds / 1e9 == pytest.approx(meta["_ops"], abs=0.00051)


def test_operations_and_parameters_are_those_of_our_networks(resolve):
    for one in (one for one in NETWORKS if one.net in ("zfnet", "googlenet", "resnet18")):
        network = build(resolve(f"net={one.net}"), shape=(3, 224, 224), classes=1000)
        assert (multiply_adds(network, (3, 224, 224)), parameters(network)) == (one.multiply_adds, one.parameters)


def circles(drawing):
    """Centre in pixels, radius in pixels and place in data of every bubble."""
    found = [
        one
        for one in drawing.axes.collections
        if len(one.get_offsets()) and one.get_gid() and max(one.get_sizes()) > 30
    ]
    (circles,) = (one for one in found if len(one.get_sizes()) > 1 or len(one.get_offsets()) == 1)
    centres = drawing.axes.transData.transform(circles.get_offsets())
    sizes = numpy.broadcast_to(circles.get_sizes(), len(centres))
    return centres, numpy.sqrt(sizes) / 2 * drawing.figure.dpi / 72, numpy.asarray(circles.get_offsets())


def bars(drawing):
    """The ends of every interval."""
    lines = [one for one in drawing.axes.collections if hasattr(one, "get_segments") and len(one.get_segments())]
    return [line.get_segments()[0][:, 1].tolist() for line in lines]


def check_names(drawing):
    """No name covers another one, touches the outside of the axes or covers a bubble's centre."""
    drawing.figure.draw_without_rendering()
    names = [one for one in drawing.axes.texts if isinstance(one, Annotation)]
    boxes = [name.get_window_extent() for name in names]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    centres, radii, _ = circles(drawing)
    for box in boxes:
        assert drawing.axes.bbox.x0 <= box.x0
        assert box.x1 <= drawing.axes.bbox.x1 + 1
        for centre, radius in zip(centres, radii, strict=True):
            nearest = numpy.clip(centre, box.min, box.max)
            assert numpy.linalg.norm(nearest - centre) >= min(radius, 3)
    return [name.get_text() for name in names]


@pytest.mark.parametrize("width", [None, 3.05, 6.25])
def test_published_chart(width):
    drawing = bubbles.published(width=width)
    assert sorted(check_names(drawing)) == sorted(one.name for one in NETWORKS)
    _, radii, places = circles(drawing)
    assert places.tolist() == [[one.multiply_adds, one.top5] for one in NETWORKS]
    areas = radii**2 / [one.parameters for one in NETWORKS]
    assert areas == pytest.approx(areas[0])
    texts = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
    assert texts == ["entry to ILSVRC", "5 M parameters", "50 M parameters"]
    assert [label.get_text() for label in drawing.axes.get_xticklabels()] == ["0.5", "1", "2", "5", "10", "20"]


@pytest.fixture
def lecture(seeds, tmp_path):
    """The cells of a study of three networks, with intervals."""
    for words, errors, operations, count in (
        ("net=lenet5", [9.0, 8.6, 9.4], 416_520, 61_706),
        ("net=resnet depth=20", [1.8, 2.0, 2.2], 2_516_608, 269_434),
        ("net=plain20", [4.0, 4.4, 4.2], 2_516_608, 269_434),
        ("net=plain56", [70.0, 80.0, None], 7_825_024, 852_730),
    ):
        seeds(words, errors, multiply_adds=operations, parameters=count)
    runs = records.read(tmp_path / "runs").runs
    return cells(runs), runs


@pytest.mark.parametrize("width", [None, 3.05])
def test_chart_of_what_was_measured(lecture, width):
    study, _ = lecture
    drawing = bubbles.measured(study, width=width)
    assert sorted(check_names(drawing)) == ["LeNet-5", "ResNet-20", "plain-20"]
    _, _, places = circles(drawing)
    assert {*map(tuple, places.round(3))} == {(416_520, 9.0), (2_516_608, 2.0), (2_516_608, 4.2)}
    known = study[study["mean"].notna()]
    assert bars(drawing) == [[cell.low, cell.high] for cell in known.itertuples()]
    assert "1 of 4 rows are not drawn" in drawing.caption
    assert drawing.axes.get_xlabel() == "million multiply-adds for one image"


@pytest.mark.parametrize("width", [None, 3.05])
def test_errors_of_zero_are_drawn_at_the_lowest_tick(seeds, tmp_path, width):
    for words, errors, operations in (("depth=8", [0.0] * 3, 10), ("depth=14", [0.0, 0.0, 0.2], 20)):
        seeds(words, errors, multiply_adds=operations, parameters=5_000)
    seeds("depth=20", [98.0, 99.0, 100.0], multiply_adds=10**12, parameters=10_000)
    drawing = bubbles.measured(cells(records.read(tmp_path / "runs").runs), width=width)
    assert sorted(check_names(drawing)) == ["ResNet-14", "ResNet-20", "ResNet-8"]
    centres, _, places = circles(drawing)
    assert places.round(3).tolist() == [[10, 0.1], [20, 0.1], [10**12, 99.0]]
    assert all(drawing.axes.bbox.contains(*centre) for centre in centres)
    assert bars(drawing)[0][0] == 0.1
    assert "Errors below 0.1 % are drawn at 0.1 %." in drawing.caption
    assert [words[:20] for words in drawing.tips["tip0"][:2]] == ["ResNet-8: 0.00 ± 0.0", "ResNet-14: 0.07 ± 0."]


def test_bubbles_are_not_cut_at_the_axes(lecture):
    study, _ = lecture
    marks = [one for one in bubbles.measured(study).axes.collections if hasattr(one, "get_sizes")]
    assert {one.get_clip_on() for one in marks if max(one.get_sizes()) > 30} == {False}


@pytest.mark.parametrize("names", [("$a$", "b$_{"), ("<b>&amp;", "x & y"), ("%", "a_b^c")])
def test_names_are_drawn_as_they_are(names, write, resolve, tmp_path):
    for name in names:
        tree = asdict(resolve("depth=8"))
        tree["recipe"]["name"] = name
        write(tree=tree, test_error=5.0)
    drawing = bubbles.measured(cells(records.read(tmp_path / "runs").runs))
    texts = {text.text for text in ElementTree.fromstring(drawing.save("svg")).iter() if text.tag.endswith("}text")}
    assert {f"ResNet-8, {name}" for name in names} <= texts


def test_chart_is_on_the_page_where_networks_differ(lecture, seeds, tmp_path):
    study, runs = lecture
    assert "networks" in dict(figures.draw(study, runs, read_curves(runs.path)[0]))
    residual = runs[runs.net == "resnet"]
    assert "networks" not in dict(figures.draw(cells(residual), residual, read_curves(residual.path)[0]))


def test_rows_of_one_network_are_told_apart(seeds, tmp_path):
    for words in ("depth=20", "depth=20 shortcut=gate", "depth=20 recipe.learning_rate=0.1"):
        seeds(words, [5.0])
    found = bubbles.names(cells(records.read(tmp_path / "runs").runs))
    assert len({*found}) == 3
    assert any("gate bias_init=-6" in name for name in found)


def test_study_without_an_error_has_no_chart(seeds, tmp_path):
    seeds("depth=20", [None])
    assert bubbles.measured(cells(records.read(tmp_path / "runs").runs)) is None


@pytest.mark.parametrize(("number", "wanted"), [(71.8e6, 50e6), (1.0, 1), (4.99, 2), (852_730 / 2, 200_000)])
def test_round_numbers_of_the_legend(number, wanted):
    assert math.isclose(bubbles._round(number), wanted)
