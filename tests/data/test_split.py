"""The validation split: fixed, in complete groups, as close to a tenth as they allow."""

import itertools
from collections import Counter
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

from secateur.data.sources import Source
from secateur.data.split import with_validation
from secateur.data.squad import load_rows
from secateur.errors import SecateurError

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def _rows(sizes: dict[str, list[int]], *, test: int = 20) -> DatasetDict:
    """``sizes[title]`` lists how many questions each of its passages has."""
    names = [
        (title, f"{title} passage {number}", f"{title}-{number}-{question}")
        for title, passages in sizes.items()
        for number, size in enumerate(passages)
        for question in range(size)
    ]
    titles, contexts, ids = zip(*names, strict=True)
    train = Dataset.from_dict({"title": titles, "context": contexts, "id": ids})
    held = {"title": ["t"] * test, "context": ["c"] * test, "id": [str(number) for number in range(test)]}
    return DatasetDict({"train": train, "test": Dataset.from_dict(held)})


def _split(rows: DatasetDict, **options) -> DatasetDict:
    return with_validation(rows, **{"limit_train": None, "limit_test": None, **options})


def _column(rows: Dataset, name: str) -> list[str]:
    return rows[name][:]


def test_val_is_a_tenth_and_articles_stay_whole():
    rows = _rows({f"article {number}": [5, 5] for number in range(50)})
    parts = _split(rows)
    assert list(parts) == ["train", "val", "test"]
    assert {split: len(part) for split, part in parts.items()} == {"train": 450, "val": 50, "test": 20}
    assert not set(_column(parts["train"], "title")) & set(_column(parts["val"], "title"))
    ids = _column(rows["train"], "id")
    assert sorted(_column(parts["train"], "id") + _column(parts["val"], "id")) == sorted(ids)
    assert _column(parts["train"], "id") == [i for i in ids if i in set(_column(parts["train"], "id"))]


def test_an_article_with_more_than_a_tenth_is_parted_by_passage():
    rows = _rows({"big": [4] * 40, **{f"small {number}": [3, 3] for number in range(40)}})
    parts = _split(rows)
    assert len(parts["val"]) == 40
    contexts = [set(_column(parts[split], "context")) for split in ("train", "val")]
    assert not contexts[0] & contexts[1]
    straddling = set(_column(parts["train"], "title")) & set(_column(parts["val"], "title"))
    assert straddling == {"big"}


def test_an_article_with_just_a_tenth_stays_whole():
    rows = _rows({f"article {number}": [5, 5] for number in range(10)})
    assert len(set(_column(_split(rows)["val"], "title"))) == 1


@pytest.mark.parametrize("sizes", [[3, 3, 3, 4, 4, 7, 8], [29, 1, 30, 40], [50, 51], [1, 1], [2, 90]])
def test_val_is_as_near_to_a_tenth_as_groups_allow(sizes):
    """Against every possible choice of passages; neither part is ever empty."""
    parts = _split(_rows({"only": sizes}))
    target = max(1, round(sum(sizes) / 10))
    subsets = (sum(some) for n in range(1, len(sizes)) for some in itertools.combinations(sizes, n))
    assert abs(len(parts["val"]) - target) == min(abs(total - target) for total in subsets)
    assert len(parts["train"]) > 0


def test_split_is_the_same_every_time_and_in_any_order():
    """Pinned by value: runs made by different versions must validate on the same rows."""
    rows = _rows({f"article {number}": [2, 1, 3] for number in range(30)})
    turned = DatasetDict({"train": rows["train"].select(range(len(rows["train"]) - 1, -1, -1)), "test": rows["test"]})
    titles = set(_column(_split(rows)["val"], "title"))
    assert titles == set(_column(_split(turned)["val"], "title"))
    assert titles == {"article 9", "article 16", "article 19"}


def test_limits_draw_fixed_nested_subsets_in_order():
    """A tenth is taken of what is left; 30 rows are among 60, so that learning curves add rows."""
    rows = _rows({f"article {number}": [2, 2] for number in range(50)}, test=100)
    ids = _column(rows["train"], "id")
    drawn = {}
    for limit in (60, 30):
        parts = _split(rows, limit_train=limit, limit_test=limit)
        assert len(parts["val"]) == limit // 10
        drawn[limit] = set(_column(parts["train"], "id")) | set(_column(parts["val"], "id"))
        assert len(drawn[limit]) == limit == len(parts["test"])
        order = [ids.index(i) for i in _column(parts["train"], "id")]
        assert order == sorted(order)
    assert drawn[30] < drawn[60]
    assert _split(rows, limit_train=10**6).num_rows == _split(rows).num_rows


def test_other_tasks_name_their_own_groups():
    rows = _rows({f"article {number}": [5, 5] for number in range(20)}).rename_column("context", "sentence")
    parts = _split(rows, group_keys=["id"])
    assert len(parts["val"]) == 20
    assert len(set(_column(parts["val"], "sentence"))) > 4


@pytest.mark.parametrize("option", ["limit_train", "limit_test"])
def test_limit_below_one_is_refused(option):
    with pytest.raises(SecateurError, match=f"{option}=0: at least 1 row"):
        _split(_rows({"a": [1], "b": [1]}), **{option: 0})


def test_a_single_passage_cannot_be_parted():
    with pytest.raises(SecateurError, match=r"share one context.*at least two, or raise limit_train"):
        _split(_rows({"a": [9]}))


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "size"), [("squad_v1", 1_562), ("squad_v2", 580)])
def test_real_articles_stay_whole_but_for_the_mixed_one(name, size):
    folder = REAL_DATA / name
    if not folder.is_dir():
        pytest.skip(f"needs the real data in {folder}")
    names = {"train": ["train.json"], "test": ["dev.json"]}
    parts = _split(load_rows(Source(name=name, data_dir=str(folder), file_names=names)))
    assert abs(len(parts["val"]) - size) <= 1
    titles = {split: Counter(_column(parts[split], "title")) for split in ("train", "val")}
    assert set(titles["train"]) & set(titles["val"]) <= {"sampled"}
    assert not set(_column(parts["train"], "context")) & set(_column(parts["val"], "context"))
