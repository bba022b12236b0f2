"""A real headless browser for measurements and tests: Debian's chromium, driven by selenium."""

from __future__ import annotations

import importlib.util
import shutil
from typing import Any

PROGRAMS = ("chromium", "chromedriver")


def lacking() -> str | None:
    """What is missing, as a reason to skip; None if a browser can be started."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)}: not installed (Debian: apt-get install chromium chromium-driver)"
    return None if importlib.util.find_spec("selenium") else 'selenium: not installed (pip install "secateur[dev]")'


def start(*, dark: bool = False, width: int = 1400, height: int = 1000) -> Any:
    """A driver that records the page's console output; ``quit`` it when done."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which(PROGRAMS[0]) or ""
    # No sandbox, so that it runs as root in a container; it opens only this project's own files.
    for argument in (
        "headless=new",
        "no-sandbox",
        "disable-dev-shm-usage",
        "disable-gpu",
        f"window-size={width},{height}",
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which(PROGRAMS[1])))
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    driver.set_script_timeout(300)
    return driver
