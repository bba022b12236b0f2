"""The page: one self-contained HTML file with all its data, styles and scripts, which makes no requests."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable
from datetime import datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template

from secateur.disk import write_whole
from secateur.report.contents import Contents
from secateur.report.page.data import page_data, runs_of
from secateur.report.page.embedding import PACK, embedded, packed, pictures_of

# Concatenated in this order, they form one script.
_SCRIPTS = ("model", "text", "filters", "frontier", "table", "layers", "details", "main")


def save_page(contents: Contents, *, title: str, path: Path) -> None:
    """Write the page.

    Args:
        contents: the contents of the report.
        title: names what was reported on.
        path: the file to write.
    """
    write_whole(path, page_of(contents, title=title))


def page_of(contents: Contents, *, title: str) -> str:
    """The page's text.

    Everything from a record is either JSON, which the script shows as text, or compressed. A content security policy
    allows only the page's own two scripts, by their digests, and no requests at all.
    """
    records = runs_of(contents.rows)
    folders = {(record.name, record.seed): path.parent for path, record in contents.found.runs.items()}
    pictures = pictures_of((record.name, folders[record.name, record.seed]) for record in records)
    data = page_data(contents, pictures) | {"title": title, "pack": PACK}
    data |= {"written": datetime.now().astimezone().isoformat(timespec="minutes"), "version": version("secateur")}
    scripts = {"plotly": _plotly(), "own": _own_script()}
    return Template(_text("page.html")).substitute(
        scripts,
        title=html.escape(title),
        policy=" ".join(f"'sha256-{_digest(script)}'" for script in scripts.values()),
        style=_text("page.css"),
        data=embedded(data),
        packs=_packs(packed(records)),
    )


def _packs(packs: Iterable[str]) -> str:
    return "\n".join(
        f'<script type="text/plain" id="records-{number}">{pack}</script>' for number, pack in enumerate(packs)
    )


def _plotly() -> str:
    return files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")


def _own_script() -> str:
    return "(() => {\n'use strict';\n" + "\n".join(_text(f"{name}.js") for name in _SCRIPTS) + "})();\n"


def _text(name: str) -> str:
    return files("secateur.report.page").joinpath(name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
