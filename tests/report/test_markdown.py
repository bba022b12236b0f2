"""The Markdown has the terminal's figures, and no name in it is interpreted as markup."""

from dataclasses import replace
from pathlib import Path

from secateur.report.contents import Contents
from secateur.report.markdown import save_markdown
from secateur.report.reading import Found
from secateur.report.unfinished import Unfinished
from tests.records import make_record


def markdown_of(records, left_out, tmp_path):
    contents = Contents.of(Found(runs={Path(record.name): record for record in records}), [])
    save_markdown(replace(contents, unfinished=left_out), tmp_path / "report.md")
    return (tmp_path / "report.md").read_text(encoding="utf-8")


def test_rows_and_what_is_in_no_table(tmp_path):
    records = [make_record(seed=1, f1=71.0), make_record(seed=2, f1=73.0)]
    text = markdown_of(records, [Unfinished("failed", "l0-seed3", "no space")], tmp_path)
    assert "| l0 | 0.5 | 2 | 72.0 ± 1.4 | 90.0 ± 1.8 |" in text
    assert "| failed | l0-seed3 | no space |" in text
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]


def test_a_name_is_text_whatever_it_holds(tmp_path):
    hostile = "a|b\n| <img src=x onerror=alert(1)> [x](javascript:y) `*_"
    text = markdown_of(
        [make_record(method=hostile, dataset=hostile)], [Unfinished("failed", hostile, hostile)], tmp_path
    )
    assert "<img" not in text.replace("\\<", "") and "](java" not in text.replace("\\]", "")
    table = [line for line in text.splitlines() if line.startswith("|") and "a\\|b" in line]
    assert len(table) == 2 and all("\n" not in line for line in table)
