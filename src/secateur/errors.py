"""The one class of errors that a user can mend, and the commonest checks."""

from collections.abc import Sequence
from typing import Any

from hydra.errors import CompactHydraException


class SecateurError(CompactHydraException, ValueError):
    """Something in the settings or the data is wrong; the message names the key, the value and the remedy.

    Hydra prints a ``CompactHydraException`` as one line, goes on with the other jobs of a multirun and exits
    with code 1. It is a ``ValueError`` too, for those who call the library from Python.
    """


def check_whole(**settings: Any) -> None:
    """Refuse a setting that is no whole number, 2.0 included; lists are looked into, and None was not given.

    Raises:
        SecateurError: naming it.
    """
    for name, value in settings.items():
        if value is not None and not _is_whole(value):
            raise SecateurError(f"{name}={value}: must be made of whole numbers")


def _is_whole(value: Any) -> bool:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return all(map(_is_whole, value))
    return isinstance(value, int) and not isinstance(value, bool)


def check_above_zero(**settings: float | None) -> None:
    """Refuse a setting of 0 or less; None is one that was not given.

    Raises:
        SecateurError: naming it.
    """
    for name, value in settings.items():
        if value is not None and value <= 0:
            raise SecateurError(f"{name}={value}: must be above 0")


def check_at_least_one(**settings: int) -> None:
    """Refuse a setting below 1.

    Raises:
        SecateurError: naming it.
    """
    for name, value in settings.items():
        if value < 1:
            raise SecateurError(f"{name}={value}: must be at least 1")
