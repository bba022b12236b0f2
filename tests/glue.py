"""GLUE's data sets in their distributed formats, a few made-up rows each: official files, and the hub's form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from secateur.data.sources import SPLITS

PARSES = [f"sentence{number}_{kind}" for kind in ("binary_parse", "parse") for number in (1, 2)]
MNLI_HEADER = ["index", "promptID", "pairID", "genre", *PARSES, "sentence1", "sentence2"]
STSB_HEADER = [
    "index",
    "genre",
    "filename",
    "year",
    "old_index",
    "source1",
    "source2",
    "sentence1",
    "sentence2",
    "score",
]
# Quotes that are opened and never closed, or stand at a field's beginning: plain characters in these files.
OPEN, QUOTED = 'He said "no.', '"Never," she said, and "always".'


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The rows of every split: text, text_pair ("" for single texts) and label as the model sees it."""

    rows: list[tuple[str, str, Any]]
    labels: list[str] | None


def _tsv(*rows: list[str], ends: str = "\n") -> str:
    return "".join("\t".join(row) + ends for row in rows)


def _both(*rows: list[str], ends: str = "\n") -> dict[str, str]:
    return dict.fromkeys(("train.tsv", "dev.tsv"), _tsv(*rows, ends=ends))


def _mnli(*columns: str) -> str:
    """Rows of the training file's columns, or of a dev file's, which has five annotators'."""
    parses = ["( a )"] * 4
    rows = [(OPEN, "He spoke.", "entailment"), (QUOTED, "No one spoke.", "contradiction")]
    filled = [
        [str(number), "1", "1n", "fiction", *parses, *texts, *([label] * (len(columns) - 1)), label]
        for number, (*texts, label) in enumerate(rows)
    ]
    return _tsv([*MNLI_HEADER, *columns], *filled)


# Name of the option -> file -> content.
OFFICIAL: dict[str, dict[str, str]] = {
    "cola": _both(["gj04", "1", "", OPEN], ["c_13", "0", "*", QUOTED]),
    "mnli": {
        "train.tsv": _mnli("label1", "gold_label"),
        **dict.fromkeys(
            ("dev_matched.tsv", "dev_mismatched.tsv"),
            _mnli("label1", "label2", "label3", "label4", "label5", "gold_label"),
        ),
    },
    "mrpc": _both(
        ["\ufeffQuality", "#1 ID", "#2 ID", "#1 String", "#2 String"],
        ["1", "70", "71", OPEN, '" No , " he said .'],
        ["0", "72", "73", QUOTED, "He never did ."],
        ends="\r\n",
    ),
    "qnli": _both(
        ["index", "question", "sentence", "label"],
        ["0", "Who spoke?", OPEN, "entailment"],
        ["1", "Who sang?", QUOTED, "not_entailment"],
    ),
    "qqp": _both(
        ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"],
        ["133273", "1", "2", OPEN, "Who said no?", "1"],
        ["402555", "3", "4", "How can I create an app?", "", "0"],
    ),
    "rte": _both(
        ["index", "sentence1", "sentence2", "label"],
        ["0", OPEN, "He spoke.", "entailment"],
        ["1", QUOTED, "She was silent.", "not_entailment"],
    ),
    "sst2": _both(["sentence", "label"], [f"{OPEN} ", "0"], [f"{QUOTED} ", "1"]),
    "stsb": _both(
        STSB_HEADER,
        ["0", "main-captions", "MSRvid", "2012test", "0000", "none", "none", OPEN, "He spoke.", "5.000"],
        ["1", "main-news", "MSRvid", "2012test", "0001", "none", "none", QUOTED, "No.", "0.200"],
    ),
    "boolq": dict.fromkeys(
        ("train.jsonl", "dev.jsonl"),
        '{"question": "is it", "title": "It", "answer": true, "passage": "It is."}\n'
        '{"question": "was it", "title": "It", "answer": false, "passage": "It was not."}\n',
    ),
}

EXPECTED: dict[str, Expected] = {
    "cola": Expected(rows=[(OPEN, "", 1), (QUOTED, "", 0)], labels=["unacceptable", "acceptable"]),
    "mnli": Expected(
        rows=[(OPEN, "He spoke.", 0), (QUOTED, "No one spoke.", 2)],
        labels=["entailment", "neutral", "contradiction"],
    ),
    "mrpc": Expected(
        rows=[(OPEN, '" No , " he said .', 1), (QUOTED, "He never did .", 0)], labels=["not_equivalent", "equivalent"]
    ),
    "qnli": Expected(rows=[("Who spoke?", OPEN, 0), ("Who sang?", QUOTED, 1)], labels=["entailment", "not_entailment"]),
    "qqp": Expected(
        rows=[(OPEN, "Who said no?", 1), ("How can I create an app?", "", 0)], labels=["not_duplicate", "duplicate"]
    ),
    "rte": Expected(
        rows=[(OPEN, "He spoke.", 0), (QUOTED, "She was silent.", 1)], labels=["entailment", "not_entailment"]
    ),
    "sst2": Expected(rows=[(f"{OPEN} ", "", 0), (f"{QUOTED} ", "", 1)], labels=["negative", "positive"]),
    "stsb": Expected(rows=[(OPEN, "He spoke.", 5.0), (QUOTED, "No.", 0.2)], labels=None),
    "boolq": Expected(rows=[("is it", "It is.", 1), ("was it", "It was not.", 0)], labels=["no", "yes"]),
}

# Name of the option -> what the hub calls the data set, the columns of its texts, and those of its label and ids.
HUB: dict[str, tuple[tuple[str, str | None], tuple[str, ...], Features]] = {
    name: (("nyu-mll/glue", name), texts, Features({"label": label, "idx": Value("int32")}))
    for name, texts, label in (
        ("cola", ("sentence",), ClassLabel(names=["unacceptable", "acceptable"])),
        ("mnli", ("premise", "hypothesis"), ClassLabel(names=["entailment", "neutral", "contradiction"])),
        ("mrpc", ("sentence1", "sentence2"), ClassLabel(names=["not_equivalent", "equivalent"])),
        ("qnli", ("question", "sentence"), ClassLabel(names=["entailment", "not_entailment"])),
        ("qqp", ("question1", "question2"), ClassLabel(names=["not_duplicate", "duplicate"])),
        ("rte", ("sentence1", "sentence2"), ClassLabel(names=["entailment", "not_entailment"])),
        ("sst2", ("sentence",), ClassLabel(names=["negative", "positive"])),
        ("stsb", ("sentence1", "sentence2"), Value("float32")),
    )
} | {"boolq": (("google/boolq", None), ("question", "passage"), Features({"answer": Value("bool")}))}


def write_official(name: str, folder: Path) -> Path:
    """The official files of ``name``, in ``folder``."""
    for file, content in OFFICIAL[name].items():
        (folder / file).write_bytes(content.encode())
    return folder


def hub_dataset(name: str) -> DatasetDict:
    """What the hub gives for ``name``: labelled splits, and test sets whose labels are kept back."""
    _, columns, more = HUB[name]
    features = Features({**{column: Value("string") for column in columns}, **more})
    hidden = {"label": -1}
    rows = []
    for number, (text, pair, label) in enumerate(EXPECTED[name].rows):
        answer = {"answer": bool(label)} if name == "boolq" else {"label": label, "idx": number}
        rows.append({**dict(zip(columns, (text, pair), strict=False)), **answer})
    splits = dict.fromkeys(("train", "validation"), rows)
    if name == "mnli":
        splits = dict.fromkeys(("train", "validation_matched", "validation_mismatched"), rows)
    if name != "boolq":
        splits["test"] = [row | hidden for row in rows]
    return DatasetDict({split: Dataset.from_list(rows, features=features) for split, rows in splits.items()})


def found_rows(rows: DatasetDict) -> dict[str, list[tuple[str, str, Any]]]:
    """Text, text_pair and label of every row."""
    return {
        split: list(zip(*(rows[split][column][:] for column in ("text", "text_pair", "label")), strict=True))
        for split in SPLITS
    }
