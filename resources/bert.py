"""A BERT (Devlin et al. 2019) and its relatives in numpy, from the files of a folder, without torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.core.text.utf8 import clean

if TYPE_CHECKING:
    import numpy as np

Weights = tuple["np.ndarray", "np.ndarray"]  # those of a matrix, or gains; and biases

KINDS = ("bert", "camembert", "roberta", "xlm-roberta")  # `model_type` of config.json
FILES = ("config.json", "tokenizer.json", "model.safetensors")
BATCH_TOKENS = 1024  # the widest activations of a batch are then 6 MB; larger ones gain little


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
class Bert:
    """Texts to unit vectors: the mean of the tokens' vectors, or the first one's (`first`)."""

    tokenizer: Any
    pools: Any  # the process's linear-algebra thread pools
    words: np.ndarray  # (vocabulary, d)
    positions: np.ndarray  # (longest, d), the token type's vector added; of the first token on
    norm: Weights
    layers: list[list[Weights]]
    heads: int
    epsilon: float
    first: bool = False

    @property
    def dimensions(self) -> int:
        """d, of a vector."""
        return int(self.words.shape[1])

    def encode(self, texts: Sequence[str], threads: int) -> np.ndarray:
        """(n, d) float32; texts of one length are computed together."""
        import numpy as np

        ids = [self.tokenizer.encode(clean(text)).ids for text in texts]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        vectors = np.empty((len(ids), self.dimensions), dtype=np.float32)
        with self.pools.limit(limits=threads, user_api="blas"):
            for batch in _batches(order, [len(i) for i in ids]):
                vectors[batch] = self.forward([ids[i] for i in batch])
        return vectors

    def forward(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """Unit vectors (n, d) of token lists that are sorted by length. The tokens of all texts stand below
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
        # the sum, whose direction is the mean's
        pooled = x[starts] if self.first else np.add.reduceat(x, starts, axis=0)
        return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)


def _attend(qkv: np.ndarray, runs: Sequence[tuple[int, int]], heads: int) -> np.ndarray:
    """Multi-head self-attention: (tokens, 3 d) to (tokens, d). `runs`: (length, number of texts)."""
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


def load(folder: Path, longest: int | None = None, first: bool = False) -> Bert:
    """Read and arrange the weights of FILES. `longest`: tokens of a text that are read, the marks before and
    after it included; by default as many as the model has places for."""
    from safetensors.numpy import load_file
    from threadpoolctl import ThreadpoolController
    from tokenizers import Tokenizer

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tensors = _named(load_file(folder / "model.safetensors"))
    before = (
        0 if config["model_type"] == "bert" else config.get("pad_token_id", 1) + 1
    )  # places that none has

    def embeddings(name: str) -> np.ndarray:
        return tensors[f"embeddings.{name}.weight"]

    positions = (embeddings("position_embeddings") + embeddings("token_type_embeddings")[0])[before:]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()  # the file may ask for padding, and cut elsewhere
    tokenizer.enable_truncation(min(longest or len(positions), len(positions)))
    heads = config["num_attention_heads"]
    return Bert(
        tokenizer=tokenizer,
        pools=ThreadpoolController(),
        words=embeddings("word_embeddings"),
        positions=positions,
        norm=(embeddings("LayerNorm"), tensors["embeddings.LayerNorm.bias"]),
        layers=[_layer(tensors, f"encoder.layer.{i}", heads) for i in range(config["num_hidden_layers"])],
        heads=heads,
        epsilon=config["layer_norm_eps"],
        first=first,
    )


def _named(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Without what stands before the names, as `roberta.`; numbers as float32."""
    import numpy as np

    stem = next(name for name in tensors if name.endswith("embeddings.word_embeddings.weight"))
    before = stem.removesuffix("embeddings.word_embeddings.weight")
    own = {n.removeprefix(before): t for n, t in tensors.items() if n.startswith(before)}
    return {n: t.astype(np.float32, copy=False) if t.dtype.kind == "f" else t for n, t in own.items()}


def _layer(tensors: dict[str, np.ndarray], name: str, heads: int) -> list[Weights]:
    """The weights of one transformer layer, as (inputs, outputs); query, key and value are one matrix."""
    import numpy as np

    width = tensors[f"{name}.attention.self.query.weight"].shape[0]
    scale = np.float32((width // heads) ** -0.5)  # softmax(qk / sqrt(d))
    for kind in ("weight", "bias"):
        q, k, v = (tensors[f"{name}.attention.self.{part}.{kind}"] for part in ("query", "key", "value"))
        tensors[f"{name}.qkv.{kind}"] = np.concatenate([q * scale, k, v])
    attention = "qkv", "attention.output.dense", "attention.output.LayerNorm"
    parts = *attention, "intermediate.dense", "output.dense", "output.LayerNorm"
    return [(tensors[f"{name}.{part}.weight"].T, tensors[f"{name}.{part}.bias"]) for part in parts]
