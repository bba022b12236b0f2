"""What is embedded in the page, without a browser."""

from __future__ import annotations

import base64
import gzip
import json
import math

import pytest

from secateur.report.contents import Contents
from secateur.report.page import embedding
from secateur.report.page.data import page_data
from secateur.report.page.embedding import PACK, embedded, packed, pictures_of
from secateur.report.page.write import page_of
from secateur.report.reading import Found
from tests.records import make_record, put

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 10


def found_of(folder, *records):
    put(folder, *records)
    return Found(runs={folder / record.name / "record.json": record for record in records})


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "a & b", "\u2028", '"\\'])
def test_embedded_text_ends_no_tag_and_reads_back(text):
    data = embedded({"name": text, text: 1})
    assert not set("<>&\u2028") & set(data)
    assert json.loads(data) == {"name": text, text: 1}


def test_what_is_no_number_is_nothing():
    """JSON has no NaN, and the page would not open."""
    assert json.loads(embedded({"a": [math.nan, (math.inf, 1.5)]})) == {"a": [None, [None, 1.5]]}


def test_records_are_packed_in_order_and_read_back():
    records = [make_record(seed=seed, method="</script>") for seed in range(PACK + 1)]
    packs = [json.loads(gzip.decompress(base64.b64decode(pack))) for pack in packed(records)]
    assert [len(pack) for pack in packs] == [PACK, 1]
    assert [record["seed"] for pack in packs for record in pack] == list(range(PACK + 1))
    assert packs[0][0]["schema"] == 1


def test_pictures_are_embedded_as_long_as_there_is_room(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name / "figures").mkdir(parents=True)
        (tmp_path / name / "figures" / "structure.png").write_bytes(PNG)
        (tmp_path / name / "figures" / "svg.png").write_bytes(b"<svg onload=alert(1)>")
    runs = [(name, tmp_path / name) for name in ("a", "b")]
    assert {name: list(urls) for name, urls in pictures_of(runs).items()} == {
        name: ["structure.png"] for name in ("a", "b")
    }
    monkeypatch.setattr(embedding, "PICTURES", len(PNG))
    assert list(pictures_of(runs)) == ["a"]


def test_a_row_knows_its_runs_and_a_method_has_the_colour_of_the_other_pictures(tmp_path):
    found = found_of(tmp_path, make_record(seed=1), make_record(seed=2), make_record(method="gain"))
    data = page_data(Contents.of(found, []), {})
    runs = {row["method"]: [data["runs"][place]["name"] for place in row["runs"]] for row in data["rows"]}
    assert runs == {"dense": [], "gain": ["gain-seed1"], "l0": ["l0-seed1", "l0-seed2"]}
    assert data["looks"]["gain"] == {"colour": "#0072b2", "symbol": "circle"}
    assert data["runs"][0]["folder"] == str(tmp_path / "gain-seed1")


def test_the_page_is_one_file_that_names_no_place_to_load_from(tmp_path):
    found = found_of(tmp_path, make_record())
    text = page_of(Contents.of(found, []), title="</title><script>")
    head = text[: text.index("<body>")]
    assert "default-src 'none'" in head and head.count("'sha256-") == 2
    assert "<title>&lt;/title&gt;&lt;script&gt; – Secateur</title>" in head
    assert " src=" not in head and "<link" not in text[: text.index('id="data"')]
    assert text.count("<script") == text.count("</script") == 4  # data, one pack of records, Plotly, and the page's own
