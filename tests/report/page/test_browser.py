"""The page in a real browser: it draws, filters, sorts and opens runs; records are shown as text; it makes no requests.

Skipped with a reason if no browser is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts import browsing
from secateur.record import Cost, Structure
from secateur.report.contents import Contents
from secateur.report.page.write import save_page
from secateur.report.reading import read
from tests.records import make_record, put, theseus
from tests.two_stages import stage_1, stage_2

pytestmark = pytest.mark.skipif(browsing.lacking() is not None, reason=str(browsing.lacking()))

HOSTILE = (
    "</script><script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 2'>",
    '"><b onmouseover=window.broken=3>bold</b>',
    '<a href="javascript:window.broken=4">${data} {{7*7}} %{x} </a>',
)


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    started = browsing.start()
    yield started
    started.quit()


def page_of(folder: Path, *, title: str = "sweep") -> Path:
    found = read([folder], warn=lambda line: None)
    save_page(Contents.of(found, [folder]), title=title, path=folder / "report.html")
    return folder / "report.html"


def run_of(method: str, dataset: str, seed: int, f1: float) -> Any:
    record = make_record(method=method, seed=seed, f1=f1, dataset=dataset, name=f"{method}-{dataset}-seed{seed}")
    record.config["trainer"] = {"precision": "bf16-mixed"}
    for model, heads in ((record.reference, [4, 4]), (record.compressed, [1, 3])):
        model.cost = Cost(parameters=1000, encoder_parameters=500, disk_bytes=4000, flops={128: 10**9})
        model.structure = Structure(removed=0.5, heads=heads, units=[8 * n for n in heads])
    return record


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three methods on two data sets with two seeds, and a failure."""
    folder = tmp_path_factory.mktemp("sweep")
    scores = {"l0": 72.0, "gain": 70.0, "random": 60.0}
    runs = [run_of(m, d, s, f1 + s) for m, f1 in scores.items() for d in ("squad", "mrpc") for s in (1, 2)]
    put(folder, *runs, make_record(name="broken", status="failed", error="no space left"))
    return page_of(folder)


@pytest.fixture
def opened(driver: Any, ordinary: Path) -> Any:
    driver.get(ordinary.as_uri())
    settle(driver)
    return driver


def settle(driver: Any, act: str = "") -> None:
    """Do something and wait until the page has drawn it."""
    frames = "requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50)))"
    driver.execute_async_script(f"const done = arguments[0]; {act}; {frames}")


def until(driver: Any, condition: str) -> None:
    """Wait for something that the page does in its own time; the driver's time limit ends a vain wait."""
    look = f"const look = () => {{ if ({condition}) done(); else setTimeout(look, 20); }}; look();"
    driver.execute_async_script(f"const done = arguments[0]; {look}")


def texts(driver: Any, selector: str) -> list[str]:
    return driver.execute_script(f"return [...document.querySelectorAll({selector!r})].map((it) => it.textContent)")


def column(driver: Any, number: int) -> list[str]:
    return texts(driver, f"#table tbody tr td:nth-child({number})")


def complaints(driver: Any) -> list[str]:
    return [entry["message"] for entry in driver.get_log("browser")]


def test_it_shows_all_rows_and_what_failed_without_a_complaint(opened: Any) -> None:
    assert texts(opened, "#count") == ["8 of 8 rows, all of model tiny, metric f1"]
    assert texts(opened, "#summary") == ["12 finished runs, 6 settings, 1 failed"]
    assert texts(opened, "#unfinished-table tbody td") == ["failed", "broken", "no space left"]
    assert set(texts(opened, ".legendtext")) == {"frontier", "dense", "gain", "l0", "random"}
    assert len(texts(opened, "#frontier .points path.point")) == 8
    assert complaints(opened) == []


def test_it_filters_by_method_data_set_and_words(opened: Any) -> None:
    settle(opened, "document.querySelector('#filter-dataset input').click()")  # mrpc is off
    assert set(column(opened, 2)) == {"squad"}
    settle(opened, "document.querySelector('#filter-method input').click()")  # so is gain
    assert column(opened, 1) == ["dense", "l0", "random"]
    assert len(texts(opened, "#frontier .points path.point")) == 3
    settle(opened, "document.querySelector('#reset').click()")
    assert len(column(opened, 1)) == 8
    words = "const it = document.getElementById('words'); it.value = 'l0 mrpc'; it.dispatchEvent(new Event('input'))"
    settle(opened, words)
    until(opened, "document.querySelectorAll('#table tbody tr').length === 1")
    assert column(opened, 1) == ["l0"]


def test_it_sorts_by_a_column_both_ways(opened: Any) -> None:
    place = 5  # the score
    click = "document.querySelector('th[data-column=score] button').click()"
    settle(opened, click)
    descending = [float(text.split(" ")[0]) for text in column(opened, place)]
    assert descending == sorted(descending, reverse=True)
    settle(opened, click)
    assert [float(text.split(" ")[0]) for text in column(opened, place)] == descending[::-1]
    assert opened.execute_script("return document.querySelector('th[data-column=score]').ariaSort") == "ascending"


def test_a_point_tells_what_it_is_and_opens_its_runs(opened: Any) -> None:
    """From a point to its run's config and record, by the mouse."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    opened.execute_script("window.scrollTo(0, 0)")
    (row,) = opened.execute_script(
        "return [...document.querySelectorAll('#table tr.opens')].filter((it) => /^l0.*squad/.test(it.textContent))"
    )
    index = int(row.get_attribute("data-row"))
    points = "[...document.querySelectorAll('#frontier .points path.point')]"
    point = opened.execute_script(f"return {points}.find((it) => it.__data__.data === {index})")
    ActionChains(opened).move_to_element(point).perform()
    until(opened, "document.querySelector('#frontier .hoverlayer .hovertext')")
    (hover,) = texts(opened, "#frontier .hoverlayer .hovertext")
    assert "sparsity 0.5" in hover and "× as fast" in hover
    ActionChains(opened).click().perform()
    until(opened, "document.querySelector('#details[open] pre')")
    assert texts(opened, "#details-heading") == ["l0, sparsity 0.5"]
    assert "trainer:\n  precision: bf16-mixed" in texts(opened, "#details pre")[0]
    opened.find_element(By.CSS_SELECTOR, "#details .runs button:nth-child(2)").click()
    until(opened, "/-seed2/.test(document.querySelector('#details .run dd').textContent)")
    opened.find_element(By.CSS_SELECTOR, "#details [data-view=record]").click()
    assert '"seed": 2' in texts(opened, "#details pre")[0]
    assert len(texts(opened, "#details .own-layers .bars .point")) == 8
    assert complaints(opened) == []


def test_other_axes_and_the_dark_are_drawn(opened: Any) -> None:
    for axis in ("milliseconds", "disk_bytes", "parameters", "flops", "removed"):
        choose = f"const it = document.getElementById('horizontal'); it.value = '{axis}'"
        settle(opened, f"{choose}; it.dispatchEvent(new Event('change'))")
        assert len(texts(opened, "#frontier .points path.point")) >= 6, axis
    for scheme in ("dark", "light"):
        opened.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        white = "getComputedStyle(document.querySelector('section')).backgroundColor === 'rgb(255, 255, 255)'"
        until(opened, white if scheme == "light" else f"!({white})")
        settle(opened)
    assert complaints(opened) == []


def test_published_figures_stand_beside_ours_and_are_marked(driver: Any, tmp_path: Path) -> None:
    driver.get(page_of(put(tmp_path, theseus())).as_uri())
    settle(driver)
    assert "published" in texts(driver, ".legendtext")
    assert "89.0" in column(driver, 6) and texts(driver, "th[data-column=published]") == ["published"]
    assert "not measured here" in texts(driver, "#table-note")[0]
    settle(driver, "document.querySelector('#table tbody tr:not(.dense)').click()")
    assert "89.0 of 89.5, 1.94× on its hardware (Xu et al., arXiv 2002.02925, table 2, median of 5)" in texts(
        driver, "#details dd"
    )


def test_both_stages_stand_side_by_side_where_there_are_any(driver: Any, ordinary: Path, tmp_path: Path) -> None:
    first = stage_1()
    driver.get(page_of(put(tmp_path, first, stage_2(first, "rte", 63.0), stage_2(first, "cola", 40.0))).as_uri())
    settle(driver)
    assert texts(driver, "#stages h3") == ["minilm compressed on custom_text, then fine-tuned on each task"]
    scores, kept = (texts(driver, f"#stages .scroll:nth-of-type({n}) tbody tr:last-child td") for n in (1, 2))
    assert (scores, kept) == (["rpp", "0.8", "0.80", "40.0", "80.0", "40.0", "63.0"], ["rpp", "0.8", "80.0", "90.0"])
    driver.get(ordinary.as_uri())
    settle(driver)
    assert driver.execute_script("return document.getElementById('stages').hidden")


def test_whatever_a_record_holds_is_text(driver: Any, tmp_path: Path) -> None:
    """In the table, the picture, the filters, the details, and in what is packed."""
    runs = []
    for number, name in enumerate(HOSTILE):
        record = make_record(
            name=f"run{number}", method=name, model=name, dataset=name, distillation=name, f1=70 + number
        )
        record.name, record.config, record.metric = name, {name: name, "seed": 1}, name
        record.reference.scores[name], record.compressed.scores[name] = 80.0, 70.0
        runs.append(record)
    for number, record in enumerate(runs):
        run = tmp_path / f"run{number}"
        put(run, record.model_copy(update={"name": "it"}))
        (run / "it" / "record.json").write_text(record.model_dump_json(by_alias=True), encoding="utf-8")
    put(tmp_path, make_record(name="failed", seed=9, status="failed", error=HOSTILE[1]))
    driver.get(page_of(tmp_path, title=HOSTILE[0]).as_uri())
    settle(driver)
    count = driver.execute_script("return document.querySelectorAll('#table tbody tr:not(.dense)').length")
    for number in range(count):
        settle(driver, f"document.querySelectorAll('#table tbody tr:not(.dense) button')[{number}].click()")
        until(driver, "document.querySelector('#details[open] pre')")
    shown = driver.execute_script("return document.body.innerText")
    assert all(name in shown for name in HOSTILE[1:2])
    assert all(any(name in cell for cell in texts(driver, "#table td")) for name in HOSTILE)
    assert {text for text in texts(driver, ".legendtext") if "<" in text} == set(HOSTILE)
    assert driver.execute_script("return window.broken") is None
    assert (
        driver.execute_script("return document.querySelectorAll('img, main b, main a:not(.modebar-btn)').length") == 0
    )
    assert complaints(driver) == []


def test_nothing_is_asked_of_anybody_and_no_foreign_script_runs(opened: Any) -> None:
    """The policy holds even for what would get past the escaping."""
    assert opened.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert "sendChartToCloud" not in " ".join(texts(opened, ".modebar"))
    assert (
        opened.execute_script("return document.querySelectorAll('[data-title*=Share], [data-title*=loud]').length") == 0
    )
    opened.execute_script(
        "const it = document.createElement('div'); it.innerHTML = '<img src=x onerror=\"window.broken = 5\">';"
        "document.body.append(it); const made = document.createElement('script');"
        "made.textContent = 'window.broken = 6'; document.body.append(made);"
    )
    opened.execute_async_script("setTimeout(arguments[0], 200)")
    assert opened.execute_script("return window.broken") is None
    refused = complaints(opened)
    assert len(refused) >= 2 and all("Content Security Policy" in line for line in refused)
