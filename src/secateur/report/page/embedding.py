"""What goes into the page's file: data that no browser takes for markup, records packed small, pictures as URLs."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from secateur.record import Record

PACK = 64  # records in one packed piece, of which the page unpacks the one that is looked at
PICTURES = 16 * 2**20  # bytes of pictures, at most; the page of a large sweep leaves the others in their folders
_PNG = b"\x89PNG\r\n\x1a\n"


def embedded(data: Any) -> str:
    """JSON that may stand between ``<script>`` tags: nothing in it ends the tag, or begins another or a comment."""
    text = json.dumps(_finite(data), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def packed(records: Sequence[Record]) -> Iterator[str]:
    """The records as JSON lists of ``PACK``, each compressed by gzip and in base64."""
    for start in range(0, len(records), PACK):
        texts = (record.model_dump_json(by_alias=True) for record in records[start : start + PACK])
        # Without the time of day, so that the same records give the same page.
        yield base64.b64encode(gzip.compress(f"[{','.join(texts)}]".encode(), compresslevel=6, mtime=0)).decode()


def pictures_of(runs: Iterable[tuple[str, Path]]) -> dict[str, dict[str, str]]:
    """The pictures of runs, given by name and folder, as data URLs by file, as long as there is room."""
    left, found = PICTURES, {}
    for name, folder in runs:
        urls = {}
        for file in sorted((folder / "figures").glob("*.png")):
            content = file.read_bytes()
            if content.startswith(_PNG) and len(content) <= left:
                left -= len(content)
                urls[file.name] = "data:image/png;base64," + base64.b64encode(content).decode()
        if urls:
            found[name] = urls
    return found


def _finite(value: Any) -> Any:
    """With None for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and value - value != 0 else value
