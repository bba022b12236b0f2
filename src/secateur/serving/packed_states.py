"""States as bytes: in float32, float16, or int8 with a scale for each token.

Shapes: T tokens, E features.
"""

from __future__ import annotations

import numpy as np

from secateur.errors import SecateurError

DTYPES = ("float32", "float16", "int8")
_LARGEST = {"int8": 127, "float16": float(np.finfo(np.float16).max)}


def check_dtype(dtype: str) -> None:
    """Refuse a type in which states cannot be stored.

    Raises:
        SecateurError: naming the supported types.
    """
    if dtype not in DTYPES:
        raise SecateurError(f"dtype={dtype}: must be one of {', '.join(DTYPES)}")


def bytes_per_token(features: int, dtype: str) -> int:
    """The bytes that the state of one token takes."""
    return features * np.dtype(dtype).itemsize + (np.dtype(np.float32).itemsize if dtype == "int8" else 0)


def to_bytes(states_TE: np.ndarray, dtype: str) -> bytes:
    """States, float32 (T, E), in the requested type; int8 values follow the float32 scales of all tokens.

    float16 keeps 11 significant bits of each value and clips values beyond its range; int8 divides the range between a
    token's largest absolute value and its negative into 255 uniform steps.
    """
    if dtype == "int8":
        scales_T = np.abs(states_TE).max(axis=1) / _LARGEST["int8"]
        steps_TE = np.rint(states_TE / np.where(scales_T, scales_T, 1)[:, None])
        return scales_T.astype(np.float32).tobytes() + steps_TE.astype(np.int8).tobytes()
    if dtype == "float16":
        states_TE = states_TE.clip(-_LARGEST["float16"], _LARGEST["float16"])
    return states_TE.astype(dtype).tobytes()


def from_bytes(content: memoryview, *, tokens: int, features: int, dtype: str) -> np.ndarray:
    """The states (T, E) written by :func:`to_bytes`: float32 for int8, otherwise a view of ``content`` in its type."""
    if dtype != "int8":
        return np.frombuffer(content, dtype=dtype).reshape(tokens, features)
    scales_T = np.frombuffer(content, dtype=np.float32, count=tokens)
    steps = np.frombuffer(content, dtype=np.int8, offset=scales_T.nbytes)
    return steps.reshape(tokens, features) * scales_T[:, None]
