"""``secateur-analyze``: the pattern of zeros in a sparse run's model, or how far its documents' states move."""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from secateur.configuration.extras import check_extra
from secateur.disk import full_disk_reported
from secateur.errors import SecateurError
from secateur.record import Record, finished_record
from secateur.runs.run_folder import check_runs_writable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from transformers import PreTrainedModel

    from secateur.analysis.document_states import Movement
    from secateur.analysis.zeros import Spread, Zeros

_WORDS = 1000  # how many words' embeddings are mapped by default
_DESCRIPTION = """\
Analyse the zeros of a run of method rpp, nip or magnitude, or of a run that started from such a run's model: how many
zeros each of the encoder's matrices has, and whether they concentrate in columns or rows. Prints a table of the six
projections and writes pictures to RUN/figures: zeros.png, masks.png, spread.png and embeddings.png.

With --documents, analyse a question-answering run of any method instead: how far the states of a document's tokens
move, layer by layer, when a different question is asked. Prints a table and writes document_states.png and .json."""
_EPILOG = """\
Standard deviations of the fraction of zeros over columns (inputs) and over rows (outputs) are shown next to those of
a random mask with the same number of zeros; `times` is their ratio. All values are means over layers."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; ``arguments`` are those of the process unless given."""
    parser = _parser()
    options = parser.parse_args(arguments)
    for name in ("layer", "embeddings"):
        if options.documents is not None and getattr(options, name) is not None:
            parser.error(f"--{name}: has no effect with --documents")
    try:
        with full_disk_reported(options.run):
            _run(options)
    except SecateurError as error:
        sys.exit(str(error))


def analyze(run: Path, *, layer: int | None, embeddings: int, seed: int) -> None:
    """Print the table of a run's zeros, and draw its pictures.

    Args:
        run: the run's folder.
        layer: the index, from 0, of the layer whose matrices are shown; None: the middle one.
        embeddings: how many of the most frequent words are mapped; 0: none.
        seed: the seed of their map.

    Raises:
        SecateurError: if the run is unfinished or cannot be written to, its model has no fixed zeros, there is no such
            layer, or scikit-learn is missing.
    """
    record = finished_record(run)
    check_runs_writable([run])
    from secateur.analysis.pictures import title_of
    from secateur.analysis.zero_pictures import pictures_of_zeros
    from secateur.analysis.zeros import check_sparse, zeros_by_projection
    from secateur.commands.launch import quiet_libraries
    from secateur.drawing import save
    from secateur.structure.checkpoint import load

    quiet_libraries()
    model = load(run / "model")
    check_sparse(model, name=str(run))
    if embeddings:
        check_extra("analysis", asked=f"embeddings={embeddings}", otherwise=", or give --embeddings 0")
    console = Console(highlight=False)
    pictures = dict(pictures_of_zeros(model, layer=layer, title=title_of(record)))
    console.print(Text(title_of(record), "bold"), table_of(zeros_by_projection(model)))
    if embeddings:
        pictures |= _words(record, run, model, count=embeddings, seed=seed, console=console)
    (run / "figures").mkdir(exist_ok=True)
    for name, figure in pictures.items():
        path = run / "figures" / f"{name}.png"
        save(figure, path)
        console.print(Text(f"{name}: {path}"), soft_wrap=True)


def analyze_documents(run: Path, *, count: int, seed: int) -> None:
    """Print how far the states of documents move with the question, and write a figure and the numbers.

    Args:
        run: the run's folder.
        count: how many documents to draw from those of the test split with two or more questions.
        seed: the seed of the draw.

    Raises:
        SecateurError: if the run is unfinished or cannot be written to, is not question answering, or has no such
            documents.
    """
    record = finished_record(run)
    check_runs_writable([run])
    from secateur.analysis.documents import NAME, document_states
    from secateur.commands.launch import quiet_libraries
    from secateur.drawing import save

    quiet_libraries()
    found = document_states(record, run, count=count, seed=seed)
    console = Console(highlight=False)
    console.print(Text(f"{found.dataset}: {found.documents} documents, {found.questions} questions", "bold"))
    console.print(table_of_movement(found.models))
    (run / "figures").mkdir(exist_ok=True)
    picture = run / "figures" / f"{NAME}.png"
    save(found.figure(record), picture)
    for path in (picture, found.write(run / "figures")):
        console.print(Text(f"{NAME}: {path}"), soft_wrap=True)


def table_of_movement(models: Mapping[str, Movement]) -> Table:
    """A row for each layer: each model's mean cosine distance to the centroid, ± its deviation over documents."""
    table = Table(box=None, pad_edge=False)
    table.add_column("layer", justify="right")
    for name in models:
        table.add_column(name, justify="right", no_wrap=True)
    per_layer = itertools.zip_longest(*(movement.rows() for movement in models.values()))  # one may have more layers
    for layer, rows in enumerate(per_layer):
        table.add_row(str(layer), *(f"{row['mean']:.4f} ± {row['std']:.4f}" if row else "" for row in rows))
    return table


def table_of(zeros: Mapping[str, Sequence[Zeros]]) -> Table:
    """A row for each projection: its zeros, and their spread over columns and rows next to a random mask's."""
    from secateur.analysis.zeros import over_layers

    table = Table(box=None, pad_edge=False)
    for header in ("projection", "zeros", "over columns", "random", "times", "over rows", "random", "times"):
        table.add_column(header, justify="left" if header == "projection" else "right", no_wrap=True)
    for name, layers in zeros.items():
        mean = over_layers(layers)
        table.add_row(name, _number(mean.fraction, 3), *_cells(mean.columns), *_cells(mean.rows))
    return table


def _run(options: argparse.Namespace) -> None:
    if options.documents is not None:
        analyze_documents(options.run, count=options.documents, seed=options.seed)
    else:
        words = _WORDS if options.embeddings is None else options.embeddings
        analyze(options.run, layer=options.layer, embeddings=words, seed=options.seed)


def _cells(spread: Spread) -> Iterator[str]:
    yield _number(spread.found, 4)
    yield _number(spread.random, 4)
    yield _number(spread.ratio, 1)


def _number(value: float, decimals: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{decimals}f}"


def _words(
    record: Record, run: Path, model: PreTrainedModel, *, count: int, seed: int, console: Console
) -> dict[str, Figure]:
    """Map the words before and after compression, and print how many neighbours they keep."""
    from secateur.analysis.embeddings import draw_embeddings, embeddings_of, frequent_words, maps_of, neighbours_kept
    from secateur.analysis.pictures import title_of
    from secateur.structure.checkpoint import load, load_tokenizer

    assert record.reference is not None
    words = frequent_words(load_tokenizer(run / "model"), count)
    before, after = (embeddings_of(each, words) for each in (load(run / record.reference.folder), model))
    kept = neighbours_kept(before, after)
    console.print(Text(f"words: {len(words.ids)}; of the 10 nearest of each {100 * kept:.1f} % are the same"))
    maps = maps_of(before, after, seed=seed)
    return {"embeddings": draw_embeddings(*maps, words=words.texts, kept=kept, title=title_of(record))}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="secateur-analyze",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of a finished run")
    parser.add_argument(
        "--layer", type=int, help="the layer, from 0, whose matrices masks.png shows; default: the middle one"
    )
    parser.add_argument(
        "--embeddings",
        metavar="N",
        type=int,
        help="map the N most frequent words by t-SNE, before and after compression; needs scikit-learn (the extra "
        f"analysis); 0: none; default: {_WORDS}",
    )
    parser.add_argument(
        "--documents",
        metavar="N",
        type=int,
        help="show how far the states of N test documents move with the question, with at most five questions each",
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of the map of words or of the draw of documents; default: 1"
    )
    return parser
