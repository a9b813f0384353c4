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
