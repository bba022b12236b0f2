"""Data sources: which files are taken, errors about missing ones, what a fingerprint depends on."""

import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from secateur.data.sources import Source, fingerprint, resolve_files
from secateur.errors import SecateurError

NAMES = {"train": ["train.json", "train-v1.1.json"], "test": ["dev.json", "dev-v1.1.json"]}


def _write(folder: Path, **contents: str) -> Path:
    folder.mkdir(exist_ok=True)
    for stem, text in contents.items():
        (folder / f"{stem}.json").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def official(tmp_path: Path) -> Path:
    return _write(tmp_path / "squad", **{"train-v1.1": "a", "dev": "b"})


def _local(folder: Path, **options: object) -> Source:
    return Source(name="squad_v1", data_dir=str(folder), file_names=NAMES, **options)


def test_importing_sources_loads_nothing_heavy():
    code = (
        "import sys, secateur.data.sources;"
        "sys.exit(bool({'torch', 'datasets', 'transformers', 'pandas'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_first_usual_name_that_exists_is_taken(official):
    files = resolve_files(_local(official))
    assert files == {"train": [official / "train-v1.1.json"], "test": [official / "dev.json"]}
    _write(official, train="c")
    assert resolve_files(_local(official))["train"] == [official / "train.json"]


def test_explicit_files_override_one_split_and_leave_the_other(official, tmp_path, monkeypatch):
    _write(official, more="x")
    _write(tmp_path, here="y")
    monkeypatch.chdir(tmp_path)
    files = resolve_files(_local(official, train_files=["more.json", "here.json"]))
    assert files == {"train": [official / "more.json", Path("here.json")], "test": [official / "dev.json"]}


def test_files_that_were_given_for_one_split_are_not_of_the_other(tmp_path):
    """Though the pattern of the other's usual names fits them."""
    for name in ("a.txt", "b.txt", "dev.txt"):
        (tmp_path / name).write_text("text")
    names = {"train": ["train.txt", "*.txt"], "test": ["test.txt"]}
    source = Source(name="custom_text", data_dir=str(tmp_path), file_names=names, test_files=["dev.txt"])
    assert resolve_files(source) == {
        "train": [tmp_path / "a.txt", tmp_path / "b.txt"],
        "test": [tmp_path / "dev.txt"],
    }


def test_files_go_before_hub_and_generator(official):
    assert resolve_files(_local(official, hub="rajpurkar/squad", generator={"_target_": "x.y"})) is not None
    assert resolve_files(Source(name="squad_v1", hub="rajpurkar/squad")) is None
    assert resolve_files(Source(name="toy", generator={"_target_": "x.y"})) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data_dir": "nowhere"}, "dataset.data_dir=nowhere: no such folder"),
        ({"data_dir": "empty"}, "looked for train.json, train-v1.1.json"),
        ({"data_dir": "empty"}, "set dataset.train_files"),
        (
            {"train_files": ["gone.csv"], "test_files": ["gone.csv"]},
            "dataset.train_files: there is no file gone",
        ),
        ({"data_dir": "empty", "train_files": ["gone.csv"]}, "looked in empty or the working folder"),
        ({"train_files": ["here.json"]}, r"dataset.test_files is not set: .* or set dataset.data_dir$"),
        (
            {"test_files": ["here.json"]},
            r"train_files is not set: every .* give it for both splits$",
        ),
        ({}, "set dataset.data_dir"),
    ],
)
def test_missing_file_is_named_with_key_and_remedy(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(_write(tmp_path, here="y"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SecateurError, match=message) as caught:
        resolve_files(Source(name="squad_v1", file_names=NAMES, **options))
    assert "\n" not in str(caught.value)


def test_own_data_without_usual_names_asks_for_files(tmp_path):
    with pytest.raises(SecateurError, match=r"set dataset\.train_files"):
        resolve_files(Source(name="mine", data_dir=str(tmp_path)))


def test_fingerprint_follows_content_not_place(official, tmp_path):
    """A copied folder is the same data, a changed byte in it is not."""
    copy = _write(tmp_path / "copy", train="a", dev="b")
    before = fingerprint(_local(copy))
    assert before == fingerprint(_local(official))
    assert len(before) == 16
    _write(copy, train="A")
    assert fingerprint(_local(copy)) != before


def test_fingerprint_knows_the_format_that_content_is_read_as(tmp_path):
    for suffix in ("csv", "tsv"):
        (tmp_path / f"rows.{suffix}").write_text("same")
    prints = {
        fingerprint(Source(name="mine", data_dir=str(tmp_path), train_files=[name], test_files=[name]))
        for name in ("rows.csv", "rows.tsv")
    }
    assert len(prints) == 2


def test_fingerprint_of_missing_files_does_not_raise(official):
    whole = fingerprint(_local(official))
    (official / "dev.json").unlink()
    assert len({whole, fingerprint(_local(official)), fingerprint(_local(official / "nowhere"))}) == 3


def test_fingerprint_of_hub_and_generator_follows_settings():
    sources = [
        Source(name="a", hub="x/y"),
        Source(name="a", hub="x/y", revision="1"),
        Source(name="a", hub="x/y", hub_config="z"),
        Source(name="a", hub="x/y", columns={"answer": "reply"}),
        Source(name="a", generator={"_target_": "x.y", "train": 10}),
        Source(name="a", generator={"_target_": "x.y", "train": 20}),
    ]
    assert len({fingerprint(source) for source in sources}) == len(sources)


def test_fingerprint_is_the_same_for_omegaconf_and_plain_settings():
    """The launcher hands over composed config, a Python caller a dict."""
    plain = {"_target_": "x.y", "nested": {"values": [1, 2]}}
    composed = OmegaConf.create(plain)
    assert fingerprint(Source(name="a", generator=plain)) == fingerprint(Source(name="a", generator=composed))
