"""Learn a WordPiece vocabulary where no pretrained one is at hand.

The trainer that comes with ``tokenizers`` walks over hash maps in an order that differs from process to process,
so it gives the same texts other ids, and now and then other pieces. Dense models are shared by what they were
made from, so a vocabulary has to follow from its texts alone: hence the merges below.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from tokenizers import normalizers, pre_tokenizers
from transformers import BertTokenizer, PreTrainedTokenizerFast

from secateur.errors import SecateurError

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD_ID = _SPECIAL.index("[PAD]")
"""Id of the padding token, known before the vocabulary is."""
_PREFIX = "##"
# A piece seen once is no help to a model, and merging on would only memorise the corpus.
_MIN_FREQUENCY = 2


def train_wordpiece(
    texts: Iterable[str],
    *,
    vocab_size: int,
    model_max_length: int = 512,
    model_input_names: Sequence[str] = ("input_ids", "token_type_ids", "attention_mask"),
) -> PreTrainedTokenizerFast:
    """Learn the pieces of ``texts`` and wrap them as BERT's uncased tokenizer.

    As in byte-pair encoding (Sennrich et al. 2016, algorithm 1), the most frequent pair of neighbouring pieces is
    merged again and again; of equally frequent pairs, the first in alphabetical order. Ids follow the order of
    making: special tokens, characters in code-point order, merges.

    Args:
        texts: what to learn from; its order does not matter.
        vocab_size: the most pieces to have, special tokens and single characters included. There are fewer when
            every word that comes twice is a piece already.
        model_max_length: in tokens, what the tokenizer truncates to when asked.
        model_input_names: what the tokenizer returns, by default with the token types 0 and 1.

    Returns:
        A tokenizer with BERT's special tokens, ready for ``save_pretrained``.

    Raises:
        SecateurError: if ``vocab_size`` leaves no room for the single characters.
    """
    words = _count_words(texts)
    pieces = {word: _characters(word) for word in sorted(words)}
    alphabet = sorted({piece for of_word in pieces.values() for piece in of_word})
    room = vocab_size - len(_SPECIAL) - len(alphabet)
    if room < 0:
        raise SecateurError(
            f"vocab_size={vocab_size}: these texts need at least {vocab_size - room}, for their single characters"
        )
    vocabulary = dict.fromkeys([*_SPECIAL, *alphabet])
    for merged in _merges(pieces, words):
        if len(vocabulary) == vocab_size:
            break
        vocabulary[merged] = None
    return BertTokenizer(
        vocab={piece: index for index, piece in enumerate(vocabulary)},
        model_max_length=model_max_length,
        model_input_names=list(model_input_names),
    )


def _count_words(texts: Iterable[str]) -> Counter[str]:
    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    words: Counter[str] = Counter()
    # Question answering repeats its passages, once for each question that follows the last.
    for text, repeated in itertools.groupby(texts):
        count = sum(1 for _ in repeated)
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)):
            words[word] += count
    return words


def _characters(word: str) -> list[str]:
    return [word[0], *(_PREFIX + character for character in word[1:])]


def _merges(pieces: dict[str, list[str]], counts: dict[str, int]) -> Iterator[str]:
    """Merge pairs in ``pieces`` in place, the most frequent first, and give each new piece as it is made."""
    frequency: Counter[tuple[str, str]] = Counter()
    holders: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for word, of_word in pieces.items():
        for pair in _pairs(of_word):
            frequency[pair] += counts[word]
            holders[pair].add(word)
    heap = [(-count, pair) for pair, count in frequency.items()]
    heapq.heapify(heap)
    while heap:
        count, pair = heapq.heappop(heap)
        if -count != frequency[pair]:
            continue  # its frequency has changed since, and it was pushed anew
        if -count < _MIN_FREQUENCY:
            return
        changed = set()
        for word in holders.pop(pair):
            old = pieces[word]
            pieces[word] = _merge(old, pair)
            for sign, of_word in ((-1, old), (1, pieces[word])):
                for neighbours in _pairs(of_word):
                    frequency[neighbours] += sign * counts[word]
                    changed.add(neighbours)
                    if sign > 0:
                        holders[neighbours].add(word)
        for neighbours in changed:
            if frequency[neighbours] > 0:
                heapq.heappush(heap, (-frequency[neighbours], neighbours))
        yield _join(pair)


def _pairs(of_word: list[str]) -> Iterator[tuple[str, str]]:
    return itertools.pairwise(of_word)


def _merge(of_word: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for piece in of_word:
        if merged and (merged[-1], piece) == pair:
            merged[-1] = _join(pair)
        else:
            merged.append(piece)
    return merged


def _join(pair: tuple[str, str]) -> str:
    return pair[0] + pair[1].removeprefix(_PREFIX)
