"""The one class of errors that a user can mend."""

from hydra.errors import CompactHydraException


class SecateurError(CompactHydraException, ValueError):
    """Something in the settings or the data is wrong; the message names the key, the value and the remedy.

    Hydra prints a ``CompactHydraException`` as one line, goes on with the other jobs of a multirun and exits
    with code 1. It is a ``ValueError`` too, for those who call the library from Python.
    """
