"""What is embedded in the page: data that no browser takes for markup, compressed records, and pictures as URLs."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from secateur.record import Record

PACK = 64  # records per compressed piece; the page unpacks only the piece that it needs
PICTURES = 16 * 2**20  # maximum bytes of embedded pictures; for a large sweep, the others stay in their folders
_PNG = b"\x89PNG\r\n\x1a\n"


def embedded(data: Any) -> str:
    """JSON that is safe between ``<script>`` tags: nothing in it closes the tag, or opens another tag or a comment."""
    text = json.dumps(_finite(data), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def packed(records: Sequence[Record]) -> Iterator[str]:
    """The records as JSON lists of ``PACK`` each, compressed with gzip and encoded in base64."""
    for start in range(0, len(records), PACK):
        texts = (record.model_dump_json(by_alias=True) for record in records[start : start + PACK])
        # Without a timestamp, so that the same records give the same page.
        yield base64.b64encode(gzip.compress(f"[{','.join(texts)}]".encode(), compresslevel=6, mtime=0)).decode()


def pictures_of(runs: Iterable[tuple[str, Path]]) -> dict[str, dict[str, str]]:
    """The pictures of runs, given by name and folder, as data URLs by file name, up to ``PICTURES`` bytes."""
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
    """``value`` with None in place of non-finite numbers, which JSON cannot represent."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and value - value != 0 else value
