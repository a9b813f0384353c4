"""The exceptions of fitwell: each is a `FitwellError` and the built-in error that fits.

A message is one sentence (two at most) for the person who reads it: which argument or column, what was
expected, what came, what to do.
"""


class FitwellError(Exception):
    """Whatever fitwell refuses or gives up on. The command line prints its text and exits with 2."""


class InputError(FitwellError, ValueError):
    """A value, a column or a table that cannot be used as it is."""


class InputTypeError(FitwellError, TypeError):
    """An argument of the wrong type."""


class FileError(FitwellError, OSError):
    """A file or directory that cannot be read, or must not be written."""


class FitwellWarning(UserWarning):
    """What a person should know and nothing is refused for: a sentence, as in the errors."""


class TrainingError(FitwellError, RuntimeError):
    """Nothing could be trained: every network diverged, or the memory budget is too small for one block."""


class UnfinishedError(TrainingError):
    """A training that is of use only when it is over, and for which there was no time."""


def counted(number: int, noun: str) -> str:
    """Say a number of things: the one place that knows when a noun is plural.

    Examples
    --------
    >>> counted(1, "row"), counted(1200, "missing value"), counted(2, "class")
    ('1 row', '1,200 missing values', '2 classes')
    """
    plural = noun + ("es" if noun.endswith(("s", "x")) else "s")
    return f"{number:,} {noun if number == 1 else plural}"
