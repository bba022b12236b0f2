"""Where a data set's rows come from: local files, the Hugging Face hub or a generator.

What the rows mean is up to the task (:mod:`secateur.data.squad` and similar modules). This module is imported while a
run's name is resolved and its config checked, so it has no heavy imports.
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

# Files of at least this many bytes are hashed once per process. Smaller ones are hashed every time, because they could
# be rewritten within one tick of their modification time.
_LARGE = 2**26


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where one data set is. Local files take precedence over a generator, a generator over the hub.

    Attributes:
        name: the data set's name, such as ``squad_v1``.
        hub: its name on the hub, such as ``rajpurkar/squad``.
        hub_config: configuration of the hub's data set, if it has several.
        revision: branch, tag or commit on the hub; None takes the newest.
        hub_test_split: the hub's split that serves as ``test``; ``a+b`` joins two; None if there is none.
        data_dir: folder with files under one of ``file_names``.
        train_files: training files, joined in this order; they replace those in ``data_dir``. A relative path is looked
            up in ``data_dir``, then in the working folder.
        test_files: the same for the test split.
        file_names: for each split, the names to look for in ``data_dir``; the first that exists is taken. A name
            ``a+b`` means two files that are joined; one with ``*`` means all matching files that are not named for the
            other split, in alphabetical order.
        test_share: if there is no test split, this share of the training data is split off as one, in (0, 1); None
            requires a test split.
        columns: our column name -> the file's, where they differ, or several, of which the first that exists is taken;
            None says that the file has no such column.
        column_names: column names of CSV and TSV files without a header row.
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
    """The local files of each split, or None if the rows come from a generator or the hub.

    ``test`` has no files if it is split off the training data.

    Raises:
        SecateurError: if a file or folder is missing, or if ``source`` names no location at all.
    """
    if _is_local(source):
        return {split: _existing(source, split) for split in SPLITS}
    if source.hub is None and source.generator is None:
        raise SecateurError(
            f"dataset {source.name} has no source; "
            "set dataset.data_dir, dataset.train_files with dataset.test_files, or dataset.hub"
        )
    return None


def parts_off_test(source: Source) -> bool:
    """Whether ``test`` is split off the training data, because the source has no test split."""
    if source.test_share is None:
        return False
    if _is_local(source):
        return all(path is None for _, path in _lookup(source, "test")) and not source.test_files
    return source.generator is None and source.hub_test_split is None


def fingerprint(source: Source) -> str:
    """A short key that identifies the rows: 16 hexadecimal digits.

    It covers the content and format of local files, but not their path or name; the name, configuration, revision and
    test split of a data set on the hub; the settings of a generator. A missing file counts as missing; it is
    :func:`resolve_files` that reports it.
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
    """One entry for each file to read: the name looked for, and the path where it was found."""
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
            f"dataset.data_dir={source.data_dir}: no such folder; give the one that contains {source.name}"
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
        remedy = "; to score only a test file, give it for both splits" if split == "train" else ""
        return (
            f"{key} is not set: every command reads both splits; give it along with the other split's files, or set "
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
    """The digest of an unchanged file. A run needs it several times, and some data sets are tens of gigabytes."""
    return _content_digest(path)


def _content_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    """OmegaConf containers as JSON values, so that they give the same fingerprint as plain ones."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{value!r} cannot be part of a fingerprint")
