"""The one class of errors that a user can mend, and the commonest checks."""

from hydra.errors import CompactHydraException


class SecateurError(CompactHydraException, ValueError):
    """Something in the settings or the data is wrong; the message names the key, the value and the remedy.

    Hydra prints a ``CompactHydraException`` as one line, goes on with the other jobs of a multirun and exits
    with code 1. It is a ``ValueError`` too, for those who call the library from Python.
    """


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
