"""``secateur-encode``: encode a corpus once with a decomposed model's lower layers, into a document store."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from secateur.errors import SecateurError
from secateur.serving.lengths import add_lengths, given_lengths

_DESCRIPTION = """\
Encode documents with the lower layers of a model of method=deformer, and keep the resulting states in STORE, for
secateur-answer. Documents already in the store are not encoded again unless their text has changed or their states are
damaged; a run that was killed resumes when repeated."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; ``arguments`` are those of the process unless given."""
    options = _parser().parse_args(arguments)
    try:
        encode_corpus(options)
    except SecateurError as error:
        sys.exit(str(error))


def encode_corpus(options: argparse.Namespace) -> None:
    """Encode a file's documents into a store, with a progress bar, and print their size.

    Raises:
        SecateurError: if the model reads question and document packed, documents are malformed, or the store belongs
            to another model or cannot be written.
    """
    from secateur.serving.documents import Corpus
    from secateur.serving.packed_states import check_dtype

    check_dtype(options.dtype)
    documents = Corpus(options.documents)
    from rich.progress import Progress

    from secateur.commands.launch import quiet_libraries
    from secateur.data.trained_lengths import lengths_of
    from secateur.serving.document_store import DocumentStore
    from secateur.serving.encoding import Encoder, encode_into, room_of
    from secateur.serving.loading import load_for_serving

    quiet_libraries()
    model, tokenizer = load_for_serving(options.model)
    lengths = lengths_of(model.config, **given_lengths(options))
    room = room_of(model, tokenizer, max_seq_length=lengths.max_seq_length)
    settings = {"room": room, "doc_stride": lengths.doc_stride, "batch_size": options.batch_size}
    encoder = Encoder(model, tokenizer, **settings)
    store = DocumentStore.create(options.store, encoder.header(dtype=options.dtype))
    encoded = 0
    with Progress() as progress:
        task = progress.add_task("encoding", total=len(documents))
        for read, made in encode_into(store, encoder, documents, at_a_time=options.batch_size):
            encoded += made
            progress.advance(task, read)
    size = store.size()
    print(
        f"{options.store}: {len(store)} documents, {encoded} encoded now; {size / 1e6:.1f} MB of states, "
        f"{size / max(1, len(store)) / 1e3:.1f} kB per document"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="secateur-encode", description=_DESCRIPTION, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help="the model folder of a run of method=deformer")
    parser.add_argument(
        "documents", metavar="DOCUMENTS", type=Path, help="JSONL with id and text, or the passages of SQuAD's JSON"
    )
    parser.add_argument("store", metavar="STORE", type=Path, help="a new folder, or a store to add to")
    parser.add_argument(
        "--dtype", default="float16", help="type of the states: float32, float16, or int8 with a scale per token"
    )
    add_lengths(parser)
    return parser
