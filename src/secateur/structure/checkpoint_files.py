"""Checks of the files in a model folder before anything is loaded; errors name what is missing or damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from secateur.errors import SecateurError

_INDEX = "model.safetensors.index.json"
_WEIGHTS = ("model.safetensors", _INDEX)
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
_TOKENIZER_FILES = ("tokenizer*.json", "vocab.json", "special_tokens_map.json", "added_tokens.json")
# The entries of config.secateur that the modelling file reads, and their types.
_SHAPE = {"heads": list, "units": list, "head_size": int, "paths": dict}


def read_config(folder: Path) -> dict[str, Any]:
    """The contents of ``config.json``.

    Raises:
        SecateurError: if there is none, it is not a configuration, or its description of an uneven shape is incomplete.
    """
    if not folder.is_dir():
        raise SecateurError(f"{folder}: no such folder; give one with config.json and model.safetensors")
    path = folder / "config.json"
    if not path.is_file():
        raise SecateurError(f"{folder}: contains no config.json; {_found(folder)}")
    config = _read_object(path)
    if config.get("secateur") is not None:
        _check_shape(config["secateur"], path=path)
    return config


def check_weights(folder: Path, config: dict[str, Any]) -> None:
    """Refuse a folder without safetensors weights, or with only some of their parts.

    Raises:
        SecateurError: naming the file that is missing.
    """
    # A config may name its weights file, and transformers then takes a pickle in spite of use_safetensors.
    named = config.get("transformers_weights")
    names = (str(named),) if named else _WEIGHTS
    present = next((name for name in names if ".safetensors" in name and (folder / name).is_file()), None)
    if present is None:
        raise SecateurError(
            f"{folder}: contains no safetensors weights ({' or '.join(names)}), and pickles are never read; "
            f"{_found(folder)}"
        )
    if present.endswith(".json"):
        _check_parts(folder / present)


def check_tokenizer(folder: Path) -> None:
    """Refuse a folder without a vocabulary, or with a truncated one.

    Raises:
        SecateurError: naming the file, or what was found.
    """
    # Without one, transformers silently makes a tokenizer that knows only special tokens.
    if not any(any(folder.glob(pattern)) for pattern in _VOCABULARIES):
        raise SecateurError(f"{folder}: contains no tokenizer (one of {', '.join(_VOCABULARIES)}); {_found(folder)}")
    for path in sorted(path for pattern in _TOKENIZER_FILES for path in folder.glob(pattern)):
        _read_object(path)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SecateurError(f"{path}: not JSON, or truncated ({error}); write the folder again") from error
    if not isinstance(content, dict):
        raise SecateurError(f"{path}: contains a {type(content).__name__}, not a JSON object; write it again")
    return content


def _check_shape(shape: Any, *, path: Path) -> None:
    for name, kind in _SHAPE.items():
        value = shape.get(name) if isinstance(shape, dict) else None
        if not isinstance(value, kind):
            raise SecateurError(
                f"{path}: secateur.{name}={value!r}: should be of type {kind.__name__}; write the folder again"
            )


def _check_parts(index: Path) -> None:
    """Refuse an index whose parts are not all present; parts that are pickles do not count."""
    parts = _read_object(index).get("weight_map")
    if not isinstance(parts, dict):
        raise SecateurError(f"{index}: has no weight_map, which names the parts; write the folder again")
    for part in sorted({str(name) for name in parts.values()}):
        if not part.endswith(".safetensors") or not (index.parent / part).is_file():
            raise SecateurError(
                f"{index}: names {part}, which is missing or not safetensors; put the file next to it, or write the "
                "folder again"
            )


def _found(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return f"found {', '.join(names) or 'nothing'}"
