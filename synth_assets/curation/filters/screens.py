"""Quick passes over many texts: where a slower rule must look, and the runs of signs that words are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from synth_assets.contracts.filter import Context, RowFilter

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

# Signs beyond ASCII that are an ASCII letter, or hold one, when case is ignored (RE2).
FOLDED = (
    r"(?-i:[\x{DF}\x{130}\x{131}\x{149}\x{17F}\x{1F0}\x{1E96}-\x{1E9A}\x{1E9E}\x{212A}\x{FB00}-\x{FB06}])"
)
SIGNS = 1 << 17  # of texts that are looked at together, at most: what a cache of the processor holds
BASE = 0x9E3779B97F4A7C15  # of the hash of a run: odd, so it has an inverse modulo 2 ** 64
SPREAD = 0xD6E8FEB86659FD93  # another, to join a hash with what it belongs to
SLOTS = 18  # bits of a hash, for a table that a cache holds


class Screened(RowFilter):
    """A filter whose `value` is 0 except for texts that match `screen`, a regular expression of RE2.

    RE2 reads a text once, whatever the expression: a hundred times as quick as `value`, which then sees few
    texts. It may let more through than need be, never less. Its \\w, \\d and \\b know ASCII alone.
    """

    def screen(self, context: Context) -> str | None:
        """The expression, or None where no text has a value but 0."""
        raise NotImplementedError

    def measure(self, rows: pd.DataFrame, context: Context) -> dict[str, list[Any]]:
        found: list[float | None] = [0.0] * len(rows)
        pattern = self.screen(context)
        if pattern is not None:
            for i, text in seen(rows["text"], pattern):
                found[i] = self.value(text, context)
        return {self.name: found}


def seen(texts: pd.Series, pattern: str) -> Iterator[tuple[int, str]]:
    """Position and text of each text that holds a match of `pattern` (RE2)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    hits = pc.match_substring_regex(pa.array(texts, type=pa.large_string()), pattern)
    places = np.flatnonzero(np.asarray(hits))
    return zip(places.tolist(), texts.iloc[places], strict=True)


@dataclass(frozen=True)
class Runs:
    """The longest runs of signs of one kind in some texts."""

    codes: np.ndarray  # (signs,) code points of all the texts, one after the other
    starts: np.ndarray  # (runs,) where each begins in `codes`
    ends: np.ndarray  # (runs,) and where the sign after it is
    counts: np.ndarray  # (texts,) runs of each text

    def texts(self) -> np.ndarray:
        """(runs,) the text of each run."""
        import numpy as np

        return np.repeat(np.arange(len(self.counts)), self.counts)

    def hashes(self) -> np.ndarray:
        """(runs,) 64 bits that are the same for the same signs: a polynomial in BASE, modulo 2 ** 64."""
        import numpy as np

        powers, inverse = _powers(1 << len(self.codes).bit_length())
        sums = np.zeros(len(self.codes) + 1, dtype=np.uint64)
        np.cumsum(self.codes * powers[: len(self.codes)], out=sums[1:])
        return (sums[self.ends] - sums[self.starts]) * inverse[self.starts]

    def distinct(self) -> np.ndarray:
        """(texts,) different runs of each text, told apart by 64 bits.

        Runs that are alike meet in one slot of a table; of those that are not, but share a slot, a few are
        sorted.
        """
        import numpy as np

        of_text, places = self.texts(), np.arange(len(self.starts))
        keys = (self.hashes() + of_text.astype(np.uint64) * np.uint64(SPREAD)) * np.uint64(BASE)
        slots = keys >> np.uint64(64 - SLOTS)
        last = np.empty(1 << SLOTS, dtype=np.int64)
        last[slots] = places
        owner = last[slots]
        again = owner != places
        other = np.flatnonzero(keys[owner] != keys)
        again[other[np.unique(keys[other], return_index=True)[1]]] = False
        return self.counts - np.bincount(of_text[again], minlength=len(self.counts))


def runs(texts: Sequence[str], inside: Callable[[str], bool], glue: str = "") -> Iterator[Runs]:
    """Runs of signs for which `inside` holds, for some texts after the other.

    A sign of `glue` counts between two such signs. `inside` never holds for a line break.
    """
    import numpy as np

    sizes = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)) + 1
    blocks = np.cumsum(sizes) // SIGNS
    cuts = [0, *(np.flatnonzero(np.diff(blocks)) + 1).tolist(), len(texts)] if len(texts) else []
    for first, last in pairwise(cuts):
        joined = "\n" + "\n".join(texts[first:last]) + "\n"
        codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        held = _kind(inside).of(codes)
        for sign in glue:
            between = np.flatnonzero(codes == ord(sign))
            held[between[held[between - 1] & held[between + 1]]] = True
        edges = np.flatnonzero(held[1:] != held[:-1]) + 1
        bounds = np.concatenate(([0], np.cumsum(sizes[first:last])))
        counts = np.diff(np.searchsorted(edges[::2], bounds + 1))
        yield Runs(codes, edges[::2], edges[1::2], counts)


class _Kind:
    """Which signs are of a kind; the function that knows is asked once a sign."""

    def __init__(self, holds: Callable[[str], bool]) -> None:
        import numpy as np

        self.holds = holds
        self.known = np.full(0x110000, 2, dtype=np.uint8)  # 0 no, 1 yes, 2 not asked yet

    def of(self, codes: np.ndarray) -> np.ndarray:
        import numpy as np

        found = np.take(self.known, codes)
        if found.max(initial=0) == 2:
            for code in np.unique(codes[found == 2]).tolist():
                self.known[code] = self.holds(chr(code))
            found = np.take(self.known, codes)
        return found.view(bool)


_kind = cache(_Kind)


@cache
def _powers(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The powers of BASE from 0 to `size` - 1, and their inverses, modulo 2 ** 64."""
    import numpy as np

    both = []
    for base in (BASE, pow(BASE, -1, 1 << 64)):
        factors = np.full(size, base, dtype=np.uint64)
        factors[0] = 1
        both.append(np.cumprod(factors))
    return both[0], both[1]
