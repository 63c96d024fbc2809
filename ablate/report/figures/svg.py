"""A figure as an SVG element of the page: it follows the page's colours, and its marks carry their texts."""

import re
from xml.etree import ElementTree

from ablate.report.figures.drawing import COLOURS, Drawing

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", XLINK)


def inline(drawing: Drawing, name: str) -> str:
    """One <svg> element. Its ids begin with `name`, so that the ids of several figures on a page differ."""
    root = ElementTree.fromstring(drawing.save("svg", transparent=True))
    for metadata in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata)
    for tip, words in drawing.tips.items():
        for group in root.iterfind(f".//*[@id='{tip}']"):
            defined = [element for definitions in group.iter(f"{{{SVG}}}defs") for element in definitions]
            # matplotlib writes a mark as <use>, or as <path> where that is shorter.
            shapes = [*group.iter(f"{{{SVG}}}use"), *group.iter(f"{{{SVG}}}path")]
            for mark, text in zip((shape for shape in shapes if shape not in defined), words, strict=True):
                mark.set("data-tip", text)
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{name}-{value}")
            elif key == f"{{{XLINK}}}href":
                element.set(key, f"#{name}-{value.removeprefix('#')}")
            else:
                element.set(key, _themed(value.replace("url(#", f"url(#{name}-")))
    del root.attrib["width"], root.attrib["height"]
    root.set("role", "img")
    root.set("aria-label", drawing.title)
    return ElementTree.tostring(root, encoding="unicode")


def _themed(value: str) -> str:
    """Colours as CSS variables, which a dark page makes lighter; black is the colour of the page's text."""
    value = value.replace("#000000", "currentColor")
    for number, colour in enumerate(COLOURS[1:], 1):
        value = re.sub(rf"(?<=[: ]){colour}", f"var(--c{number}, {colour})", value)
    return value
