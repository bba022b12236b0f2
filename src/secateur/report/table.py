"""The table for a terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from secateur.record import Record, method_label
from secateur.report.rows import Row, Stat, group

NOTHING = "-"


def render(records: Iterable[Record]) -> Table:
    """The table of the finished ``records`` for a terminal of 100 columns; also for a single run."""
    return render_rows(group(records))


def render_rows(rows: Sequence[Row]) -> Table:
    """The rows of :func:`group` for a terminal of 100 columns, one table for each model and dataset.

    What all rows of a table share stands above it; in which settings look-alikes differ stands below.
    """
    sections: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        sections[row.model, row.dataset].append(row)
    marks = {differs: f"({n})" for n, differs in enumerate(dict.fromkeys(r.differs for r in rows if r.differs), 1)}
    page = Table.grid()
    for members in sections.values():
        page.add_row(Text(_title(members), "bold"))
        page.add_row(_section(members, marks, _columns(members)))
        if sparse := [row for row in members if row.is_sparse]:
            page.add_row(_section(sparse, marks, _ZEROS))
        if exported := [row for row in members if row.onnx]:
            page.add_row(_section(exported, marks, _RUNTIMES))
        page.add_row()
    for differs, mark in marks.items():
        page.add_row(Text(f"{mark} {', '.join(differs)}"))
    page.add_row(Text(_caption(rows), "dim"))
    return page


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


def _section(
    rows: Sequence[Row], marks: Mapping[tuple[str, ...], str], cells_of: Mapping[str, Callable[[Row], str]]
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)
    table.add_column("method", overflow="fold", min_width=10)
    columns = {header: [cell(row) for row in rows] for header, cell in cells_of.items()}
    for header, cells in columns.items():
        # A width known beforehand spares rich from measuring each cell four times over.
        table.add_column(Text(header), justify="right", no_wrap=True, width=max(map(len, [header, *cells])))
    for row, *cells in zip(rows, *columns.values(), strict=True):
        label = " ".join(filter(None, [method_label(row.method, row.distillation), marks.get(row.differs)]))
        table.add_row(*map(Text, [label, *cells]))
    return table


def _columns(rows: Sequence[Row]) -> dict[str, Callable[[Row], str]]:
    # The leading spaces set the wide columns apart, where one space between all is what 100 columns allow.
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
    }
    if not any(row.is_sparse for row in rows):
        del columns["zeroed"]
    return columns


def _title(rows: Sequence[Row]) -> str:
    seeds = {row.predecessor_seed for row in rows if not row.dense}
    title = f"{rows[0].model} on {rows[0].dataset}"
    if len(seeds) != 1:
        return title
    seed = seeds.pop()
    return f"{title}, predecessor " + ("seeded as the run" if seed is None else f"seed {seed}")


def _caption(rows: Sequence[Row]) -> str:
    timed = [row for row in rows if row.headline is not None and not row.dense]
    settings = _by_dataset({row.dataset: str(row.headline) for row in timed})
    lengths = _by_dataset({row.dataset: f"{row.flops_length} tokens" for row in rows if row.flops_length})
    devices = "; ".join(sorted({device for row in timed for device in row.devices}))
    lines = ["n seeds, mean ± standard deviation; kept % and speed-up are against the dense model"]
    lines += [f"FLOPs of one forward pass over {lengths}"] if lengths else []
    lines += [f"speed-up in {settings}; {devices}"] if timed else []
    if any(row.is_sparse for row in rows):
        lines.append("zeros gain no speed, dense kernels multiply them too; stored sparse: a bit for each weight, and")
        lines.append("float32 for those that are not 0")
    if any(row.onnx for row in timed):
        lines.append("ms per batch at the same setting; ONNX speed-up with both models in ONNX Runtime")
    if any(row.beside_others for row in timed):
        lines.append("timed while other jobs ran beside: secateur-measure times them again, alone")
    return "\n".join(lines)


def _by_dataset(texts: Mapping[str, str]) -> str:
    if len(set(texts.values())) <= 1:
        return next(iter(texts.values()), "")
    return "; ".join(f"{text} ({dataset})" for dataset, text in texts.items())


def score_text(stat: Stat | None) -> str:
    """A score with its spread."""
    # Scores come as percentages (F1 of SQuAD) or as fractions (a correlation): both get three digits or four.
    return plus_minus(stat, decimals=1 if stat and abs(stat.mean) > 1 else 3)


def plus_minus(stat: Stat | None, *, decimals: int, scale: float = 1) -> str:
    """A mean with its spread where there is one, or what stands for nothing."""
    if stat is None:
        return NOTHING
    spread = "" if stat.std is None else f" ± {stat.std * scale:.{decimals}f}"
    return f"{stat.mean * scale:.{decimals}f}{spread}"


def steady(stat: Stat | None, *, decimals: int, scale: float = 1) -> str:
    """Without the spread where it would read 0: sizes are mostly the same for every seed."""
    still = stat and stat.std is not None and stat.std * scale < 0.5 * 10**-decimals
    return plus_minus(stat._replace(std=None) if stat and still else stat, decimals=decimals, scale=scale)


def _scaled(stat: Stat | None) -> str:
    if stat is None:
        return NOTHING
    power, unit = next(((p, u) for p, u in ((12, "T"), (9, "G"), (6, "M"), (3, "k")) if stat.mean >= 10**p), (0, ""))
    digits_before = len(str(int(stat.mean / 10**power)))
    return steady(stat, decimals=max(0, 3 - digits_before) if unit else 0, scale=10**-power) + unit
