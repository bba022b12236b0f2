"""Reading QA rows: every format gives one schema, and errors name file and row."""

import json
import subprocess
import sys
from pathlib import Path

import datasets
import pandas as pd
import pytest
from datasets import Dataset, DatasetDict

from secateur.data.sources import Source
from secateur.data.squad import FEATURES, load_rows
from secateur.errors import SecateurError

CONTEXT = "Ada wrote “notes” in 1843. Ada lived in London."
REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
NAMES = {"train": ["train.json"], "test": ["dev.json"]}


def _qa(row_id="q1", *, question="Who wrote?", text="Ada", start=0, **more):
    return {"id": row_id, "question": question, "answers": [{"text": text, "answer_start": start}], **more}


def _squad(*qas, context=CONTEXT, title="Ada"):
    return {
        "version": "1.1",
        "data": [{"title": title, "paragraphs": [{"context": context, "qas": list(qas)}]}],
    }


def _write(path: Path, content) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def _load(*files: Path, **options) -> DatasetDict:
    names = [str(file) for file in files]
    return load_rows(Source(name="mine", train_files=names, test_files=names[:1], **options))


def _fails(*files: Path, match: str, **options) -> None:
    with pytest.raises(SecateurError, match=match) as caught:
        _load(*files, **options)
    assert "\n" not in str(caught.value)


def test_squad_json_of_both_versions_joins_into_one_schema(tmp_path):
    """Impossible questions have no answers, whatever plausible ones the file suggests."""
    first = _write(tmp_path / "v1.json", _squad(_qa("a", text="London", start=CONTEXT.index("London"))))
    plausible = [{"text": "Ada", "answer_start": 0}]
    impossible = {"id": "c", "question": "Who sang?", "answers": [], "is_impossible": True}
    second = _write(
        tmp_path / "v2.json",
        _squad(_qa("b", is_impossible=False), {**impossible, "plausible_answers": plausible}),
    )
    rows = _load(first, second)
    assert rows["train"].features == rows["test"].features == FEATURES
    assert rows["train"]["id"][:] == ["a", "b", "c"]
    assert rows["test"]["id"][:] == ["a"]
    assert rows["train"][0] == {
        "id": "a",
        "title": "Ada",
        "context": CONTEXT,
        "question": "Who wrote?",
        "answers": {"text": ["London"], "answer_start": [CONTEXT.index("London")]},
    }
    assert rows["train"][2]["answers"] == {"text": [], "answer_start": []}


def _table(path: Path, rows: list[dict]) -> Path:
    frame = pd.DataFrame(rows)
    if path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True, force_ascii=False)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="," if path.suffix == ".csv" else "\t")
    return path


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_own_tables_are_read_by_their_own_column_names(tmp_path, suffix):
    """An answer's first occurrence counts; a missing one means unanswerable; "None" and 1843 are answers."""
    context = 'None said "yes",\tin 1843.\nNone'
    texts = ["None", "1843", None]
    rows = [{"passage": context, "asked": f"Q{number}?", "reply": text} for number, text in enumerate(texts)]
    columns = {"context": "passage", "question": "asked", "answer": "reply"}
    train = _load(_table(tmp_path / f"my.{suffix}", rows), columns=columns)["train"]
    assert train.features == FEATURES
    assert train["id"][:] == [f"my.{suffix}:{number}" for number in (1, 2, 3)]
    assert train["context"][0] == context
    assert [answers["text"] for answers in train["answers"]] == [["None"], ["1843"], []]
    assert train["answers"][1]["answer_start"] == [context.index("1843")]


@pytest.mark.parametrize(
    "answers",
    [
        {"text": ["Ada", "London"], "answer_start": [27, 40]},
        [{"text": "Ada", "answer_start": 27}, {"text": "London"}],
    ],
)
def test_nested_answers_of_both_shapes(tmp_path, answers):
    path = tmp_path / "my.jsonl"
    rows = [{"id": 7, "context": CONTEXT, "question": "Q?", "answers": answers}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert _load(path)["train"][0]["answers"] == {"text": ["Ada", "London"], "answer_start": [27, 40]}


def test_given_start_beats_first_occurrence_also_as_a_float(tmp_path):
    """Spreadsheets write 27.0 in a column with gaps."""
    text = f"id,context,question,answer,answer_start\na,{CONTEXT},Q?,Ada,27.0\nb,{CONTEXT},Q?,Ada,\n"
    train = _load(_write(tmp_path / "my.csv", text))["train"]
    assert [answers["answer_start"] for answers in train["answers"]] == [[27], [0]]


def test_rows_without_title_are_grouped_by_context(tmp_path):
    rows = [{"context": context, "question": "Q?", "answer": ""} for context in ("one", "two", "one")]
    titles = _load(_table(tmp_path / "my.csv", rows))["train"]["title"][:]
    assert titles[0] == titles[2] != titles[1]


def test_byte_order_mark_and_line_ends_inside_json_do_no_harm(tmp_path):
    row = {"context": "before\u2028Ada", "question": "Q?", "answer": "Ada"}
    path = _write(tmp_path / "my.jsonl", "\ufeff" + json.dumps(row, ensure_ascii=False) + "\r\n\n")
    assert _load(path)["train"][0]["answers"]["answer_start"] == [7]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"data": [\n {"title": ', "line 2, column 12: not valid JSON, or cut short"),
        ([1, 2], "'data' is missing"),
        ({"data": [{"title": "x"}]}, r"data\[0\]: .*'paragraphs' is missing"),
        (_squad({"question": "Q?", "answers": []}), "'id' is missing"),
        (_squad({"question": "Q?", "id": "q1"}), "question q1: .*'answers' is missing"),
        (
            _squad(_qa(start=1)),
            "question q1: at offset 1 the answer should read 'Ada', but the context has 'da '",
        ),
        (_squad(_qa(start=-47)), "question q1: at offset -47"),
        (_squad(_qa(question=" ")), "question q1: the question is empty"),
        (_squad(_qa(), context=" "), "question q1: the context is empty"),
        (_squad(_qa(), _qa()), "question q1: the id 'q1' occurs twice"),
        ({"data": []}, "no questions"),
    ],
)
def test_broken_squad_json_is_named_by_file_and_question(tmp_path, content, message):
    _fails(_write(tmp_path / "bad.json", content), match=f"bad.json.*{message}")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "id,context,question\n1,c,q\n", "no column 'answer' .*one of id, context, question"),
        ("a.csv", "context,question,answer\nc,q,a\nc,q,c\n", "row 1: the answer 'a' does not occur"),
        ("a.csv", "context,question,answer\nc,q,c\nc,,c\n", "row 2: the question is empty"),
        (
            "a.csv",
            "context,question,answer,answer_start\nc,q,c,x\n",
            "row 1: answer_start='x' is not a whole",
        ),
        ("a.csv", "context,question,answer,answer_start\nc,q,c,1\n", "row 1: at offset 1"),
        ("a.csv", "context,question,answers\nc,q,[]\n", "row 1: 'answers' should contain"),
        ("a.csv", "id,context,question,answer\n1,c,q,\n1,c,q,\n", "row 2: the id '1' occurs twice"),
        ("a.csv", "context,question,answer\n", "no questions"),
        ("a.csv", "", "No columns"),
        ("a.csv", "context,question,answer,answer\nc,q,c,d\n", "2 columns are called 'answer'; give each a name"),
        ("a.csv", "context,question,answer\nc,q,a\nc,q,a,b,c\n", "line 3"),
        ("a.csv", "context,question,answer\nc,q,a,b\n", "more fields than there are column names"),
        ("a.jsonl", '{"context": "c"}\n{"context"', "line 2, column 11: not valid JSON"),
        ("a.jsonl", "[1]\n", "line 1: not a JSON object"),
        ("a.jsonl", '{"context": ["c"], "question": "q", "answer": ""}', "row 1: the context is a list"),
        ("a.parquet", "no parquet", "not a readable Parquet file"),
        ("a.txt", "x", "rows are read from .csv"),
    ],
)
def test_broken_table_is_named_by_file_and_row(tmp_path, name, content, message):
    _fails(_write(tmp_path / name, content), match=f"{name}.*{message}")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "context,question,answer\nc,q,c\nc,q,\n", "a.csv: row 2"),
        ("a.jsonl", '{"context": "c", "question": "q", "answers": {"text": [" "]}}', "a.jsonl: row 1"),
        ("a.json", _squad(_qa(), _qa("q2", is_impossible=True)), "a.json: question q2"),
    ],
)
def test_an_answer_that_is_missing_is_told_by_its_place_where_each_question_needs_one(tmp_path, name, content, message):
    """Otherwise it is told after the training, by scores that have no place for it."""
    source = Source(name="mine", train_files=[str(_write(tmp_path / name, content))], test_files=[str(tmp_path / name)])
    with pytest.raises(SecateurError, match=rf"{message}: has no answer.*dataset\.task\.version_2_with_negative=true"):
        load_rows(source, unanswerable=False)
    assert load_rows(source)["test"]["answers"][-1]["text"] == []


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.jsonl"])
def test_text_that_is_not_utf8_is_named_by_line(tmp_path, name):
    path = tmp_path / name
    path.write_bytes("first\ncafé\n".encode("latin-1"))
    _fails(path, match=f"{name}: line 2: byte 0xe9 is not UTF-8")


def test_wrong_column_settings_name_the_key(tmp_path):
    path = _write(tmp_path / "a.csv", "context,question,answer\nc,q,c\n")
    _fails(path, columns={"contxt": "c"}, match="dataset.columns.contxt")
    _fails(path, columns={"id": "key"}, match="no column 'key' for dataset.columns.id; set it to one of context")
    _fails(path, columns={"context": None}, match="no column 'context' for dataset.columns.context")


def _hub_rows() -> DatasetDict:
    row = {"id": "a", "title": "Ada", "context": CONTEXT, "question": "Who wrote?"}
    split = Dataset.from_list([{**row, "answers": {"text": ["Ada"], "answer_start": [0]}}])
    return DatasetDict({"train": split, "validation": split})


def test_hub_data_set_of_the_same_schema(monkeypatch):
    asked = []
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: asked.append((a, k)) or _hub_rows())
    source = Source(name="squad_v1", hub="rajpurkar/squad", hub_config="plain_text", revision="main")
    rows = load_rows(source)
    assert asked == [(("rajpurkar/squad", "plain_text"), {"revision": "main"})]
    assert list(rows) == ["train", "test"]
    assert rows["test"].features == FEATURES
    with pytest.raises(SecateurError, match="no split 'dev', only train, validation"):
        load_rows(Source(name="squad_v1", hub="rajpurkar/squad", hub_test_split="dev"))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionError("no\nroute"), "could not be reached; dataset.data_dir=FOLDER"),
        (datasets.exceptions.DatasetNotFoundError("Dataset 'x/y'\ndoesn't exist"), "'x/y' doesn't exist"),
    ],
)
def test_hub_out_of_reach_gives_one_line_with_the_remedy(monkeypatch, error, message):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(SecateurError, match=rf"dataset.hub=x/y: .*{message}") as caught:
        load_rows(Source(name="z", hub="x/y"))
    assert "\n" not in str(caught.value)


def make_rows(*, questions: int) -> DatasetDict:
    row = {"context": CONTEXT, "question": "Who wrote?", "answer": "Ada"}
    return DatasetDict({split: Dataset.from_list([row] * questions) for split in ("train", "test")})


def test_generator_is_called_with_its_settings():
    rows = load_rows(Source(name="toy", generator={"_target_": f"{__name__}.make_rows", "questions": 3}))
    assert rows["train"]["id"][:] == ["train:1", "train:2", "train:3"]
    with pytest.raises(SecateurError, match=r"dataset\.generator\._target_=secateur\.no\.such: Error loading"):
        load_rows(Source(name="toy", generator={"_target_": "secateur.no.such"}))


def test_reading_leaves_no_files_behind_and_needs_no_torch(tmp_path):
    """No cache folder, no lock, and secateur's config check stays quick."""
    path = _table(tmp_path / "my.csv", [{"context": "Ada", "question": "Q?", "answer": "Ada"}])
    cache = tmp_path / "cache"
    code = (
        "import sys; from secateur.data.sources import Source; from secateur.data.squad import load_rows;"
        f"load_rows(Source(name='x', train_files=[{str(path)!r}], test_files=[{str(path)!r}]));"
        "sys.exit('torch' in sys.modules)"
    )
    env = {"HF_HOME": str(cache), "PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
    assert not cache.exists()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "rows", "unanswerable"),
    [("squad_v1", (15_622, 10_570), (0, 0)), ("squad_v2", (5_795, 6_078), (2_775, 3_168))],
)
def test_official_files_are_read_whole(name, rows, unanswerable):
    folder = REAL_DATA / name
    if not folder.is_dir():
        pytest.skip(f"needs the real data in {folder}")
    splits = load_rows(Source(name=name, data_dir=str(folder), file_names=NAMES)).values()
    assert tuple(len(split) for split in splits) == rows
    empty = tuple(sum(not answers["text"] for answers in split["answers"]) for split in splits)
    assert empty == unanswerable
