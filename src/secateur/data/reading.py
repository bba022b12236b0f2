"""Read tables from any source: local files, the Hugging Face hub, or a generator of synthetic data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
from hydra.utils import get_method

from secateur.data.sources import SPLITS, Source, resolve_files
from secateur.data.tables import Table, one_line, read_table
from secateur.errors import SecateurError


def read_tables(source: Source) -> dict[str, list[Table]]:
    """The splits ``train`` and ``test`` of any source, each with at least one row.

    Raises:
        SecateurError: if a file, a split or the hub cannot be read, or a split is empty.
    """
    files = resolve_files(source)
    tables = load_tables(source) if files is None else {split: _read_files(files[split], source) for split in SPLITS}
    for split in SPLITS:
        if not any(len(values) for table in tables[split] for values in table.columns.values()):
            origin = ", ".join(table.origin for table in tables[split])
            raise SecateurError(f"{origin}: no rows in it; a split needs at least one")
    return tables


def load_tables(source: Source) -> dict[str, list[Table]]:
    """The splits ``train`` and ``test`` of a source without local files: from its generator, or else the hub.

    Returns:
        The tables of each split: several if the hub's test split is given as ``a+b``.

    Raises:
        SecateurError: if the hub cannot be reached, or the data set, split or generator does not exist.
    """
    return {
        split: [_table(part, name, origin=origin) for name, origin, part in parts]
        for split, parts in load_splits(source).items()
    }


def load_splits(source: Source) -> dict[str, list[tuple[str, str, datasets.Dataset]]]:
    """The splits ``train`` and ``test`` of a source without local files, not yet read into tables.

    Returns:
        The parts of each split: name, origin (for messages) and rows. ``test`` has none if the hub has no test split.

    Raises:
        SecateurError: as for :func:`load_tables`.
    """
    if source.generator is not None:
        splits, origin = _generate(source.generator), source.name
        names = {"train": ["train"], "test": ["test"]}
    else:
        splits, origin = _download(source), f"hub data set {source.hub}"
        names = {"train": ["train"], "test": source.hub_test_split.split("+") if source.hub_test_split else []}
    return {
        ours: [(name, f"{origin}, split {name}", _split(splits, name, origin=origin)) for name in theirs]
        for ours, theirs in names.items()
    }


def _read_files(paths: Sequence[Path], source: Source) -> list[Table]:
    return [read_table(path, column_names=source.column_names, quoting=source.quoting) for path in paths]


def _generate(generator: Mapping[str, Any]) -> Mapping[str, Any]:
    settings = dict(generator)
    target = settings.pop("_target_", None)
    try:
        function = get_method(str(target))
    except Exception as error:  # Hydra wraps any failure in a multi-line error
        raise SecateurError(f"dataset.generator._target_={target}: {one_line(error)}") from error
    return function(**settings)


def _download(source: Source) -> Mapping[str, Any]:
    remedy = "dataset.data_dir=FOLDER reads it from local files"
    try:
        return datasets.load_dataset(source.hub, source.hub_config, revision=source.revision)
    except ConnectionError as error:
        raise SecateurError(f"dataset.hub={source.hub}: the hub could not be reached; {remedy}") from error
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise SecateurError(f"dataset.hub={source.hub}: {one_line(error)}; {remedy}") from error


def _split(splits: Mapping[str, Any], name: str, *, origin: str) -> datasets.Dataset:
    if name not in splits:
        raise SecateurError(
            f"{origin} has no split {name!r}, only {', '.join(splits)}; dataset.hub_test_split names the one to test on"
        )
    return splits[name]


def _table(split: datasets.Dataset, name: str, *, origin: str) -> Table:
    return Table(origin=origin, name=name, columns={column: _values(split, column) for column in split.column_names})


def _values(split: datasets.Dataset, column: str) -> list[Any]:
    """A column's values, with classes by name and the hub's -1 (no label) as None."""
    feature, values = split.features[column], split[column][:]
    if not isinstance(feature, datasets.ClassLabel):
        return values
    return [None if value is None or value < 0 else feature.names[value] for value in values]
