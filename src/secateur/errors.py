"""The base class of errors that a user can fix, and the most common checks."""

from hydra.errors import CompactHydraException


class SecateurError(CompactHydraException, ValueError):
    """Something in the settings or the data is wrong; the message names the key, the value and the remedy.

    Hydra prints a ``CompactHydraException`` as one line, continues with the other jobs of a multirun and exits
    with code 1. It is also a ``ValueError``, for callers who use the library from Python.
    """


def check_above_zero(**settings: float | None) -> None:
    """Refuse settings of 0 or less; None means that a setting was not given.

    Raises:
        SecateurError: naming the setting.
    """
    for name, value in settings.items():
        if value is not None and value <= 0:
            raise SecateurError(f"{name}={value}: must be above 0")


def check_at_least_one(**settings: int) -> None:
    """Refuse settings below 1.

    Raises:
        SecateurError: naming the setting.
    """
    for name, value in settings.items():
        if value < 1:
            raise SecateurError(f"{name}={value}: must be at least 1")
