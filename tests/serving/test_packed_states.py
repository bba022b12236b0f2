"""States as bytes: their number, and how close they are to the original values."""

from __future__ import annotations

import numpy as np
import pytest

from secateur.errors import SecateurError
from secateur.serving.packed_states import DTYPES, bytes_per_token, check_dtype, from_bytes, to_bytes

STATES = np.random.default_rng(0).normal(scale=3, size=(7, 16)).astype(np.float32)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 0.0), ("float16", 2**-11 * 12), ("int8", 12 / 254)])
def test_what_comes_out_is_what_went_in_to_the_types_precision(dtype: str, tolerance: float) -> None:
    content = to_bytes(STATES, dtype)
    assert len(content) == 7 * bytes_per_token(16, dtype)
    found = from_bytes(memoryview(content), tokens=7, features=16, dtype=dtype)
    assert np.abs(found.astype(np.float32) - STATES).max() <= tolerance
    assert np.abs(STATES).max() < 12


def test_zeros_and_what_float16_cannot_hold_stay_numbers() -> None:
    for dtype in DTYPES:
        states = np.array([[0, 0], [1e6, -1e6]], dtype=np.float32)
        found = from_bytes(memoryview(to_bytes(states, dtype)), tokens=2, features=2, dtype=dtype)
        assert np.isfinite(found).all()
        assert not found[0].any()


def test_bytes_of_a_passage_are_those_that_the_paper_gives() -> None:
    """150 tokens of BERT-base in half precision: 225 KiB (section 4.4 has 226 KB)."""
    assert 150 * bytes_per_token(768, "float16") == 225 * 1024


def test_refuses_another_type() -> None:
    with pytest.raises(SecateurError, match=r"^dtype=int4: must be one of float32, float16, int8$"):
        check_dtype("int4")
