"""Learn a WordPiece or a Unigram vocabulary when no pretrained one is available.

The trainers in ``tokenizers`` iterate over hash maps in an order that differs between processes, so the same texts can
get different ids and occasionally different pieces. Dense models are cached under what they were made from, so a
vocabulary must depend on its texts alone: hence the implementation below.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from tokenizers import normalizers, pre_tokenizers
from tokenizers.normalizers import Normalizer
from tokenizers.pre_tokenizers import PreTokenizer
from transformers import BertTokenizer, PreTrainedTokenizerFast, XLNetTokenizer

from secateur.errors import SecateurError

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# XLNet's, in an order in which padding has the same id.
_SPECIAL_UNIGRAM = ("<pad>", "<unk>", "<cls>", "<sep>", "<mask>", "<s>", "</s>", "<eop>", "<eod>")
PAD_ID = _SPECIAL.index("[PAD]")
"""Id of the padding token, known before the vocabulary is learnt."""
_PREFIX = "##"
_LONGEST = 512  # tokens that a tokenizer truncates to on request, as BERT's does
# Joins two neighbouring pieces into one.
Join = Callable[[tuple[str, str]], str]
# A piece seen only once does not help a model; merging further would only memorise the corpus.
_MIN_FREQUENCY = 2


def train_wordpiece(
    texts: Iterable[str],
    *,
    vocab_size: int,
    model_input_names: Sequence[str] = ("input_ids", "token_type_ids", "attention_mask"),
) -> PreTrainedTokenizerFast:
    """Learn the pieces of ``texts`` and wrap them as BERT's uncased tokenizer.

    As in byte-pair encoding (Sennrich et al. 2016, algorithm 1), the most frequent pair of neighbouring pieces is
    merged repeatedly; ties go to the first pair in alphabetical order. Ids are assigned in order of creation: special
    tokens, characters in code-point order, merges.

    Args:
        texts: what to learn from; their order does not matter.
        vocab_size: maximum number of pieces, special tokens and single characters included. There are fewer if every
            word that occurs at least twice is already a piece.
        model_input_names: what the tokenizer returns, by default with the token types 0 and 1.

    Returns:
        A tokenizer with BERT's special tokens, ready for ``save_pretrained``.

    Raises:
        SecateurError: if ``vocab_size`` leaves no room for the single characters.
    """
    words = _count_words(texts, normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer())
    vocabulary, _ = _learn(words, vocab_size=vocab_size, special=_SPECIAL, split=_characters, join=_join)
    return BertTokenizer(
        vocab=vocabulary,
        model_max_length=_LONGEST,
        model_input_names=list(model_input_names),
    )


def train_unigram(
    texts: Iterable[str],
    *,
    vocab_size: int,
    model_input_names: Sequence[str] = ("input_ids", "token_type_ids", "attention_mask"),
) -> PreTrainedTokenizerFast:
    """Learn the pieces of ``texts`` and wrap them as XLNet's tokenizer, which is case-sensitive.

    Pieces are merged as in :func:`train_wordpiece`, from words that begin with their space. A piece's score is the
    logarithm of its relative frequency in the segmented texts (Kudo 2018, section 3.2, without the pruning that yields
    his vocabulary); a piece that no longer occurs after merging gets the score of a piece seen once.

    Args:
        texts, vocab_size, model_input_names: as for :func:`train_wordpiece`.

    Returns:
        A tokenizer with XLNet's special tokens, ready for ``save_pretrained``.

    Raises:
        SecateurError: if ``vocab_size`` leaves no room for the single characters.
    """
    blank = XLNetTokenizer().backend_tokenizer
    words = _count_words(texts, blank.normalizer, blank.pre_tokenizer)
    vocabulary, pieces = _learn(words, vocab_size=vocab_size, special=_SPECIAL_UNIGRAM, split=list, join="".join)
    counts: Counter[str] = Counter()
    for word, of_word in pieces.items():
        for piece in of_word:
            counts[piece] += words[word]
    total = max(1, counts.total())
    scores = {piece: math.log(max(1, counts[piece]) / total) for piece in vocabulary}
    return XLNetTokenizer(
        vocab=[(piece, 0.0 if piece in _SPECIAL_UNIGRAM else score) for piece, score in scores.items()],
        unk_id=_SPECIAL_UNIGRAM.index("<unk>"),
        model_input_names=list(model_input_names),
    )


def _learn(
    words: Counter[str],
    *,
    vocab_size: int,
    special: Sequence[str],
    split: Callable[[str], list[str]],
    join: Join,
) -> tuple[dict[str, int], dict[str, list[str]]]:
    """The pieces with their ids, and the pieces of each word.

    Raises:
        SecateurError: if ``vocab_size`` leaves no room for the single characters.
    """
    pieces = {word: split(word) for word in sorted(words)}
    alphabet = sorted({piece for of_word in pieces.values() for piece in of_word})
    room = vocab_size - len(special) - len(alphabet)
    if room < 0:
        raise SecateurError(
            f"vocab_size={vocab_size}: these texts need at least {vocab_size - room}, for their single characters"
        )
    vocabulary = dict.fromkeys([*special, *alphabet])
    merges = _merges(pieces, words, join)
    # The same piece may result from two merges, so not every merge adds one.
    while len(vocabulary) < vocab_size and (merged := next(merges, None)) is not None:
        vocabulary[merged] = None
    return {piece: index for index, piece in enumerate(vocabulary)}, pieces


def _count_words(texts: Iterable[str], normalizer: Normalizer, splitter: PreTokenizer) -> Counter[str]:
    words: Counter[str] = Counter()
    # Question answering repeats a passage for each of its questions, one after the other.
    for text, repeated in itertools.groupby(texts):
        count = sum(1 for _ in repeated)
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)):
            words[word] += count
    return words


def _characters(word: str) -> list[str]:
    return [word[0], *(_PREFIX + character for character in word[1:])]


def _merges(pieces: dict[str, list[str]], counts: dict[str, int], join: Join) -> Iterator[str]:
    """Merge pairs in ``pieces`` in place, the most frequent first, and yield each new piece."""
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
            continue  # its frequency has changed since, and it was pushed again
        if -count < _MIN_FREQUENCY:
            return
        changed = set()
        for word in holders.pop(pair):
            old = pieces[word]
            pieces[word] = _merge(old, pair, join)
            for sign, of_word in ((-1, old), (1, pieces[word])):
                for neighbours in _pairs(of_word):
                    frequency[neighbours] += sign * counts[word]
                    changed.add(neighbours)
                    if sign > 0:
                        holders[neighbours].add(word)
        for neighbours in changed:
            if frequency[neighbours] > 0:
                heapq.heappush(heap, (-frequency[neighbours], neighbours))
        yield join(pair)


def _pairs(of_word: list[str]) -> Iterator[tuple[str, str]]:
    return itertools.pairwise(of_word)


def _merge(of_word: list[str], pair: tuple[str, str], join: Join) -> list[str]:
    merged: list[str] = []
    for piece in of_word:
        if merged and (merged[-1], piece) == pair:
            merged[-1] = join(pair)
        else:
            merged.append(piece)
    return merged


def _join(pair: tuple[str, str]) -> str:
    return pair[0] + pair[1].removeprefix(_PREFIX)
