"""The sections, and where each stores its records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from claiming import deformer, depth, gates, weights
from claiming.page import page
from claiming.plan import PROFILES, Section

PREFIX = "claims_"
SECTIONS: dict[str, Callable[[str], Section]] = {
    "gates": gates.section,
    "depth": depth.section,
    "weights": weights.section,
    "deformer": deformer.section,
}


def folder_name(section: str, profile: str) -> str:
    """The sweep's name, and the page's."""
    return f"{PREFIX}{section}" + ("" if profile == PROFILES[0] else f"_{profile}")


def page_of(folder: Path) -> str:
    """The page of the records in ``folder``, which is named after its section and profile."""
    named = {folder_name(name, profile): (make, profile) for name, make in SECTIONS.items() for profile in PROFILES}
    make, profile = named[folder.name]
    return page(make(profile), folder)
