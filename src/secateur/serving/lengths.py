"""How documents are parted into windows: the commands' arguments, and what holds where nothing is asked for."""

from __future__ import annotations

import argparse

MAX_SEQ_LENGTH = 384
"""Tokens of question and document together."""
DOC_STRIDE = 128
"""Tokens that two neighbouring windows share."""


def add_lengths(parser: argparse.ArgumentParser) -> None:
    """How documents are parted into windows, as in training, and how many windows are read at once."""
    parser.add_argument(
        "--max-seq-length", type=int, default=MAX_SEQ_LENGTH, help="tokens of question and document together"
    )
    parser.add_argument("--doc-stride", type=int, default=DOC_STRIDE, help="tokens that two neighbouring windows share")
    parser.add_argument("--batch-size", type=int, default=32, help="windows of one forward pass")
