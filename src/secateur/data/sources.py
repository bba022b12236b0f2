"""Where a data set's rows come from: files at hand, the Hugging Face hub or a generator.

What the rows mean is the task's business (:mod:`secateur.data.squad` and its like). This module is imported
while a run's name is resolved and its config checked, so it needs nothing heavy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from secateur.errors import SecateurError

SPLITS = ("train", "test")

# Files of so many bytes are hashed once a process. A smaller one may be written twice within a tick of the clock that
# tells when it changed.
_LARGE = 2**26


@dataclass(frozen=True, kw_only=True)
class Source:
    """One data set's place. Files go before a generator, a generator before the hub.

    Attributes:
        name: the data set's name, such as ``squad_v1``.
        hub: its name on the hub, such as ``rajpurkar/squad``.
        hub_config: configuration of the hub's data set, where it has several.
        revision: branch, tag or commit on the hub; None takes the newest.
        hub_test_split: the hub's split that serves as ``test``; ``a+b`` joins two; None where there is none.
        data_dir: folder with files under one of ``file_names``.
        train_files: training files, joined in this order; they stand in for those in ``data_dir``. A relative
            path is looked up in ``data_dir``, then in the working folder.
        test_files: the same for the test split.
        file_names: for each split, the names to look for in ``data_dir``; the first that exists is taken. A
            name ``a+b`` stands for two files that are joined, one with ``*`` for all that match it and are not named
            for the other split, in alphabetical order.
        test_share: where there is no test split, this share of the training data is parted off as one, in (0, 1);
            None: there has to be one.
        columns: our column -> the file's, where the names differ, or several of which the first that is there is
            taken; None says that the file has no such column.
        column_names: of CSV and TSV files that have no header row.
        quoting: whether fields of CSV and TSV files may be quoted; if not, quotes are plain characters.
        generator: ``_target_`` and settings of a function that returns a ``DatasetDict`` with these splits.
    """

    name: str
    hub: str | None = None
    hub_config: str | None = None
    revision: str | None = None
    hub_test_split: str | None = "validation"
    data_dir: str | None = None
    train_files: Sequence[str] | None = None
    test_files: Sequence[str] | None = None
    file_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    test_share: float | None = None
    columns: Mapping[str, str | Sequence[str] | None] = field(default_factory=dict)
    column_names: Sequence[str] | None = None
    quoting: bool = True
    generator: Mapping[str, Any] | None = None


def resolve_files(source: Source) -> dict[str, list[Path]] | None:
    """The local files of each split, or None where a generator or the hub is asked.

    There are none for ``test`` where it is parted off the training data.

    Raises:
        SecateurError: if a file or folder is missing, or if ``source`` names no place at all.
    """
    if _is_local(source):
        return {split: _existing(source, split) for split in SPLITS}
    if source.hub is None and source.generator is None:
        raise SecateurError(
            f"dataset {source.name} comes from nowhere: "
            "set dataset.data_dir, dataset.train_files with dataset.test_files, or dataset.hub"
        )
    return None


def parts_off_test(source: Source) -> bool:
    """Whether ``test`` is a share of the training data, for want of a split of its own."""
    if source.test_share is None:
        return False
    if _is_local(source):
        return all(path is None for _, path in _lookup(source, "test")) and not source.test_files
    return source.generator is None and source.hub_test_split is None


def fingerprint(source: Source) -> str:
    """A short key of what the rows are: 16 hexadecimal digits.

    Local files count by content and format, not by place or name; the hub's by name, configuration, revision
    and test split; a generator's by its settings. A missing file counts as missing: reporting it is
    :func:`resolve_files`' business.
    """
    if _is_local(source):
        origin: Any = {split: _digests(source, split) for split in SPLITS}
    elif source.generator is not None:
        origin = source.generator
    else:
        origin = [source.hub, source.hub_config, source.revision, source.hub_test_split]
    reading: dict[str, Any] = {
        "columns": source.columns,
        "column_names": source.column_names,
        "quoting": source.quoting,
    }
    if source.test_share is not None:
        reading["test_share"] = source.test_share
    text = json.dumps({"origin": origin, **reading}, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_local(source: Source) -> bool:
    return bool(source.data_dir or source.train_files or source.test_files)


def _explicit(source: Source, split: str) -> Sequence[str]:
    return {"train": source.train_files, "test": source.test_files}[split] or ()


def _lookup(source: Source, split: str) -> list[tuple[str, Path | None]]:
    """What is looked for, one entry for each file to be read, and where it was found."""
    names = _explicit(source, split)
    if names:
        return [(name, _find(name, source.data_dir)) for name in names]
    candidates = source.file_names.get(split, ())
    for candidate in candidates:
        if "*" in candidate:
            found = _matching(source, split, candidate)
        else:
            found = [(name, _find_in(source.data_dir, name)) for name in candidate.split("+")]
        if found and all(path is not None for _, path in found):
            return found
    return [(", ".join(candidates), None)]


def _matching(source: Source, split: str, pattern: str) -> list[tuple[str, Path | None]]:
    if source.data_dir is None:
        return []
    others = {name for other, names in source.file_names.items() if other != split for name in names}
    given = [name for other in SPLITS if other != split for name in _explicit(source, other)]
    taken = {path.resolve() for name in given if (path := _find(name, source.data_dir)) is not None}
    paths = sorted(Path(source.data_dir).expanduser().glob(pattern))
    return [
        (path.name, path)
        for path in paths
        if path.is_file() and path.name not in others and path.resolve() not in taken
    ]


def _find(name: str, data_dir: str | None) -> Path | None:
    path = Path(name).expanduser()
    return _find_in(data_dir, name) or (path if path.is_file() else None)


def _find_in(data_dir: str | None, name: str) -> Path | None:
    if data_dir is None:
        return None
    path = Path(data_dir).expanduser() / Path(name).expanduser()
    return path if path.is_file() else None


def _existing(source: Source, split: str) -> list[Path]:
    if source.data_dir and not Path(source.data_dir).expanduser().is_dir():
        raise SecateurError(
            f"dataset.data_dir={source.data_dir}: no such folder; give the one that holds {source.name}"
        )
    if split == "test" and parts_off_test(source):
        return []
    paths = []
    for wanted, path in _lookup(source, split):
        if path is None:
            raise SecateurError(_missing(source, split, wanted))
        paths.append(path)
    return paths


def _missing(source: Source, split: str, wanted: str) -> str:
    key = f"dataset.{split}_files"
    if _explicit(source, split):
        places = f"{source.data_dir} or the working folder" if source.data_dir else "the working folder"
        return f"{key}: there is no file {wanted} (looked in {places}); correct the name or give a full path"
    if source.data_dir is None:
        remedy = "; to score a test file alone, name it as both" if split == "train" else ""
        return (
            f"{key} is not set: every command reads both splits; give it beside the other split's files, or set "
            f"dataset.data_dir{remedy}"
        )
    if not wanted:
        return f"dataset.data_dir={source.data_dir}: {source.name} has no usual file names; set {key}=[FILE]"
    return (
        f"dataset.data_dir={source.data_dir}: no {split} file there (looked for {wanted}); "
        f"put it there or set {key}=[FILE]"
    )


def _digests(source: Source, split: str) -> list[str]:
    return [_digest(path) for _, path in _lookup(source, split)]


def _digest(path: Path | None) -> str:
    try:
        if path is None:
            return "missing"
        status = path.stat()
        is_large = status.st_size >= _LARGE
        digest = (
            _digest_once(path.absolute(), status.st_size, status.st_mtime_ns) if is_large else _content_digest(path)
        )
        return path.suffix.lower() + digest  # the suffix decides how the content is read
    except OSError:
        return "missing"


@cache
def _digest_once(path: Path, _size: int, _changed_ns: int) -> str:
    """The digest of a file that is as it was. A run asks several times, and some data sets are tens of gigabytes."""
    return _content_digest(path)


def _content_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    """OmegaConf's containers as JSON values, so that they count like plain ones."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{value!r} cannot be part of a fingerprint")
