"""Word embeddings before and after compression: do words keep their neighbours?

Maps are made with t-SNE (van der Maaten and Hinton 2008) by scikit-learn, which the extra ``analysis`` installs.

Shapes: N words, H width of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from secateur.data.words import leading_mark
from secateur.drawing import INK, new_figure, set_heading, set_title
from secateur.errors import SecateurError

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

NEIGHBOURS = 10
FEWEST = NEIGHBOURS + 1
_NAMED = 40  # words that a map has room to name
_PERPLEXITY = 30.0
_START = 1e-4  # the standard deviation of t-SNE's initial points, as in scikit-learn


class Words(NamedTuple):
    """Words of a vocabulary with their ids."""

    ids: list[int]
    texts: list[str]


def frequent_words(tokenizer: PreTrainedTokenizerBase, count: int) -> Words:
    """The first complete words of two letters or more: after characters, vocabularies list the most frequent first.

    Raises:
        SecateurError: if there are too few words for each to have ``NEIGHBOURS`` neighbours.
    """
    by_id = sorted((index, token) for token, index in tokenizer.get_vocab().items())
    special = set(tokenizer.all_special_ids)
    # Byte-pair and sentence pieces mark the start of a word; WordPiece marks continuations with ##.
    mark = leading_mark(tokenizer) or ""
    words = [
        (index, token.removeprefix(mark)) for index, token in by_id if index not in special and token.startswith(mark)
    ]
    chosen = [(index, word) for index, word in words if len(word) > 1 and word.isalpha()][: max(count, 0)]
    if len(chosen) < FEWEST:
        raise SecateurError(f"embeddings={count}: {len(chosen)} words are too few for a map; give {FEWEST} or more")
    return Words([index for index, _ in chosen], [word for _, word in chosen])


def embeddings_of(model: PreTrainedModel, words: Words) -> Tensor:
    """The input embeddings of ``words``, (N, H)."""
    table = model.get_input_embeddings().get_parameter("weight")
    return table.detach()[words.ids]


def neighbours_kept(before_NH: Tensor, after_NH: Tensor) -> float:
    """The mean fraction, in [0, 1], of a word's 10 nearest words that are still among its 10 nearest afterwards."""
    before, after = (_nearest(each) for each in (before_NH, after_NH))
    return float((before[:, :, None] == after[:, None, :]).any(-1).float().mean())


def maps_of(before_NH: Tensor, after_NH: Tensor, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Both maps in the plane, (N, 2): the second starts from the points of the first, so that they are comparable."""
    import numpy as np
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(before_NH) - 1) / 3)

    def mapped(points_NH: Tensor, start: str | np.ndarray) -> np.ndarray:
        return TSNE(init=start, perplexity=perplexity, random_state=seed).fit_transform(points_NH.cpu().numpy())

    before = mapped(before_NH, "pca")
    return before, mapped(after_NH, (before / np.std(before[:, 0]) * _START).astype(np.float32))


def draw_embeddings(before: np.ndarray, after: np.ndarray, *, words: Sequence[str], kept: float, title: str) -> Figure:
    """Both maps side by side; a word is coloured by its position in the first, and some words are labelled.

    Args:
        before, after: points in the plane, (N, 2).
        words: the words' texts, N of them.
        kept: the fraction of neighbours that are the same, in [0, 1].
        title: the picture's title.
    """
    figure = new_figure(13.0, 6.6)
    for axes, points, name in zip(figure.subplots(1, 2), (before, after), ("reference", "compressed"), strict=True):
        axes.scatter(*points.T, c=before[:, 0], cmap="viridis", s=8, linewidths=0, alpha=0.7)
        for place in range(0, len(words), 1 + len(words) // _NAMED):
            axes.annotate(words[place], points[place], fontsize=7, color=INK, parse_math=False)
        set_title(axes, name)
        axes.set_xticks([])
        axes.set_yticks([])
    of_all = f"{len(words)} words; {100 * kept:.0f} % of their {NEIGHBOURS} nearest are the same"
    set_heading(figure, f"{of_all} - {title}")
    return figure


def _nearest(points_NH: Tensor) -> Tensor:
    distances_NN = torch.cdist(points_NH, points_NH)
    distances_NN.fill_diagonal_(torch.inf)
    return distances_NN.topk(NEIGHBOURS, largest=False).indices
