"""Tab completion of commands, their options and the configuration, for bash and zsh."""

import argparse

from ablate.base.terminal import say
from ablate.config.explain import every_key
from ablate.config.files import GROUPS, declared, options
from ablate.config.schema import CUSTOM, keys

EXAMPLES = """examples:
  eval "$(ablate completion bash)"                    in ~/.bashrc
  eval "$(ablate completion zsh)"                     in ~/.zshrc"""

BASH = r"""_ablate() {
  local line=${COMP_LINE:0:COMP_POINT}
  local word=${line##* }
  local IFS=$'\n'
  # Bash splits words at '=' and ':', so what is before them on the line is not part of the reply.
  local prefix=${word%"${word##*[=:]}"}
  COMPREPLY=($(ablate completion --line "$line" 2>/dev/null))
  COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
}
complete -o nospace -o default -F _ablate ablate"""
ZSH = "autoload -U +X bashcompinit && bashcompinit\n" + BASH


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "shell", nargs="?", choices=("bash", "zsh"), default="bash", help="shell to complete for (bash)"
    )
    parser.add_argument("--line", help="print what can complete this command line, one word on a line")


def main(options: argparse.Namespace) -> None:
    if options.line is None:
        say(ZSH if options.shell == "zsh" else BASH)
    else:
        say("\n".join(complete(options.line)))


def complete(line: str) -> list[str]:
    """The words that the last word of `line`, which begins with 'ablate', may become."""
    from ablate import commands

    _, *before, word = ["ablate", *line.split()[1:], *([""] if line.endswith(" ") or len(line.split()) < 2 else [])]
    if before[:1] and before[0] in commands.names():
        parser = commands.parser(before[0])
        known = [option for action in parser._actions for option in action.option_strings if option.startswith("--")]
    elif "=" in word:
        known = values(word.partition("=")[0])
    else:
        known = [f"{typed(group)}=" for group in GROUPS]
        known += [f"{key}=" for key in every_key() if key not in GROUPS]
        known += ["-m", "--help"] if word.startswith("-") else [] if before else commands.names()
    return sorted(one for one in known if one.startswith(word))


def typed(group: str) -> str:
    """A group as the command line chooses from it: an experiment is added to the configuration."""
    return f"+{group}" if group == "experiment" else group


def values(key: str) -> list[str]:
    """KEY=VALUE for the values that a key may have, as far as they are names."""
    for group in GROUPS:
        if key == typed(group):
            return [f"{key}={name}" for name in options(group)]
    flags = {one.name for one in keys() if one.default in ("true", "false")}
    for group in (*CUSTOM, "hydra/launcher"):
        files = [declared(group, name) for name in options(group)]
        flags |= {f"{group.replace('/', '.')}.{one}" for file in files for one in file if isinstance(file[one], bool)}
    return [f"{key}={value}" for value in ("true", "false")] if key in flags else []
