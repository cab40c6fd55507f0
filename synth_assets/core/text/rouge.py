"""ROUGE-L F1 of two texts (Lin 2004). Of one text against many, see curation/likeness/novelty.py."""

from __future__ import annotations

from collections.abc import Sequence

from synth_assets.core.text.words import rouge_words


def f1(text: str, reference: str) -> float:
    """In [0, 1]: twice the words that both have in the same order over the words of both."""
    one, other = rouge_words(text), rouge_words(reference)
    if not one or not other:
        return 0.0
    return 2 * _common(one, other) / (len(one) + len(other))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence, a word at a time in the bits of a number (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for i, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << i
    all_bits = bits = (1 << len(one)) - 1
    for word in other:
        hits = bits & places.get(word, 0)
        bits = ((bits + hits) | (bits - hits)) & all_bits
    return len(one) - bits.bit_count()
