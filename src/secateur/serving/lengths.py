"""How documents are split into windows: the commands' arguments and their defaults."""

from __future__ import annotations

import argparse

MAX_SEQ_LENGTH = 384
"""Tokens of question and document together."""
DOC_STRIDE = 128
"""Tokens that two neighbouring windows share."""


def add_lengths(parser: argparse.ArgumentParser) -> None:
    """Add arguments for splitting documents into windows, as in training, and for the number of windows per pass."""
    parser.add_argument(
        "--max-seq-length", type=int, default=MAX_SEQ_LENGTH, help="tokens of question and document together"
    )
    parser.add_argument("--doc-stride", type=int, default=DOC_STRIDE, help="tokens that two neighbouring windows share")
    parser.add_argument("--batch-size", type=int, default=32, help="windows per forward pass")
