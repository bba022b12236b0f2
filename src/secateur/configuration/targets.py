"""Compares the arguments of each ``_target_`` in a config with its signature: keys, and types of plain values."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from pydantic import ConfigDict, TypeAdapter, ValidationError

from secateur.configuration.instantiation import as_written, unknown_key
from secateur.errors import SecateurError

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
_PLURALS = {int: "whole numbers", float: "numbers", str: "strings"}
_REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def check_targets(config: Any, *, composed: DictConfig) -> None:
    """Compare every ``_target_`` of ``config`` with the signature of what it names.

    Args:
        config: the typed settings.
        composed: the same config as Hydra composed it, so that a wrong value is reported under the key that set it.

    Raises:
        SecateurError: for a target that cannot be imported, a key that it does not take, or a value of the wrong type.
    """
    resolved = OmegaConf.to_container(OmegaConf.structured(config))
    for key, node in _targets(resolved, ""):
        try:
            target = get_object(node["_target_"])
            parameters = inspect.signature(target).parameters
        except Exception as error:
            raise SecateurError(f"{key}._target_={node['_target_']}: cannot be imported ({error})") from error
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
        hints = _hints(target) if target.__module__.startswith("secateur.") else {}
        for name, value in node.items():
            if name.startswith("_"):
                continue
            if name not in parameters and not takes_any:
                raise unknown_key(name, parameters, where=key)
            if name in hints and not _is_of(value, hints[name]):
                written = OmegaConf.to_container(composed, resolve=False)
                place = _set_by(f"{key}.{name}", written)
                raise SecateurError(f"{place}={as_written(value)}: must be {_in_words(hints[name])}")


def _targets(node: Any, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    children = node.items() if isinstance(node, dict) else ()
    if isinstance(node, dict) and "_target_" in node:
        yield key, node
    for name, child in children:
        yield from _targets(child, f"{key}.{name}" if key else str(name))


@cache
def _hints(target: Any) -> dict[str, Any]:
    """The types of a target's parameters that are plain: numbers, strings, Booleans, and lists of these."""
    bases = reversed(target.__mro__) if inspect.isclass(target) else ()
    takers = [vars(base).get("__init__") for base in bases] or [target]
    hints = {name: hint for each in takers if inspect.isfunction(each) for name, hint in get_type_hints(each).items()}
    return {name: hint for name, hint in hints.items() if name != "return" and _is_plain(hint)}


def _is_plain(hint: Any) -> bool:
    return hint in _WORDS or hint is NoneType or (_is_composed(hint) and all(map(_is_plain, get_args(hint))))


def _is_composed(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType, Sequence)


def _is_of(value: Any, hint: Any) -> bool:
    try:
        _adapter(hint).validate_python(value)
    except ValidationError:
        return False
    return True


@cache
def _adapter(hint: Any) -> TypeAdapter:
    # Strict: 2.0 is not a whole number, and the string "no" is not a Boolean, since YAML would have converted it.
    return TypeAdapter(hint, config=ConfigDict(strict=True, allow_inf_nan=False))


def _in_words(hint: Any) -> str:
    if get_origin(hint) in (Union, UnionType):
        named = [_in_words(each) for each in get_args(hint) if each is not NoneType]
        return " or ".join([*named, "null"] if NoneType in get_args(hint) else named)
    return f"a list of {_in_plural(get_args(hint)[0])}" if get_origin(hint) is Sequence else _WORDS[hint]


def _in_plural(hint: Any) -> str:
    return f"lists of {_in_plural(get_args(hint)[0])}" if get_origin(hint) is Sequence else _PLURALS[hint]


def _set_by(key: str, written: Any) -> str:
    """The key that sets the value at ``key``, if it or a node above it refers to another key (``${method.p}``)."""
    node, rest = written, key.split(".")
    while rest:
        name, *rest = rest
        node = node.get(name) if isinstance(node, Mapping) else None
        if isinstance(node, str) and (reference := _REFERENCE.fullmatch(node)):
            return _set_by(".".join([reference[1], *rest]), written)
    return key
