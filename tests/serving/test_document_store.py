"""The store: its content is complete and belongs to this model and text, even if a writer was killed."""

from __future__ import annotations

import copy
import errno
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

from secateur.errors import SecateurError
from secateur.serving.document_store import DamagedError, DocumentStore
from secateur.serving.documents import Document
from secateur.serving.encoding import encode_into, model_key
from secateur.serving.store_folder import only_writer
from secateur.structure.checkpoint import save_model
from secateur.structure.decomposition import decompose
from tests.architectures import random_model
from tests.serving.conftest import SLOT, encoder_of


def same(store: DocumentStore, encoder, documents) -> bool:
    """Whether the store holds these documents, with the states that the model makes of them."""
    for each in encoder.encode(documents):
        found = store.find(each.document)
        if found is None or not np.array_equal(found.offsets, each.offsets) or found.windows != each.windows:
            return False
        for kept, made in zip(found.states, each.states, strict=True):
            np.testing.assert_allclose(kept, made, atol=1e-5)
    return True


def test_every_document_comes_back_as_it_was_encoded(filled, encoder, documents) -> None:
    assert len(filled) == len(documents)
    assert same(DocumentStore(filled.folder), encoder, documents)
    assert {document.id for document in filled.documents()} == {document.id for document in documents}


def test_bytes_are_those_of_the_formula(filled, encoder, documents) -> None:
    """Tokens and [SEP] of every window, and two numbers for each token's place; whole multiples of 8."""
    expected = 0
    for each in encoder.encode(documents):
        states = sum(size + 1 for _, _, size in each.windows) * filled.header.features * 4
        expected += -(-(states + each.offsets.size * 4) // 8) * 8
    assert filled.size() == expected == (filled.folder / "states.bin").stat().st_size


def test_what_is_there_is_not_encoded_again_and_what_is_new_is_added(filled, encoder, documents) -> None:
    new = [Document(id="new", text="Door 3 is green.")]
    assert list(encode_into(filled, encoder, [*documents, *new], at_a_time=50)) == [(21, 1)]
    assert same(filled, encoder, [*documents, *new])


def test_a_document_whose_text_changed_is_another(filled, encoder, documents) -> None:
    changed = Document(id=documents[0].id, text="Door 0 is gone.")
    assert filled.find(changed) is None
    list(encode_into(filled, encoder, [changed], at_a_time=1))
    assert same(filled, encoder, [changed])
    assert filled.find(documents[0]) is None
    assert len(filled) == len(documents)


def test_damage_is_found_and_encoded_again(filled, encoder, documents) -> None:
    with (filled.folder / "states.bin").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff\x00\xff")
    with pytest.raises(DamagedError, match=r"the states of document 'doors/0' are damaged; encode it again$"):
        filled.find(documents[0])
    assert list(encode_into(filled, encoder, documents, at_a_time=50)) == [(20, 1)]
    assert same(filled, encoder, documents)


@pytest.mark.parametrize("text", ["'Door 0 is open.'", "CAST(x'446f6f7220ff' AS TEXT)"], ids=["other", "no UTF-8"])
def test_a_text_that_is_damaged_is_encoded_again(filled, encoder, documents, text) -> None:
    first = documents[0]
    with sqlite3.connect(filled.folder / "index.sqlite") as index:
        index.execute(f"UPDATE documents SET text = {text} WHERE id = ?", (first.id,))
    index.close()
    with pytest.raises(DamagedError, match=r"the text of document 'doors/0' is damaged; encode it again$"):
        filled.document(first.id)
    assert [*encode_into(filled, encoder, documents, at_a_time=50)][-1][1] > 0
    assert same(filled, encoder, documents)
    assert filled.document(first.id) == first


def test_damage_in_the_index_is_found(filled, encoder, documents) -> None:
    """A text that is not the one that was encoded, a number of tokens, and the file itself."""
    first = documents[0]
    with sqlite3.connect(filled.folder / "index.sqlite") as index:
        index.execute("UPDATE documents SET text = 'Door 0 is open.' WHERE id = ?", (first.id,))
    for read in (lambda: filled.document(first.id), lambda: list(filled.documents())):
        with pytest.raises(DamagedError, match=r"the text of document 'doors/0' is damaged; encode it again$"):
            read()
    with index:
        index.execute("UPDATE documents SET tokens = tokens - 1 WHERE id = ?", (documents[1].id,))
    with pytest.raises(DamagedError, match=r"the states of document 'doors/1' are damaged"):
        filled.find(documents[1])
    list(encode_into(filled, encoder, documents, at_a_time=50))
    assert same(filled, encoder, documents)
    with index:
        index.execute("DROP TABLE documents")
    index.close()
    with pytest.raises(SecateurError, match=r": the index cannot be read \(no such table: documents\); encode again$"):
        filled.find(first)


@pytest.mark.parametrize(
    "damage", ["position = -8", "position = 1 << 40", "size = -16", "size = 0", "tokens = 'x'", "position = 'x'"]
)
def test_places_that_there_are_not_are_damage_too(filled, encoder, documents, damage) -> None:
    """And do not make the file longer when the next writer cuts off what lies behind the last document."""
    before = (filled.folder / "states.bin").stat().st_size
    with sqlite3.connect(filled.folder / "index.sqlite") as index:
        index.execute(f"UPDATE documents SET {damage} WHERE id = ?", (documents[0].id,))
    index.close()
    with pytest.raises(DamagedError, match=r"the states of document 'doors/0' are damaged; encode it again$"):
        filled.find(documents[0])
    assert list(encode_into(filled, encoder, documents, at_a_time=50)) == [(20, 1)]
    assert same(filled, encoder, documents)
    assert (filled.folder / "states.bin").stat().st_size < 2 * before


def test_the_key_of_a_model_is_of_all_that_states_depend_on(model, tokenizer) -> None:
    """Its weights, what else it computes with, and its vocabulary; not where it was loaded from."""
    model = copy.deepcopy(model)
    keys = [model_key(model, tokenizer)]
    model.config._name_or_path = "elsewhere"
    assert model_key(model, tokenizer) == keys[0]
    model.config.layer_norm_eps *= 10
    keys.append(model_key(model, tokenizer))
    with torch.no_grad():
        model.base_model.encoder.layer[-1].output.dense.weight[0, 0] += 1
    keys.append(model_key(model, tokenizer))
    other = copy.deepcopy(tokenizer)
    other.add_tokens(["unheard-of"])
    keys.append(model_key(model, other))
    assert len(set(keys)) == len(keys)


def test_the_key_of_a_model_is_that_of_its_tokenizer_whatever_it_was_used_for(model, tokenizer) -> None:
    """Truncation and padding stay in a tokenizer from its last use."""
    before = model_key(model, tokenizer)
    tokenizer(["Door 3"] * 2, truncation=True, max_length=3, padding="max_length")
    assert model_key(model, tokenizer) == before


def test_a_file_that_lost_its_end_is_damaged(filled, documents) -> None:
    os.truncate(filled.folder / "states.bin", 1000)
    with pytest.raises(DamagedError):
        filled.find(documents[-1])


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_smaller_types_come_close(dtype, encoder, documents, tmp_path) -> None:
    store = DocumentStore.create(tmp_path / "store", encoder.header(dtype=dtype))
    list(encode_into(store, encoder, documents, at_a_time=8))
    for each in encoder.encode(documents):
        found = store.find(each.document)
        for kept, made in zip(found.states, each.states, strict=True):
            assert np.abs(kept - made).max() <= np.abs(made).max() * (2**-10 if dtype == "float16" else 1 / 250)


def test_a_store_of_another_model_or_kind_is_refused(filled, encoder, tokenizer, model) -> None:
    other = random_model("bert", vocab_size=len(tokenizer))
    other.bert.encoder.layer[0].output.dense.bias.data[0] += 1e-3
    other = encoder_of(decompose(other, lower_layers=2, question_slot=SLOT), tokenizer)
    with pytest.raises(SecateurError, match=r"^[^\n]+: was built by another model \(\w+, not \w+\), [^\n]+$"):
        DocumentStore.create(filled.folder, other.header(dtype="float32"))
    with pytest.raises(SecateurError, match=r"has dtype=float32, not int8; choose another folder, or dtype=float32$"):
        DocumentStore.create(filled.folder, encoder.header(dtype="int8"))
    with pytest.raises(SecateurError, match=r"has room=21, not 20; "):
        DocumentStore.create(filled.folder, encoder_of(model, tokenizer, max_seq_length=31).header(dtype="float32"))
    assert DocumentStore.create(filled.folder, encoder.header(dtype="float32")).header == filled.header


def test_other_folders_and_formats_are_refused(tmp_path, encoder, filled) -> None:
    with pytest.raises(
        SecateurError, match=r"none: not a document store; create one with secateur-encode MODEL [^\n]+$"
    ):
        DocumentStore(tmp_path / "none")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(SecateurError, match=r"full: contains something other than a document store; [^\n]+$"):
        DocumentStore.create(tmp_path / "full", encoder.header(dtype="float32"))
    header = filled.folder / "store.json"
    header.write_text(header.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(SecateurError, match=r"has format 2, but this version reads 1; encode again$"):
        DocumentStore(filled.folder)


@pytest.mark.parametrize(
    ("name", "content"), [("states.bin", None), ("index.sqlite", None), ("index.sqlite", b"no such thing" * 100)]
)
def test_a_store_that_lacks_a_file_or_has_a_broken_one_is_told_in_one_line(filled, name, content) -> None:
    (filled.folder / name).unlink()
    if content is not None:
        (filled.folder / name).write_bytes(content)
    with pytest.raises(SecateurError, match=rf"{name}: cannot be read \([^\n]+\); encode [^\n]+$"):
        DocumentStore(filled.folder)


@pytest.mark.parametrize("name", ["store#1", "store?mode=ro", "100%25", "a store"])
def test_a_store_lies_wherever_it_is_told_to(tmp_path, encoder, documents, name) -> None:
    """Also under names that mean something else in an address."""
    store = DocumentStore.create(tmp_path / name, encoder.header(dtype="float32"))
    list(encode_into(store, encoder, documents[:2], at_a_time=8))
    assert [each.id for each in DocumentStore(tmp_path / name).documents()] == [each.id for each in documents[:2]]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_a_process_left_that_died_making_a_store_is_swept(tmp_path, encoder) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    for left in ("states.bin", "index.sqlite", "index.sqlite-journal", "writer.lock", "store.json.partial"):
        (folder / left).write_bytes(b"half")
    assert len(DocumentStore.create(folder, encoder.header(dtype="float32"))) == 0
    assert not (folder / "index.sqlite-journal").exists()


def test_a_store_is_made_by_one_process_at_a_time(tmp_path, encoder) -> None:
    """Two that begin together would take each other's index away."""
    header = encoder.header(dtype="float32")
    (tmp_path / "new").mkdir()
    with only_writer(tmp_path / "new"), pytest.raises(SecateurError, match=r"another process is adding documents"):
        DocumentStore.create(tmp_path / "new", header)
    assert len(DocumentStore.create(tmp_path / "new", header)) == 0


def test_a_store_that_cannot_be_written_is_told(filled) -> None:
    (filled.folder / "states.bin").rename(filled.folder / "elsewhere")
    with pytest.raises(SecateurError, match=r"store: cannot be written \(No such file[^\n]+$"), filled.writing():
        pass


def test_there_is_one_writer_and_readers_see_what_it_commits(empty, encoder, documents) -> None:
    reader = DocumentStore(empty.folder)
    with empty.writing() as writer:
        with pytest.raises(SecateurError, match=r"another process is adding documents; wait until it is done$"):
            next(encode_into(reader, encoder, documents, at_a_time=1))
        assert reader.find(documents[0]) is None
        writer.add(encoder.encode(documents[:3]))
        assert same(reader, encoder, documents[:3])


def test_readers_read_while_another_writes(empty, encoder, documents) -> None:
    """Each thread has a connection of its own; whatever it finds is whole."""
    failed: list[BaseException] = []
    found = 0

    def read() -> None:
        nonlocal found
        try:
            reader = DocumentStore(empty.folder)
            while len(reader) < len(documents):
                found += sum(reader.find(document) is not None for document in documents)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    list(encode_into(empty, encoder, documents, at_a_time=1))
    for thread in threads:
        thread.join()
    assert not failed
    assert found


READER = """
import json, pathlib, sys
from secateur.serving.document_store import DocumentStore
from secateur.serving.documents import Document

folder, documents = pathlib.Path(sys.argv[1]), [Document(**each) for each in json.loads(sys.argv[2])]
reader = DocumentStore(folder)
print("ready", flush=True)
found = 0
while len(reader) < len(documents):
    found += sum(reader.find(document) is not None for document in documents)
assert all(reader.find(document) is not None for document in documents)
print(found)
"""


def test_other_processes_read_while_this_one_writes(empty, encoder, documents) -> None:
    """Whatever they find is whole: damage would be told on stderr, and found in none of the documents."""
    named = json.dumps([{"id": each.id, "text": each.text} for each in documents])
    command = [sys.executable, "-c", READER, str(empty.folder), named]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert all(reader.stdout is not None and reader.stdout.readline() == "ready\n" for reader in readers)
    list(encode_into(empty, encoder, documents, at_a_time=1))
    for reader in readers:
        told, failed = reader.communicate(timeout=120)
        assert reader.returncode == 0, failed
        assert int(told) >= 0
        assert "damaged" not in failed


def test_a_full_disk_stops_it_in_one_line_and_loses_nothing(empty, encoder, documents, monkeypatch) -> None:
    write, room = os.pwrite, 3

    def pwrite(file: int, content: memoryview, position: int) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        room -= 1
        return write(file, content[: len(content) // 2 + 1], position)

    monkeypatch.setattr(os, "pwrite", pwrite)
    room = 100
    list(encode_into(empty, encoder, documents[:4], at_a_time=4))
    room = 3
    with pytest.raises(SecateurError, match=r"cannot be written \(.*No space left on device\); [^\n]+ are kept$"):
        list(encode_into(empty, encoder, documents, at_a_time=4))
    monkeypatch.undo()
    assert (len(empty), same(empty, encoder, documents[:4])) == (4, True)
    list(encode_into(empty, encoder, documents, at_a_time=4))
    assert same(empty, encoder, documents)


WRITER = """
import sys
from pathlib import Path
from secateur.serving.document_store import DocumentStore
from secateur.serving.documents import Corpus
from secateur.serving.encoding import Encoder, encode_into
from secateur.structure.checkpoint import load, load_tokenizer

folder = Path(sys.argv[1])
store = DocumentStore(folder / "store")
settings = {"room": store.header.room, "doc_stride": store.header.doc_stride, "batch_size": 4}
encoder = Encoder(load(folder / "model"), load_tokenizer(folder / "model"), **settings)
print("begin", flush=True)
for _ in encode_into(store, encoder, Corpus(folder / "documents.jsonl"), at_a_time=2):
    print("batch", flush=True)
"""


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_any_moment_it_loses_nothing_and_serves_nothing_stale(
    times, empty, encoder, documents, tmp_path
) -> None:
    """Each round all texts change: each document is found with its new text or with the last, whole either way."""
    save_model(encoder.model, encoder.tokenizer, tmp_path / "model")
    rng, kept, killed_between = random.Random(times), {}, 0
    for round_ in range(times):
        texts = [Document(id=each.id, text=f"{each.text} Round {round_}.") for each in documents]
        lines = [json.dumps({"id": each.id, "text": each.text}) for each in texts]
        (tmp_path / "documents.jsonl").write_text("\n".join(lines), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "begin\n"
        wanted = rng.randrange(len(documents) // 2)  # batches, of two each; a few more are written until it is dead
        read = sum(process.stdout.readline() == "batch\n" for _ in range(wanted))
        time.sleep(rng.random() * 0.002)
        process.send_signal(signal.SIGKILL)
        batches = read + process.stdout.read().count("batch")
        process.wait()
        store = DocumentStore(empty.folder)
        new = [each for each in texts if store.find(each) is not None]
        assert len(new) >= 2 * batches
        killed_between += 0 < len(new) < len(texts)
        kept |= {each.id: each for each in new}
        assert {document.id for document in store.documents()} == kept.keys()
        assert same(store, encoder, kept.values())
    assert killed_between >= times // 2
    list(encode_into(empty, encoder, documents, at_a_time=4))
    assert same(empty, encoder, documents)
