"""The table for a terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from rich import box
from rich.table import Table
from rich.text import Text

from secateur.record import Record, method_label
from secateur.report.pareto import frontiers
from secateur.report.published import Published, published_of
from secateur.report.rows import Row, Stat, group
from secateur.report.stages import StageRow

NOTHING = "-"
_FOLDED = ("method", "  in")  # text columns, wrapped to as many lines as needed


def render(records: Iterable[Record]) -> Table:
    """The table of the finished ``records``, one or more, for a terminal of 100 columns."""
    return render_rows(group(records))


def render_rows(rows: Sequence[Row]) -> Table:
    """The rows of :func:`group` for a terminal of 100 columns, one table for each model and data set.

    What all rows of a table share is shown above it; the settings in which look-alikes differ are listed below.
    """
    page = Table.grid()
    for section in sections(rows):
        page.add_row(Text(section.title, "bold"))
        for columns in section.tables:
            page.add_row(_table(columns))
        page.add_row()
    for line in notes(rows):
        page.add_row(Text(line))
    page.add_row(Text("\n".join(caption(rows)), "dim"))
    return page


class Section(NamedTuple):
    """The tables of one model and data set, each as its columns: cells by header, with the rows' labels first."""

    title: str
    tables: list[dict[str, list[str]]]


def sections(rows: Sequence[Row]) -> Iterator[Section]:
    """All figures of a report as text, for each model and data set."""
    members: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        members[row.model, row.dataset].append(row)
    marks = marks_of(rows)
    for alike in members.values():
        tables = [(alike, _columns(alike)), *_further(alike)]
        yield Section(_title(alike), [_cells(shown, cells, marks) for shown, cells in tables if shown])


def notes(rows: Sequence[Row]) -> list[str]:
    """The settings in which look-alikes differ, after the numbers that mark their names."""
    return [f"{mark} {', '.join(differs)}" for differs, mark in marks_of(rows).items()]


def _further(rows: Sequence[Row]) -> list[tuple[list[Row], dict[str, Callable[[Row], str]]]]:
    return [
        ([row for row in rows if row.is_sparse], _ZEROS),
        ([row for row in rows if row.onnx], _RUNTIMES),
        ([row for row in rows if published_of(row)], _PUBLISHED),
    ]


def marks_of(rows: Sequence[Row] | Sequence[StageRow]) -> dict[tuple[str, ...], str]:
    """A mark for each set of settings in which look-alikes differ, explained below the table."""
    return {differs: f"({n})" for n, differs in enumerate(dict.fromkeys(r.differs for r in rows if r.differs), 1)}


def label_of(row: Row | StageRow, marks: Mapping[tuple[str, ...], str]) -> str:
    """The label of a row's method in tables, with its mark."""
    return " ".join(filter(None, [method_label(row.method, row.distillation), marks.get(row.differs)]))


_ASKED: dict[str, Callable[[Row], str]] = {
    "sparsity": lambda row: NOTHING if row.sparsity is None else f"{row.sparsity:g}",
    "n": lambda row: str(row.n),
}
_RUNTIMES: dict[str, Callable[[Row], str]] = {
    **_ASKED,
    "  PyTorch ms": lambda row: plus_minus(row.timings[row.headline].p50 if row.headline else None, decimals=1),
    "  ONNX Runtime ms": lambda row: plus_minus(row.onnx.p50 if row.onnx else None, decimals=1),
    "  ONNX speed-up": lambda row: plus_minus(row.onnx.speedup if row.onnx else None, decimals=2),
}
_ZEROS: dict[str, Callable[[Row], str]] = {
    **_ASKED,
    "  zeroed in the encoder": lambda row: steady(row.figures.get("zeroed"), decimals=3),
    "  of all parameters": lambda row: steady(row.figures.get("zeroed_total"), decimals=3),
    "  bytes": lambda row: _scaled(row.figures.get("disk_bytes")),
    "  stored sparse": lambda row: _scaled(row.figures.get("sparse_bytes")),
}


def _published(show: Callable[[Published], str]) -> Callable[[Row], str]:
    return lambda row: show(published) if (published := published_of(row)) else NOTHING


_PUBLISHED: dict[str, Callable[[Row], str]] = {
    "ours": lambda row: score_text(row.score),
    "  published": _published(lambda its: f"{its.score:.1f}"),
    "  kept %": lambda row: plus_minus(row.figures.get("retention"), scale=100, decimals=1),
    "  published kept %": _published(lambda its: f"{100 * its.retention:.1f}"),
    "  published speed-up": _published(lambda its: NOTHING if its.speedup is None else f"{its.speedup:.2f}"),
    "  in": _published(lambda its: f"{its.source} ({its.statistic})"),
}


def _cells(
    rows: Sequence[Row], cells_of: Mapping[str, Callable[[Row], str]], marks: Mapping[tuple[str, ...], str]
) -> dict[str, list[str]]:
    labels = [label_of(row, marks) for row in rows]
    return {"method": labels} | {header: [cell(row) for row in rows] for header, cell in cells_of.items()}


def _table(columns: Mapping[str, Sequence[str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)
    for header, cells in columns.items():
        if header in _FOLDED:
            table.add_column(header, overflow="fold", min_width=10)
        else:
            # A given width saves rich from measuring each cell four times.
            table.add_column(Text(header), justify="right", no_wrap=True, width=max(map(len, [header, *cells])))
    for row in zip(*columns.values(), strict=True):
        table.add_row(*map(Text, row))
    return table


def _columns(rows: Sequence[Row]) -> dict[str, Callable[[Row], str]]:
    # Leading spaces separate the wide columns; 100 characters allow only one space between all the others.
    columns: dict[str, Callable[[Row], str]] = {
        **_ASKED,
        f" {rows[0].metric}": lambda row: f" {score_text(row.score)}",
        " kept %": lambda row: f" {plus_minus(row.figures.get('retention'), scale=100, decimals=1)}",
        "removed": lambda row: steady(row.figures.get("removed"), decimals=2),
        "zeroed": lambda row: steady(row.figures.get("zeroed"), decimals=2),
        "params": lambda row: _scaled(row.figures.get("parameters")),
        "FLOPs": lambda row: _scaled(row.figures.get("flops")),
        "bytes": lambda row: _scaled(row.figures.get("disk_bytes")),
        " speed-up": lambda row: f" {plus_minus(row.speedup, decimals=2)}",
        "best": _best(rows),
    }
    if sum(not row.dense for row in rows) < 2:
        del columns["best"]
    if not any(row.is_sparse for row in rows):
        del columns["zeroed"]
    return columns


def _best(rows: Sequence[Row]) -> Callable[[Row], str]:
    best = {id(row): "".join(name[0] for name in names) for row, names in zip(rows, frontiers(rows), strict=True)}
    return lambda row: best[id(row)]


def _title(rows: Sequence[Row]) -> str:
    seeds = {row.predecessor_seed for row in rows if not row.dense}
    title = f"{rows[0].model} on {rows[0].dataset}"
    if len(seeds) != 1:
        return title
    seed = seeds.pop()
    return f"{title}, predecessor " + ("seeded like the run" if seed is None else f"seed {seed}")


def caption(rows: Sequence[Row]) -> list[str]:
    """What the figures are, and where they were measured."""
    timed = [row for row in rows if row.headline is not None and not row.dense]
    settings = _by_dataset({row.dataset: str(row.headline) for row in timed})
    lengths = _by_dataset({row.dataset: f"{row.flops_length} tokens" for row in rows if row.flops_length})
    devices = "; ".join(sorted({device for row in timed for device in row.devices}))
    lines = ["n seeds, mean ± standard deviation; kept % and speed-up are against the dense model"]
    lines += [f"FLOPs of one forward pass over {lengths}"] if lengths else []
    lines += [f"speed-up in {settings}; {devices}"] if timed else []
    if len(timed) > 1:
        lines.append("best: no other model beats it in both score and s (speed), b (bytes) or F (FLOPs)")
    if kept := sorted({row.method for row in rows if row.documents_kept}):
        lines.append(f"{', '.join(kept)}: times and FLOPs with the documents' states kept")
    if any(row.is_sparse for row in rows):
        lines.append("zeros give no speed-up: dense kernels multiply by them too; stored sparse: one bit for")
        lines.append("each weight, and float32 for those that are not 0")
    if any(row.headline.batch_size == 1 and "cuda" in " ".join(row.devices) for row in timed if row.headline):
        lines.append("batch 1 on a GPU: kernel launches take most of the time, so smaller models gain little there")
    if any(row.onnx for row in timed):
        lines.append("ms per batch at the same setting; ONNX speed-up with both models in ONNX Runtime")
    if any(row.beside_others for row in timed):
        lines.append("timed while other jobs were running: secateur-measure times them again, alone")
    if any(published_of(row) for row in rows):
        lines.append("published: by the paper, on its hardware, in the same setting; not measured here")
    return lines


def _by_dataset(texts: Mapping[str, str]) -> str:
    if len(set(texts.values())) <= 1:
        return next(iter(texts.values()), "")
    return "; ".join(f"{text} ({dataset})" for dataset, text in texts.items())


def score_text(stat: Stat | None) -> str:
    """A score with its spread."""
    # Scores are percentages (F1 on SQuAD) or fractions (a correlation): both are shown with three or four digits.
    return plus_minus(stat, decimals=1 if stat and abs(stat.mean) > 1 else 3)


def plus_minus(stat: Stat | None, *, decimals: int, scale: float = 1) -> str:
    """A mean with its spread, if any; ``NOTHING`` if there is no figure."""
    if stat is None:
        return NOTHING
    spread = "" if stat.std is None else f" ± {stat.std * scale:.{decimals}f}"
    return f"{stat.mean * scale:.{decimals}f}{spread}"


def steady(stat: Stat | None, *, decimals: int, scale: float = 1) -> str:
    """Like :func:`plus_minus`, without a spread that would read 0: sizes are mostly the same for every seed."""
    still = stat and stat.std is not None and stat.std * scale < 0.5 * 10**-decimals
    return plus_minus(stat._replace(std=None) if stat and still else stat, decimals=decimals, scale=scale)


def _scaled(stat: Stat | None) -> str:
    if stat is None:
        return NOTHING
    power, unit = next(((p, u) for p, u in ((12, "T"), (9, "G"), (6, "M"), (3, "k")) if stat.mean >= 10**p), (0, ""))
    digits_before = len(str(int(stat.mean / 10**power)))
    return steady(stat, decimals=max(0, 3 - digits_before) if unit else 0, scale=10**-power) + unit
