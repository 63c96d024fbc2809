"""Errors that a user can fix. Their message is one sentence: what is wrong, where, and what to do."""


class AblateError(Exception):
    """An error outside the configuration: a missing file, a full disk. Exit status 1."""

    exit_status = 1


class ConfigError(AblateError):
    """A wrong configuration or command line. Exit status 2."""

    exit_status = 2


def printable(path: object) -> str:
    """A path for a sentence: as it is, or in quotes with escapes if it has a line break or is not UTF-8."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def one_line(error: BaseException) -> str:
    """The class of an error and the first line of its message."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
