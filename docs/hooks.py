"""MkDocs hooks: the README as the home page, generated references, and the repository files that pages link to.

make docs
"""

import argparse
import posixpath
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ablate import commands
from ablate.config.files import conf_folder, sites_folder
from ablate.config.schema import keys

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(!?\[[^\]]*\])\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")
"""A Markdown link to a file: its text in brackets, the path, the anchor."""


def configuration() -> str:
    """Every key of a run, and the files of every configuration group."""
    lines = [
        "# Configuration reference",
        "",
        "Generated from `ablate/config/schema.py` and `conf/`. `ablate --help` prints the same keys.",
        "",
        "## Keys of a run",
        "",
        "A key is set with `KEY=VALUE`. Keys without a default get their value from the file chosen in their group.",
        "",
        "| key | default | meaning |",
        "|---|---|---|",
        *(f"| `{key.name}` | {f'`{key.default}`' if key.default else ''} | {key.meaning} |" for key in keys()),
    ]
    for group, choose in GROUPS.items():
        lines += ["", f"## {group}", "", f"Chosen with {choose}."]
        for path in sorted(((sites_folder() if group == "cluster" else conf_folder()) / group).glob("*.yaml")):
            lines += ["", f"### {path.stem}", "", "```yaml", path.read_text().strip(), "```"]
    return "\n".join(lines) + "\n"


GROUPS = {
    "shortcut": "`shortcut=NAME`; its parameters with `shortcut.KEY=VALUE`",
    "unit": "`unit=NAME`; its parameters with `unit.KEY=VALUE`",
    "net": "`net=NAME`",
    "data": "`data=NAME`",
    "recipe": "`recipe=NAME`",
    "experiment": "`+experiment=NAME`, after `-m`",
    "hydra/launcher": "`hydra/launcher=NAME`, after `-m`; its keys with `hydra.launcher.KEY=VALUE`",
    "cluster": "`cluster=NAME`, with `hydra/launcher=slurm`",
    "tracker": "`tracker=NAME`",
}


def command_reference() -> str:
    """The help of every command."""
    lines = [
        "# Commands",
        "",
        "Generated from `ablate COMMAND --help`. `ablate KEY=VALUE ...` without a command is a run.",
    ]
    for name in commands.names():
        parser = commands.parser(name)
        parser.formatter_class = partial(argparse.RawDescriptionHelpFormatter, width=88)
        lines += ["", f"## {name}", "", "```text", parser.format_help().strip(), "```"]
    return "\n".join(lines) + "\n"


GENERATED: dict[str, Callable[[], str]] = {
    "index.md": lambda: (ROOT / "README.md").read_text(),
    "configuration.md": configuration,
    "commands.md": command_reference,
}
"""Pages of the site that are not files in docs/."""


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages, and every file outside docs/ that a page links to."""
    from mkdocs.structure.files import File

    for name, text in GENERATED.items():
        files.append(File.generated(config, name, content=text()))
    waiting = [_source(file.src_uri) for file in files.documentation_pages()]
    seen = set(waiting)
    while waiting:
        for target in set(_targets(waiting.pop())) - seen:
            seen.add(target)
            if not target.startswith("docs/"):
                files.append(File.generated(config, target, abs_src_path=str(ROOT / target)))
                waiting += [target] if target.endswith(".md") else []
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turn links between files of the repository into links between files of the site."""
    here = page.file.src_uri
    source = _source(here)

    def rewrite(link: "re.Match[str]") -> str:
        text, path, anchor = link.group(1), link.group(2), link.group(3) or ""
        target = _target(source, path)
        if target is None:  # a folder; or a broken link, which mkdocs reports
            folder = (ROOT / source).parent / path
            return text.strip("[]") if folder.is_dir() else link.group(0)
        return f"{text}({posixpath.relpath(_uri(target), posixpath.dirname(here) or '.')}{anchor})"

    return LINK.sub(rewrite, markdown)


def _targets(page: str) -> Iterator[str]:
    if not (ROOT / page).is_file():  # a generated page
        return
    for link in LINK.finditer((ROOT / page).read_text()):
        if target := _target(page, link.group(2)):
            yield target


def _target(page: str, link: str) -> str | None:
    """The repository's file that a link in `page` leads to, a folder's README.md for the folder; None if none."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
    if (ROOT / path).is_dir():
        path = f"{path}/README.md"
    generated = path.removeprefix("docs/") in GENERATED and path.startswith("docs/")
    return path if generated or (ROOT / path).is_file() else None


def _uri(path: str) -> str:
    """The place in the site of a repository file."""
    return "index.md" if path == "README.md" else path.removeprefix("docs/")


def _source(uri: str) -> str:
    """The repository file of a place in the site."""
    inside = uri in GENERATED or (ROOT / "docs" / uri).is_file()
    return "README.md" if uri == "index.md" else f"docs/{uri}" if inside else uri
