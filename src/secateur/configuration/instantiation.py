"""From a composed config to typed settings and objects; a mistake is reported under the key to change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, TypeVar

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from secateur.errors import SecateurError

Schema = TypeVar("Schema")


def typed(composed: DictConfig, schema: type[Schema]) -> Schema:
    """Resolve ``composed`` and convert it to ``schema``, a dataclass.

    Raises:
        SecateurError: if a key is unknown, missing or of the wrong type.
    """
    try:
        OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
        merged = OmegaConf.merge(OmegaConf.structured(schema), composed)
        return OmegaConf.to_object(merged)  # type: ignore[return-value]
    except MissingMandatoryValue as error:
        raise SecateurError(f"{error.full_key}: has no value; give one with {error.full_key}=…") from error
    except ConfigKeyError as error:
        parent, _, key = str(error.full_key).rpartition(".")
        known = error.object_type.__dataclass_fields__ if error.object_type else ()
        raise unknown_key(key, known, where=parent) from error
    except OmegaConfBaseException as error:
        first_line = str(error).splitlines()[0]
        raise SecateurError(f"{error.full_key}={error.value}: {first_line}") from error


def as_written(value: Any) -> Any:
    """A value as a message shows it: None is ``null`` in a config."""
    return "null" if value is None else value


def unknown_key(key: str, known: Iterable[str], *, where: str) -> SecateurError:
    """The error for a key that nothing reads, with the most similar known key as a hint."""
    known = sorted(known)
    near = get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(known) or 'none'}"
    return SecateurError(f"{where}.{key}: unknown key; {hint}" if where else f"{key}: unknown key; {hint}")


def build(node: Any, *, key: str, **runtime: Any) -> Any:
    """Instantiate a ``_target_`` node.

    Raises:
        SecateurError: if that fails, reported under the node's place in the config, ``key``.
    """
    try:
        return instantiate(node, **runtime)
    except InstantiationException as error:
        if isinstance(error.__cause__, SecateurError):
            raise SecateurError(f"{key}.{error.__cause__}") from error
        cause = str(error.__cause__ or error).splitlines()[0]
        raise SecateurError(f"{key}: cannot be built: {cause}") from error


@contextmanager
def set_in(method: Mapping[str, Any], step: str) -> Iterator[None]:
    """Within the context, a mistake in a method's step is reported under the key that sets the value.

    That is the method's own setting if it has one of that name, otherwise the step's, at any depth.
    """
    key = f"method.steps.{step}"
    try:
        yield
    except SecateurError as error:
        message = str(error).removeprefix(f"{key}.")
        name = message.partition("=")[0]
        if name in method:
            message = f"method.{message}"
        elif name != "sparsity" and (path := _path_to(name, method["steps"][step])):
            message = f"{key}.{path}{message.removeprefix(name)}"
        raise SecateurError(message) from error


def _path_to(name: str, node: Any) -> str | None:
    """The dotted path from ``node`` to a key called ``name``, or None; the topmost if there are several."""
    if not isinstance(node, Mapping):
        return None
    if name in node:
        return name
    below = ((key, _path_to(name, child)) for key, child in node.items())
    return next((f"{key}.{path}" for key, path in below if path), None)
