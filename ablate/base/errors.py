"""What goes wrong for a reason the user can mend. The message is one sentence: what, where, what to do."""


class AblateError(Exception):
    """Something outside the configuration: a missing file, a full disk. Exit status 1."""

    exit_status = 1


class ConfigError(AblateError):
    """A request that cannot be carried out as written. Exit status 2."""

    exit_status = 2


def one_line(error: BaseException) -> str:
    """The kind of an error and the first line of what it says."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
