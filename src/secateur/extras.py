"""Packages that only some ways of using secateur need: told in one line where they are missing."""

from __future__ import annotations

from importlib.util import find_spec

from secateur.errors import SecateurError


def check_installed(asked: str, *packages: str, extra: str) -> None:
    """Refuse what was ``asked`` where packages of an extra are missing; none of them is imported.

    Args:
        asked: as the user wrote it.
        packages: names as they are imported.
        extra: what brings them.

    Raises:
        SecateurError: naming those that are missing.
    """
    missing = [name.rpartition(".")[2] for name in packages if find_spec(name) is None]
    if missing:
        raise SecateurError(f'{asked}: needs {", ".join(missing)}; install with: pip install "secateur[{extra}]"')
