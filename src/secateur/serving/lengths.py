"""The commands' arguments for splitting documents into windows."""

from __future__ import annotations

import argparse


def add_lengths(parser: argparse.ArgumentParser) -> None:
    """Add arguments for splitting documents into windows, and for the number of windows per pass."""
    trained = "by default as in the model's training, or"
    parser.add_argument(
        "--max-seq-length",
        type=int,
        default=argparse.SUPPRESS,
        help=f"tokens of question and document together; {trained} 384 if the model does not say",
    )
    parser.add_argument(
        "--doc-stride",
        type=int,
        default=argparse.SUPPRESS,
        help=f"tokens that two neighbouring windows share; {trained} 128",
    )
    parser.add_argument("--batch-size", type=int, default=32, help="windows per forward pass")


def given_lengths(options: argparse.Namespace) -> dict[str, int]:
    """The lengths among the parsed arguments; only those that were given."""
    return {name: length for name, length in vars(options).items() if name in ("max_seq_length", "doc_stride")}
