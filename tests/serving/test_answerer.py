"""Answers: the same with and without kept states, at the right position, and only from the requested documents."""

from __future__ import annotations

import copy
import json
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from tokenizers import pre_tokenizers
from transformers import RobertaTokenizer

from secateur.commands import answer as answer_command
from secateur.commands import encode as encode_command
from secateur.data.examples import Lengths
from secateur.data.trained_lengths import keep_lengths
from secateur.data.vocabulary import train_unigram
from secateur.errors import SecateurError
from secateur.serving.answerer import Answerer
from secateur.serving.document_store import DocumentStore
from secateur.serving.documents import Document
from secateur.serving.encoding import encode_into, room_of
from secateur.structure.checkpoint import save_model
from secateur.structure.decomposition import decompose
from secateur.structure.gates import PerGate
from secateur.structure.surgery import shrink
from tests.architectures import random_model
from tests.serving.conftest import SENTENCES, SEQUENCE, SLOT, STRIDE, encoder_of

LENGTHS = {"max_seq_length": SEQUENCE, "doc_stride": STRIDE}
QUESTION = "what is door 7?"


def close(one, other) -> bool:
    """The same answers, scores to 1e-5."""
    places = [[(each.document_id, each.start, each.end) for each in answers] for answers in (one, other)]
    scores = [[each.score for each in answers] for answers in (one, other)]
    return places[0] == places[1] and np.allclose(*scores, atol=1e-5)


def test_answers_from_the_store_are_those_without_it(filled, model, tokenizer, documents) -> None:
    kept = Answerer(model, tokenizer, store=filled).answer(QUESTION)
    anew = Answerer(model, tokenizer, **LENGTHS, batch_size=7).answer(QUESTION, documents)
    assert len(kept) == 5
    assert close(kept, anew)
    assert [each.score for each in kept] == sorted((each.score for each in kept), reverse=True)


def test_answers_stand_where_they_say(filled, model, tokenizer, documents) -> None:
    texts = {document.id: document.text for document in documents}
    for each in Answerer(model, tokenizer, store=filled).answer(QUESTION, count=20):
        assert texts[each.document_id][each.start : each.end] == each.text != ""


def test_the_best_answer_is_the_one_that_the_whole_model_gives(filled, model, tokenizer, documents) -> None:
    """Question and document through all layers in one pass, spans by hand."""
    document = documents[0]
    (best,) = Answerer(model, tokenizer, store=filled).answer(QUESTION, [document.id], count=1)
    question, text = (tokenizer(each, add_special_tokens=False)["input_ids"] for each in (QUESTION, document.text))
    ids = torch.tensor([[tokenizer.cls_token_id, *question, tokenizer.sep_token_id, *text, tokenizer.sep_token_id]])
    first = len(question) + 2
    with torch.no_grad():
        outputs = model(ids, question_length=first)
    start, end = outputs.start_logits[0], outputs.end_logits[0]
    spans = [
        (float(start[i] + end[j] - start[0] - end[0]), i, j)
        for i in range(first, first + len(text))
        for j in range(i, first + len(text))
    ]
    assert best.score == pytest.approx(max(spans)[0], abs=1e-5)


def test_an_ordinary_model_answers_through_the_same_class(packed, tokenizer, documents) -> None:
    answerer = Answerer(packed, tokenizer, **LENGTHS, max_question_length=8)
    found = answerer.answer(QUESTION, documents, count=3)
    assert len(found) == 3
    alone = answerer.answer(QUESTION, [each for each in documents if each.id == found[0].document_id], count=1)
    assert close(found[:1], alone)


def test_spans_of_white_space_take_no_answers_place(documents, tmp_path) -> None:
    """Byte-level pieces may be line breaks alone; offsets are characters all the same."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = RobertaTokenizer(vocab={piece: index for index, piece in enumerate(pieces)}, merges=[])
    model = random_model("roberta", vocab_size=len(tokenizer))
    draws = random.Random(0)
    texts = [Document(id=str(number), text="".join(draws.choices("\n abé", k=9)) + "x") for number in range(9)]
    answerer = Answerer(model, tokenizer, max_seq_length=31, doc_stride=4, max_question_length=6, max_answer_length=1)
    for text in texts:
        (best,) = answerer.answer("door?", [text], count=1)
        assert text.text[best.start : best.end] == best.text
        assert best.text.strip()


def test_one_name_is_no_list_of_names(filled, model, tokenizer) -> None:
    with pytest.raises(SecateurError, match=r"^documents='doors/0': is a single name; give a list"):
        Answerer(model, tokenizer, store=filled).answer(QUESTION, "doors/0")


def test_many_documents_are_read_some_at_a_time(model, tokenizer) -> None:
    """The best of all of them come out, wherever they stand."""
    many = [Document(id=f"{number:03d}", text=SENTENCES[number % 40]) for number in range(150)]
    answerer = Answerer(model, tokenizer, **LENGTHS, batch_size=7)
    alone = [answerer.answer(QUESTION, [each], count=1)[0] for each in many[:40]]
    best = max(alone, key=lambda each: each.score)
    found = answerer.answer(QUESTION, many, count=3)
    assert found[0].score == pytest.approx(best.score, abs=1e-5)
    assert found[0].text == best.text


def test_a_document_longer_than_the_models_positions_is_read_in_windows(model, tokenizer) -> None:
    assert room_of(model, tokenizer, max_seq_length=384) < model.config.max_position_embeddings
    long = Document(id="long", text=" ".join(SENTENCES))
    (best,) = Answerer(model, tokenizer, max_seq_length=384, doc_stride=4).answer(QUESTION, [long], count=1)
    assert long.text[best.start : best.end] == best.text


def test_a_question_goes_to_the_documents_that_are_named(filled, model, tokenizer) -> None:
    answerer = Answerer(model, tokenizer, store=filled)
    found = answerer.answer(QUESTION, ["doors/3", "doors/5"], count=50)
    assert {each.document_id for each in found} == {"doors/3", "doors/5"}
    with pytest.raises(SecateurError, match=r"none of its 20 documents is 'doors/99'; secateur-encode adds it$"):
        answerer.answer(QUESTION, ["doors/99"])


def test_a_changed_or_damaged_document_is_never_answered_from_old_states(
    filled, model, tokenizer, documents, caplog
) -> None:
    answerer = Answerer(model, tokenizer, store=filled)
    changed = Document(id="doors/0", text=SENTENCES[30])
    fresh = Answerer(model, tokenizer, **LENGTHS)
    assert close(answerer.answer(QUESTION, [changed]), fresh.answer(QUESTION, [changed]))
    with (filled.folder / "states.bin").open("r+b") as file:
        file.seek(200)
        file.write(bytes(50))
    for _ in range(2):
        assert close(answerer.answer(QUESTION, ["doors/0"]), fresh.answer(QUESTION, documents[:1]))
    assert [
        record.message.count("damaged; encode it again; it is encoded for this answer") for record in caplog.records
    ] == [1]


def test_lengths_beside_a_store_are_told_to_have_no_effect(filled, model, tokenizer, caplog) -> None:
    """Its documents were parted into windows when they were encoded."""
    quiet = Answerer(model, tokenizer, store=filled).answer(QUESTION)
    assert not caplog.records
    assert Answerer(model, tokenizer, store=filled, max_seq_length=20, doc_stride=3).answer(QUESTION) == quiet
    assert [record.message.partition(":")[0] for record in caplog.records] == ["max_seq_length=20", "doc_stride=3"]


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_smaller_states_find_the_same_answer(dtype, encoder, documents, filled, tmp_path) -> None:
    store = DocumentStore.create(tmp_path / dtype, encoder.header(dtype=dtype))
    model, tokenizer = encoder.model, encoder.tokenizer
    list(encode_into(store, encoder, documents, at_a_time=8))
    small, full = (Answerer(model, tokenizer, store=each).answer(QUESTION, count=1)[0] for each in (store, filled))
    assert (small.document_id, small.text) == (full.document_id, full.text)
    assert small.score == pytest.approx(full.score, abs=0.05)


@pytest.mark.parametrize("model_type", ["roberta", "electra", "distilbert"])
def test_pruned_models_of_every_architecture_answer_from_a_store(model_type, tokenizer, documents, tmp_path) -> None:
    """Heads and widths differ from layer to layer."""
    gates = PerGate(
        heads=(torch.tensor([1.0, 0, 0, 1]), torch.tensor([1.0, 1, 0, 1]), torch.tensor([0.0, 0, 1, 0])),
        units=(torch.tensor([0.0, 1] * 12), torch.zeros(24), torch.tensor([1.0] * 5 + [0] * 19)),
    )
    small = shrink(random_model(model_type, vocab_size=len(tokenizer)), gates)
    encoder = encoder_of(decompose(small, lower_layers=2, question_slot=SLOT), tokenizer)
    store = DocumentStore.create(tmp_path / "store", encoder.header(dtype="float32"))
    list(encode_into(store, encoder, documents, at_a_time=8))
    kept = Answerer(small, tokenizer, store=store).answer(QUESTION)
    assert close(kept, Answerer(small, tokenizer, **LENGTHS).answer(QUESTION, documents))


def test_xlnet_answers_from_a_store(documents, tmp_path) -> None:
    """Its [CLS] stands at the end of the question, and its windows may be of any length."""
    tokenizer = train_unigram(SENTENCES, vocab_size=60)
    model = decompose(random_model("xlnet", vocab_size=len(tokenizer)), lower_layers=2, question_slot=20)
    encoder = encoder_of(model, tokenizer, max_seq_length=60)
    store = DocumentStore.create(tmp_path / "store", encoder.header(dtype="float32"))
    list(encode_into(store, encoder, documents, at_a_time=8))
    kept = Answerer(model, tokenizer, store=store).answer(QUESTION)
    anew = Answerer(model, tokenizer, max_seq_length=60, doc_stride=STRIDE).answer(QUESTION, documents)
    assert close(kept, anew)
    assert len(kept) == 5


def test_a_question_beyond_its_slot_is_refused_or_cut(filled, model, tokenizer, caplog) -> None:
    long = "what is door 7 and door 8 and door 9 ?"
    with pytest.raises(
        SecateurError, match=r"^question='what [^\n]+': has 11 tokens, more than the 8 that there is room for"
    ):
        Answerer(model, tokenizer, store=filled).answer(long)
    cut = Answerer(model, tokenizer, store=filled, long_questions="cut").answer(long)
    assert "it is cut" in caplog.text
    assert close(cut, Answerer(model, tokenizer, store=filled).answer("what is door 7 and door 8 and"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, r"^batch_size=0: must be at least 1$"),
        ({"max_answer_length": 0}, r"^max_answer_length=0: must be at least 1$"),
        ({"long_questions": "guess"}, r"^long_questions=guess: must be one of error, cut$"),
        ({"doc_stride": 40}, r"^doc_stride=40: must be 0 or more, and below the 21 document tokens [^\n]+$"),
    ],
)
def test_refuses_settings_that_do_not_go(settings, message, model, tokenizer) -> None:
    with pytest.raises(SecateurError, match=message):
        Answerer(model, tokenizer, **{**LENGTHS, **settings})


def test_refuses_what_does_not_go_together(filled, packed, model, tokenizer) -> None:
    with pytest.raises(SecateurError, match=r"store: a BertForQuestionAnswering cannot use stored states; give the"):
        Answerer(packed, tokenizer, store=filled)
    with pytest.raises(SecateurError, match=r"^max_seq_length=64: the model has 32 positions$"):
        Answerer(packed, tokenizer, max_seq_length=64)
    other = decompose(random_model("bert", vocab_size=len(tokenizer)), lower_layers=1, question_slot=SLOT)
    with pytest.raises(SecateurError, match=r"was built by another model"):
        Answerer(other, tokenizer, store=filled)
    classifier = random_model("bert", task="SequenceClassification", vocab_size=len(tokenizer))
    with pytest.raises(SecateurError, match=r"^a BertForSequenceClassification does not answer questions with a span"):
        Answerer(classifier, tokenizer, **LENGTHS)
    with pytest.raises(SecateurError, match=r"^question='  ': is empty; ask something$"):
        Answerer(model, tokenizer, store=filled).answer("  ")
    with pytest.raises(SecateurError, match=r"^documents: there is no store to read from"):
        Answerer(model, tokenizer, **LENGTHS).answer(QUESTION)


def test_documents_are_encoded_for_every_task(tokenizer, documents, tmp_path, capsys) -> None:
    """States serve wherever a question meets a document; only answers by a span ask for a model that gives them."""
    classifier = random_model("bert", task="SequenceClassification", vocab_size=len(tokenizer))
    save_model(decompose(classifier, lower_layers=2, question_slot=SLOT), tokenizer, tmp_path / "model")
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"id": "a", "text": documents[0].text}), encoding="utf-8")
    where = [str(tmp_path / name) for name in ("model", "corpus.jsonl", "store")]
    encode_command.main([*where, "--max-seq-length", str(SEQUENCE), "--doc-stride", str(STRIDE)])
    assert "1 documents, 1 encoded now; " in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"does not answer questions with a span"):
        answer_command.main([where[0], where[2], QUESTION])


def test_documents_are_split_as_in_the_model_s_training(model, tokenizer, documents, tmp_path, capsys) -> None:
    """A model trained on short windows has never seen the later positions of longer ones."""
    trained = copy.deepcopy(model)
    keep_lengths(trained.config, Lengths(max_question_length=SLOT - 2, **LENGTHS))
    save_model(trained, tokenizer, tmp_path / "model")
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"id": "a", "text": documents[0].text}), encoding="utf-8")
    where = [str(tmp_path / name) for name in ("model", "corpus.jsonl", "store")]
    encode_command.main(where)
    header = DocumentStore(tmp_path / "store").header
    assert (header.room, header.doc_stride) == (room_of(model, tokenizer, max_seq_length=SEQUENCE), STRIDE)
    asked = Answerer(trained, tokenizer, **LENGTHS).answer(QUESTION, documents)
    assert Answerer(trained, tokenizer).answer(QUESTION, documents) == asked


def test_both_commands_from_a_corpus_to_an_answer(model, tokenizer, documents, filled, tmp_path) -> None:
    """A model folder, a file of documents, and nothing else; asked of the store and of the file."""
    save_model(model, tokenizer, tmp_path / "model")
    lines = [json.dumps({"id": each.id, "text": each.text}) for each in documents]
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines), encoding="utf-8")

    def command(name: str, *arguments: str) -> subprocess.CompletedProcess:
        call = f"import sys; from secateur.commands.{name} import main; main(sys.argv[1:])"
        return subprocess.run(
            [sys.executable, "-c", call, str(tmp_path / "model"), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    lengths = ("--max-seq-length", str(SEQUENCE), "--doc-stride", str(STRIDE))
    encoded = command("encode", str(tmp_path / "corpus.jsonl"), str(tmp_path / "s"), "--dtype", "float32", *lengths)
    assert "20 documents, 20 encoded now; " in encoded.stdout, encoded.stderr
    found = []
    for source, *more in (("s",), ("corpus.jsonl", *lengths)):
        done = command("answer", str(tmp_path / source), QUESTION, "--json", "--count", "2", *more)
        assert "no effect" not in done.stderr
        found.append([json.loads(line) for line in done.stdout.splitlines()])
    expected = Answerer(model, tokenizer, store=filled).answer(QUESTION, count=2)
    for each in found:
        assert [(answer["document_id"], answer["start"]) for answer in each] == [
            (answer.document_id, answer.start) for answer in expected
        ]
    refused = command("answer", str(tmp_path / "nowhere"), QUESTION)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "nowhere: no such store or file" in refused.stderr


def test_nothing_found_is_said_beside_what_is_printed(empty, model, tokenizer, tmp_path, capsys) -> None:
    """A store to which nothing was added yet holds no answer; whoever reads the output gets none."""
    save_model(model, tokenizer, tmp_path / "model")
    capsys.readouterr()  # bars of progress
    answer_command.main([str(tmp_path / "model"), str(empty.folder), QUESTION, "--json"])
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", f"{empty.folder}: no answer was found there\n")


def test_squad_s_json_is_encoded_and_a_long_question_is_cut_where_that_is_asked_for(
    model, tokenizer, tmp_path, capsys, caplog
) -> None:
    save_model(model, tokenizer, tmp_path / "model")
    paragraphs = [{"context": each, "qas": []} for each in SENTENCES[:3]]
    (tmp_path / "squad.json").write_text(json.dumps({"data": [{"title": "Doors", "paragraphs": paragraphs}]}))
    where = [str(tmp_path / name) for name in ("model", "squad.json", "store")]
    encode_command.main([*where, "--max-seq-length", str(SEQUENCE), "--doc-stride", str(STRIDE)])
    assert "3 documents, 3 encoded now; " in capsys.readouterr().out
    asked = [where[0], where[2], " ".join([QUESTION] * 9), "--json", "--count", "1"]
    with pytest.raises(SystemExit, match=r"^question='[^\n]+$"):
        answer_command.main(asked)
    answer_command.main([*asked, "--cut-questions"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["document_id"] in DocumentStore(tmp_path / "store")
    assert "cut" in caplog.text
