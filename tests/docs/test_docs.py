"""README and docs/: Python blocks are executed, commands are parsed and composed, links lead somewhere."""

import contextlib
import importlib.util
import itertools
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy
import pytest
import yaml
from PIL import Image

import ablate.commands.run
import ablate.grid.sweeper
from ablate import commands
from ablate.commands import guarded
from ablate.config.explain import every_key
from ablate.config.files import conf_folder
from ablate.config.schema import keys
from ablate.grid.slurm import client
from ablate.runs import layout

ROOT = Path(ablate.__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)(?: title=\"([^\"\n]+)\")?\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\((?!\w+:)([^)\s#]*)(?:#([^)\s]*))?\)")
SPAN = re.compile(r"`([^`\n]+)`")
GROUPS = ("shortcut", "unit", "data", "recipe", "tracker", "hydra/launcher", "hydra/sweeper")
PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b")


@dataclass(frozen=True)
class Block:
    """A fenced block: `title` is the name of the file that it shows."""

    language: str
    title: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [Block(*match.groups(""), text.count("\n", 0, match.start()) + 1) for match in FENCE.finditer(text)]


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def command_lines(page: Path) -> Iterator[str]:
    """Every command of the page's shell blocks, and those in its sentences that have no placeholder."""
    for block in blocks(page):
        if block.language in ("bash", "console"):
            lines = block.text.replace("\\\n", "").splitlines()
            yield from (line.removeprefix("$ ") for line in lines if block.language == "bash" or line.startswith("$ "))
    for span in SPAN.findall(prose(page)):
        if span.startswith(("ablate ", "make ")) and not PLACEHOLDER.search(span) and "..." not in span:
            yield span


def simple_commands(line: str) -> Iterator[list[str]]:
    """The words of each command in a line of shell, without variables, pipes and comments."""
    line = re.sub(r'eval "\$\((.*)\)"', r"\1", line)
    words: list[str] = []
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;>")
    lexer.whitespace_split = True
    for word in [*lexer, ";"]:
        if set(word) <= set("|&;>"):
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words:
                yield words
            words = []
        else:
            words.append(word)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty working directory from which modules are imported, with a folder of images."""
    for name in ("HYDRA_FULL_ERROR", "ABLATE_TRACEBACK"):
        monkeypatch.setenv(name, "")  # `main` sets them
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")  # runs of one thread: the suite's processes share few cores
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ABLATE_DATA", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.syspath_prepend(tmp_path / "here")
    splits = ("images/train", "images/test", "imagenet/train", "imagenet/val")
    for split, name in itertools.product(splits, ("cat", "dog")):
        Path(split, name).mkdir(parents=True)
        Image.fromarray(numpy.zeros((8, 8), numpy.uint8)).save(f"{split}/{name}/0.png")
    for name in ("weights.pt", "resnet20-12fca82f.th", "resnet50.pth"):  # of init_from
        Path(name).touch()
    before = set(sys.modules)
    yield tmp_path / "here"
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


@pytest.mark.usefixtures("optuna")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_blocks_run(page, folder):
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.language == "python":
            exec(compile("\n" * block.line + block.text, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_are_accepted(page, folder, monkeypatch, capsys):
    planned: list[object] = []
    for module in (ablate.commands.run, ablate.grid.sweeper):
        monkeypatch.setattr(module, "dry_run", planned.extend)
    monkeypatch.setattr(client, "need", lambda _: None)
    for block in blocks(page):
        if block.title:
            Path(block.title).parent.mkdir(parents=True, exist_ok=True)
            Path(block.title).write_text(block.text)
    for line in dict.fromkeys(command_lines(page)):
        for words in simple_commands(line):
            if words[0] == "make":
                targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
                assert {word for word in words[1:] if "=" not in word} <= set(targets), line
            elif words[:2] in (["ablate", "--help"], ["ablate", "--version"]):
                continue
            elif words[0] == "ablate" and words[1] in commands.names():
                with contextlib.suppress(SystemExit) if words[2:] == ["--help"] else contextlib.nullcontext():
                    commands.parser(words[1]).parse_intermixed_args(words[2:])
            elif words[0] == "ablate":
                planned.clear()
                with monkeypatch.context() as patch:
                    patch.setattr(sys, "argv", ["ablate"])
                    status = guarded(
                        "ablate", lambda words=words: ablate.commands.run.main([*words[1:], "dry_run=true"])
                    )
                assert status == 0, f"{line}: {capsys.readouterr().err}"
                assert planned, line


def words(text: str) -> str:
    """The words of an output without those that depend on the machine: numbers, bars, threads."""
    return " ".join(word for word in text.split() if not re.search(r"[\d█]|thread", word))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_console_blocks_show_what_is_printed(page, ask):
    """A line of three dots stands for any lines."""
    for block in blocks(page):
        if block.language == "console":
            command, _, expected = block.text.removeprefix("$ ").partition("\n")
            printed = ask(*shlex.split(command)[1:])
            assert printed.status == 0, printed.err
            parts = [re.escape(words(part)) for part in re.split(r"^\.{3}$", expected, flags=re.M)]
            assert re.fullmatch(" ?.*".join(parts), words(printed.out)), printed.out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_keys_exist(page):
    known = {*every_key(), "cluster", *GROUPS}
    for group in GROUPS:
        for path in (conf_folder() / group).glob("*.yaml"):
            prefix = group.replace("/", ".")
            known |= {f"{prefix}.{key}" for key in yaml.safe_load(path.read_text())}
    known |= {key.rpartition(".")[2] for key in known}
    for block in blocks(page):
        if block.title.endswith(".yaml"):  # of the page's own shortcut
            known |= {f"{Path(block.title).parent.name}.{key}" for key in yaml.safe_load(block.text)}
    for span in SPAN.findall(prose(page)):
        if match := re.fullmatch(r"\+?([a-z][a-z_./]*)=\S*", span):
            assert match[1] in known, span


def anchors(path: Path) -> set[str]:
    """As GitHub and mkdocs name headings, and mkdocstrings objects."""
    text = generated().get(path.name) or path.read_text()
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.M)
    slugs = {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}
    return slugs | set(re.findall(r"^::: (\S+)$", text, re.M))


def generated() -> dict[str, str]:
    """The pages that docs/hooks.py makes, by name."""
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs/hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    return {name: text() for name, text in hooks.GENERATED.items() if name != "index.md"}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "slurm/README.md"], ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for path, anchor in LINK.findall(prose(page)):
        target = (page.parent / path).resolve() if path else page
        assert target.exists() or (target.parent == ROOT / "docs" and target.name in generated()), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_generated_references_have_every_key_and_command():
    pages = generated()
    for key in keys():
        assert f"| `{key.name}` |" in pages["configuration.md"]
    for name in commands.names():
        assert f"usage: ablate {name} " in pages["commands.md"]


def test_record_page_has_every_file_and_key(ask, tmp_path):
    page = (ROOT / "docs/records.md").read_text()
    for name in (value for key, value in vars(layout).items() if key.isupper()):
        assert name.replace("{}", "N") in page, name
    assert ask("depth=8", "iterations=2", "probes=signal").status == 0
    (folder,) = (path for path in (tmp_path / "runs").iterdir() if layout.is_run(path.name))
    result = yaml.safe_load((folder / layout.RESULT).read_text())
    line = yaml.safe_load((folder / layout.METRICS).read_text().splitlines()[0])
    for key in [*result, *result["sessions"][0], *line]:
        assert f"`{key}`" in page, key


def test_architecture_page_has_every_module():
    """A package is listed with all of its modules, or alone."""
    tree = next(block.text for block in blocks(ROOT / "docs/architecture.md") if block.text.startswith("ablate/"))
    listed, alone, package = set(), set(), ""
    for line in tree.partition("\nconf/")[0].splitlines()[1:]:
        inside = line.startswith(" " * 4)
        for name in re.split(r"\s{2,}", line.strip())[0].split(", "):
            if name.endswith("/"):
                package = package if inside else name
                alone.add(f"{package}{name}" if inside else name)
            else:
                listed.add(f"{package}{name}" if inside else name)
    alone = {name for name in alone if not any(one.startswith(name) for one in listed)}
    modules = {path.relative_to(ROOT / "ablate").as_posix() for path in (ROOT / "ablate").rglob("*.py")}
    modules = {name for name in modules if name == "__init__.py" or not name.endswith("__init__.py")}
    assert {name for name in modules if not name.startswith(tuple(alone))} == listed


def test_readme_is_short():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    assert len(text.split()) <= 1150
